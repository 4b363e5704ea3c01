/** The refiner of Stable Diffusion XL, which computes the end of the schedule. */
import { createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";

import { type GenerateRequest, type Refiner, RefinerSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { currentModel } from "./settings";

const [refiner, setRefiner] = createSignal<Refiner>();

export { refiner };

/** Whether the model that draws has a refiner. */
export const canRefine = (): boolean => (currentModel()?.refiner ?? "") !== "";

/** Has the refiner compute the end, or not. What is not given stays as it is; what is given as `undefined` is the default. */
export function changeRefiner(change: Partial<Omit<Refiner, "$typeName" | "$unknown">> | undefined): void {
  const old = refiner();
  setRefiner(change && create(RefinerSchema, { ...old, ...change }));
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
