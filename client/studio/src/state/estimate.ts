/** What the server expects of the next request: its time, its memory, its place in the queue, and what would have to change. */
import { createEffect, createMemo, createSignal } from "solid-js";
import { equals } from "@bufbuild/protobuf";

import { type GenerateRequest, GenerateRequestSchema, type Quality } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { QualityPromise } from "../sakuga/gen/sakuga/generation/v1/event_pb.js";
import type { Estimate, RequestChange } from "../sakuga/gen/sakuga/generation/v1/generation_service_pb.js";
import type { Diagnostic } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import { RequestRefused } from "../sakuga/web.js";
import { explain } from "../sakuga/errors.js";
import { FREE } from "../prompt/size";
import { nextRequest } from "./actions";
import { info, noteFailure, phase, sentenceOf, server } from "./connection";
import { changeSecondPass } from "./image";
import { afterPause } from "./pause";
import { currentCheck } from "./prompt";
import { checkedScene } from "./scene";
import { type Settings, setSettings, settings } from "./settings";
import { isVisible } from "./visibility";

/** How long to wait after the last change before an estimate is asked for. */
const PAUSE_MS = 350;

const [answer, setAnswer] = createSignal<{ readonly estimate: Estimate; readonly request: GenerateRequest }>();
const [estimateProblem, setProblem] = createSignal("");
const [isCurrent, setCurrent] = createSignal(false);

export { estimateProblem, isCurrent };

/** The newest estimate; it may be of the request before the last change. */
export const estimate = (): Estimate | undefined => answer()?.estimate;

/** The quality of the request that was estimated. */
export const estimatedQuality = (): Quality | undefined => answer()?.request.sampling?.quality;

/** What was measured of the chosen quality on the model; `undefined`: nothing, or it is not known yet. */
export const qualityPromise = (): QualityPromise | undefined =>
  estimatedQuality() === settings.quality ? estimate()?.quality : undefined;

/** Findings about the request itself, such as an untrained size; those about its prompts are shown elsewhere. */
export const requestFindings = createMemo<readonly Diagnostic[]>(() => {
  const checks = [currentCheck(), checkedScene.currentCheck()];
  const ofPrompts = checks.flatMap((check) => check?.answer.diagnostics ?? []);
  const shown = new Set(ofPrompts.map(({ code, message }) => `${code} ${message}`));
  return estimate()?.diagnostics.filter(({ code, message }) => !shown.has(`${code} ${message}`)) ?? [];
});

/** Asks for an estimate whenever the next request, the queue or the connection changes. Called once. */
export function watchEstimate(): void {
  const request = createMemo<GenerateRequest | undefined>(() => nextRequest(), undefined, {
    equals: (a, b) => a === b || (a !== undefined && b !== undefined && equals(GenerateRequestSchema, a, b)),
  });
  const jobs = createMemo(() => info()?.jobs);
  createEffect(() => {
    const next = request();
    // A job that was submitted or has ended changes the place in the queue, and what the server knows.
    jobs();
    setCurrent(false);
    if (next === undefined || phase() !== "ready" || !isVisible()) {
      return;
    }
    afterPause(PAUSE_MS, (signal) => void ask(next, signal));
  });
}

async function ask(request: GenerateRequest, signal: AbortSignal): Promise<void> {
  try {
    const { estimate } = await server().generations.estimate({ request }, { signal });
    if (!signal.aborted) {
      setAnswer(estimate && { estimate, request });
      setProblem("");
      setCurrent(true);
    }
  } catch (error) {
    if (signal.aborted) {
      return;
    }
    setAnswer(undefined);
    const known = explain(error);
    // What is wrong with the request is shown before it is submitted.
    setProblem(known instanceof RequestRefused ? sentenceOf(known) : "");
    setCurrent(true);
    noteFailure(known);
  }
}

/** What applies a change that the server proposes; `undefined` if the page has no field for it. */
export function settingsOf({ fields }: RequestChange): (() => void) | undefined {
  const changed: Partial<Settings> = {};
  let isOnePass = false;
  for (const { field, value } of fields) {
    switch (field) {
      case "images":
        changed.images = Number(value);
        break;
      case "sampling.steps":
        changed.steps = Number(value);
        break;
      case "width":
      case "height":
        changed.ratio = FREE;
        changed[field] = Number(value);
        break;
      case "second_pass":
        isOnePass = value === "";
        break;
      default:
        return undefined;
    }
  }
  return () => {
    setSettings(changed);
    if (isOnePass) {
      changeSecondPass(undefined);
    }
  };
}
