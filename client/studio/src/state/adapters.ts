/** The adapters of the server, such as LoRA files, and those that change the model for the next pictures. */
import { createEffect, createMemo, createSignal } from "solid-js";
import { createStore } from "solid-js/store";
import { clone, create } from "@bufbuild/protobuf";

import { type Adapter, AdapterSchema, type GenerateRequest } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { type AdapterStatus, ModelService } from "../sakuga/gen/sakuga/model/v1/model_service_pb.js";
import { LIMITS } from "../prompt/limits";
import { phase, stub } from "./connection";
import { currentModel } from "./settings";

const [adapters, setAdapters] = createSignal<readonly AdapterStatus[]>([]);
const [used, setUsed] = createStore<{ list: readonly Adapter[] }>({ list: [] });

/** Reads the list of the server when it is connected. Called once. */
export function watchAdapters(): void {
  createEffect(() => {
    if (phase() === "ready") {
      stub(ModelService)
        .listAdapters({})
        .then(
          (answer) => setAdapters(answer.adapters),
          // A server without adapters has no such list.
          () => setAdapters([]),
        );
    }
  });
}

/** Those that fit the model that draws. */
export const usableAdapters = createMemo(() => {
  const model = currentModel()?.name;
  return adapters().filter(({ fits }) => fits.some((fit) => fit.model === model && fit.isUsable));
});

/** Those of the next request, in its order. */
export const usedAdapters = (): readonly Adapter[] => used.list;

/** What the server knows of an adapter of a request. */
export function statusOf({ source }: Adapter): AdapterStatus | undefined {
  return adapters().find((known) => known[source.case === "sha256" ? "sha256" : "name"] === source.value);
}

/** Adds an adapter as it was trained. */
export function addAdapter({ name }: AdapterStatus): void {
  if (used.list.length < LIMITS.adapters.max) {
    setUsed("list", (list) => [...list, create(AdapterSchema, { source: { case: "name", value: name }, scale: 1 })]);
  }
}

export function removeAdapter(at: number): void {
  setUsed("list", (list) => list.filter((_, index) => index !== at));
}

/** Sets how much an adapter changes the model. */
export function scaleAdapter(at: number, scale: number): void {
  setUsed("list", (list) =>
    list.map((adapter, index) => {
      if (index !== at) {
        return adapter;
      }
      const changed = clone(AdapterSchema, adapter);
      changed.scale = scale;
      return changed;
    }),
  );
}

/** The adapters of the next request: those that fit its model. */
export function adapterOptions(): { adapters?: Adapter[] } {
  const fitting = new Set(usableAdapters());
  const list = used.list.filter((adapter) => {
    const status = statusOf(adapter);
    return status !== undefined && fitting.has(status);
  });
  return list.length === 0 ? {} : { adapters: list.map((adapter) => clone(AdapterSchema, adapter)) };
}

/** Returns what puts back the adapters of now. */
export function keepAdapters(): () => void {
  const { list } = used;
  return () => {
    setUsed("list", list);
  };
}

/** Takes over the adapters of an earlier request. */
export function adoptAdapters(request: GenerateRequest): void {
  setUsed("list", request.adapters);
}
