/** How to draw: what stands in the form next to the picture. Empty fields are chosen by the model. */
import { createEffect } from "solid-js";
import { createStore } from "solid-js/store";

import { type Options, PreviewMethod, Solver } from "../sakuga/web.js";
import type { GenerateRequest } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { RATIOS, type Ratio, seedOf, sizeOf } from "../prompt/size";
import { info, models } from "./connection";
import { isRecord, load, save } from "./storage";

export interface Settings {
  /** Empty: the server's default. */
  model: string;
  ratio: Ratio;
  /** Of the ratio `free`. */
  width: number;
  height: number;
  /** `undefined`: the model's default. */
  steps: number | undefined;
  guidance: number | undefined;
  guidanceFrom: number | undefined;
  guidanceUntil: number | undefined;
  guidanceRenorm: number | undefined;
  shift: number | undefined;
  solver: Solver;
  images: number;
  /** As it is typed; empty: a new one for each request. */
  seed: string;
  negative: string;
  /** `undefined`: the model's default; empty: none. */
  systemPrompt: string | undefined;
  negativeSystemPrompt: string | undefined;
}

const DEFAULTS: Settings = {
  model: "",
  ratio: "1:1",
  width: 0,
  height: 0,
  steps: undefined,
  guidance: undefined,
  guidanceFrom: undefined,
  guidanceUntil: undefined,
  guidanceRenorm: undefined,
  shift: undefined,
  solver: Solver.UNSPECIFIED,
  images: 1,
  seed: "",
  negative: "",
  systemPrompt: undefined,
  negativeSystemPrompt: undefined,
};

export const [settings, setSettings] = createStore<Settings>({ ...DEFAULTS, ...restored() });

/** Keeps the settings when they change. Called once. */
export function keepSettings(): void {
  createEffect(() => {
    save("local", "settings", { ...settings });
  });
}

/** The model that draws. */
export function currentModel(): Model | undefined {
  return models().find(({ name }) => name === settings.model) ?? models()[0];
}

/** Width and height are multiples of this. */
export function sizeMultiple(): number {
  return currentModel()?.sizeMultiple || info()?.limits?.sizeMultiple || 16;
}

/** The solvers that a request may choose, with the names that people know. */
export const SOLVERS = [
  { solver: Solver.EULER, name: "euler", title: "Euler" },
  { solver: Solver.MIDPOINT, name: "midpoint", title: "Midpoint" },
  { solver: Solver.RK4, name: "rk4", title: "RK4" },
  { solver: Solver.DPM, name: "dpm", title: "DPM-Solver++" },
] as const;

/** Those of the model that draws. */
export function solvers(): (typeof SOLVERS)[number][] {
  return SOLVERS.filter(({ name }) => currentModel()?.solvers.includes(name));
}

/** Whether the model that draws can shift its times. */
export function hasShift(): boolean {
  return currentModel()?.hasShift ?? false;
}

/** The size that is drawn: as many pixels as the model's default, in the chosen ratio. */
export function size(): { width: number; height: number } {
  const side = currentModel()?.defaultSize ?? 1024;
  if (settings.ratio === "free") {
    return { width: settings.width || side, height: settings.height || side };
  }
  return sizeOf(RATIOS[settings.ratio], side, sizeMultiple());
}

/** The settings as the fields of a request. */
export function requestOptions(): Options {
  const seed = seedOf(settings.seed);
  const negative = settings.negative.trim();
  return {
    model: settings.model,
    ...size(),
    images: settings.images,
    sampling: {
      // What another model could do is not asked of this one.
      solver: solvers().some(({ solver }) => solver === settings.solver) ? settings.solver : Solver.UNSPECIFIED,
      ...given("steps", settings.steps),
      ...given("guidanceScale", settings.guidance),
      ...given("guidanceFrom", settings.guidanceFrom),
      ...given("guidanceUntil", settings.guidanceUntil),
      ...given("guidanceRenorm", settings.guidanceRenorm),
      ...given("shift", hasShift() ? settings.shift : undefined),
    },
    ...(typeof seed === "bigint" ? { seed } : {}),
    ...given("systemPrompt", settings.systemPrompt),
    ...given("negativeSystemPrompt", settings.negativeSystemPrompt),
    ...(negative === "" ? {} : { negative: { case: "negativeText", value: settings.negative } as const }),
    preview: { method: PreviewMethod.LINEAR, maxEdge: 512 },
  };
}

/** Takes over the settings of a request. */
export function adopt(request: GenerateRequest, negative: string): void {
  const isKnown = models().some(({ name }) => name === request.model);
  const { width, height, sampling } = request;
  const side = models().find(({ name }) => name === request.model)?.defaultSize ?? currentModel()?.defaultSize ?? 1024;
  const fits = Object.entries(RATIOS).find(([, value]) => {
    const own = sizeOf(value, side, sizeMultiple());
    return own.width === width && own.height === height;
  });
  setSettings({
    model: isKnown ? request.model : "",
    ratio: width === 0 || height === 0 ? "1:1" : ((fits?.[0] as Ratio | undefined) ?? "free"),
    width,
    height,
    steps: sampling?.steps || undefined,
    guidance: sampling?.guidanceScale,
    guidanceFrom: sampling?.guidanceFrom,
    guidanceUntil: sampling?.guidanceUntil,
    guidanceRenorm: sampling?.guidanceRenorm,
    shift: sampling?.shift,
    solver: sampling?.solver ?? Solver.UNSPECIFIED,
    images: Math.max(1, request.images),
    seed: request.seed === undefined ? "" : String(request.seed),
    negative,
    systemPrompt: request.systemPrompt,
    negativeSystemPrompt: request.negativeSystemPrompt,
  });
}

/** Back to the defaults of the model; seed and negative prompt stay. */
export function resetSampling(): void {
  const { steps, guidance, guidanceFrom, guidanceUntil, guidanceRenorm, shift, solver } = DEFAULTS;
  const { systemPrompt, negativeSystemPrompt } = DEFAULTS;
  setSettings({
    ...{ steps, guidance, guidanceFrom, guidanceUntil, guidanceRenorm, shift, solver },
    ...{ systemPrompt, negativeSystemPrompt },
  });
}

function given<K extends string, V>(name: K, value: V | undefined): { [name in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [name in K]: V });
}

function restored(): Partial<Settings> {
  const kept = load("local", "settings", isRecord) ?? {};
  const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
  const checks: Record<keyof Settings, (value: unknown) => boolean> = {
    model: (value) => typeof value === "string",
    ratio: (value) => typeof value === "string" && (value === "free" || value in RATIOS),
    width: isNumber,
    height: isNumber,
    steps: isNumber,
    guidance: isNumber,
    guidanceFrom: isNumber,
    guidanceUntil: isNumber,
    guidanceRenorm: isNumber,
    shift: isNumber,
    solver: (value) => isNumber(value) && Solver[value as number] !== undefined,
    images: isNumber,
    seed: (value) => typeof value === "string",
    negative: (value) => typeof value === "string",
    systemPrompt: (value) => typeof value === "string",
    negativeSystemPrompt: (value) => typeof value === "string",
  };
  return Object.fromEntries(
    Object.entries(checks).flatMap(([name, check]) => (check(kept[name]) ? [[name, kept[name]]] : [])),
  );
}
