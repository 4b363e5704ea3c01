/** The refiner of Stable Diffusion XL, which computes the end of the schedule. */
import { createEffect, createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";

import { type GenerateRequest, type Refiner, RefinerSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { currentModel } from "./settings";
import { loadMessage, saveMessage } from "./storage";

/** Fields of a refiner; what is given as `undefined` is the default. */
export type RefinerChange = Partial<Omit<Refiner, "$typeName" | "$unknown">>;

const KEPT = "refiner";

const [refiner, setRefiner] = createSignal(loadMessage(KEPT, RefinerSchema));

export { refiner };

/** Whether a model, by default the one that draws, has a refiner. */
export const canRefine = (model = currentModel()): boolean => (model?.refiner ?? "") !== "";

/** A refiner after a change. What is not given stays as it is; without a change there is no refiner. */
export function changedRefiner(old: Refiner | undefined, change: RefinerChange | undefined): Refiner | undefined {
  return change && create(RefinerSchema, { ...old, ...change });
}

/** Has the refiner compute the end, or not. */
export function changeRefiner(change: RefinerChange | undefined): void {
  setRefiner(changedRefiner(refiner(), change));
}

/** The field of a request for the refiner. */
export function refinerOptions(): { refiner?: Refiner } {
  const used = refiner();
  return used && canRefine() ? { refiner: clone(RefinerSchema, used) } : {};
}

/** Takes over the refiner of an earlier request. */
export function adoptRefiner(request: GenerateRequest): void {
  setRefiner(request.refiner);
}

/** Returns what puts back the refiner of now. */
export function keepRefiner(): () => void {
  const kept = refiner();
  return () => {
    setRefiner(kept);
  };
}

/** Keeps the refiner when it changes. Called once. */
export function watchRefiner(): void {
  createEffect(() => {
    saveMessage(KEPT, RefinerSchema, refiner());
  });
}
