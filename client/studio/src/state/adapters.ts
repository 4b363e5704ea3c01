/** The adapters of the server, such as LoRA files, and those that change a model for the next pictures. */
import { createEffect, createMemo, createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";

import { type Adapter, AdapterSchema, GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { type AdapterStatus, ModelService } from "../sakuga/gen/sakuga/model/v1/model_service_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { LIMITS } from "../prompt/limits";
import { phase, stub } from "./connection";
import { currentModel } from "./settings";
import { loadMessage, saveMessage } from "./storage";

/** Where those of the first pass are kept, as the field of a request. */
const KEPT = "adapters";

const [adapters, setAdapters] = createSignal<readonly AdapterStatus[]>([]);

/** Reads the list of the server when it is connected, and keeps what is used. Called once. */
export function watchAdapters(): void {
  createEffect(() => {
    saveMessage(KEPT, GenerateRequestSchema, create(GenerateRequestSchema, { adapters: [...firstAdapters.used()] }));
  });
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

/** What the server knows of an adapter of a request. */
export function statusOf({ source }: Adapter): AdapterStatus | undefined {
  return adapters().find((known) => known[source.case === "sha256" ? "sha256" : "name"] === source.value);
}

/** The adapters that a model uses for the next pictures, in the order of the request. */
export interface AdapterList {
  /** Those of the server that fit the model. */
  readonly usable: () => readonly AdapterStatus[];
  readonly used: () => readonly Adapter[];
  /** Replaces all of them, for example by those of an earlier request. */
  readonly set: (list: readonly Adapter[]) => void;
  /** Adds an adapter as it was trained. */
  readonly add: (status: AdapterStatus) => void;
  readonly remove: (at: number) => void;
  /** Sets how much an adapter changes the model. */
  readonly scale: (at: number, scale: number) => void;
  /** Those of the next request: the used ones that fit the model. */
  readonly options: () => Adapter[];
}

/** A list for a model, with those that were kept. */
export function adapterList(model: () => Model | undefined, kept: readonly Adapter[] = []): AdapterList {
  const [used, setUsed] = createSignal(kept);
  const usable = createMemo(() => {
    const name = model()?.name;
    return adapters().filter(({ fits }) => fits.some((fit) => fit.model === name && fit.isUsable));
  });
  return {
    usable,
    used,
    set: setUsed,
    add({ name }) {
      if (used().length < LIMITS.adapters.max) {
        setUsed([...used(), create(AdapterSchema, { source: { case: "name", value: name }, scale: 1 })]);
      }
    },
    remove(at) {
      setUsed(used().filter((_, index) => index !== at));
    },
    scale(at, scale) {
      setUsed(used().map((adapter, index) => (index === at ? create(AdapterSchema, { ...adapter, scale }) : adapter)));
    },
    options() {
      const fitting = new Set(usable());
      const list = used().filter((adapter) => {
        const status = statusOf(adapter);
        return status !== undefined && fitting.has(status);
      });
      return list.map((adapter) => clone(AdapterSchema, adapter));
    },
  };
}

/** The adapters of the first pass. */
export const firstAdapters = adapterList(currentModel, loadMessage(KEPT, GenerateRequestSchema)?.adapters);
