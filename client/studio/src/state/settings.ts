/** How to draw: what stands in the form next to the picture. Empty fields are chosen by the model. */
import { createEffect } from "solid-js";
import { createStore } from "solid-js/store";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";

import { NoiseSchedule, type Options, PreviewMethod, Solver } from "../sakuga/web.js";
import { type GenerateRequest, Quality, StepCacheSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { usableSchedule, usableSolver } from "../prompt/sampling";
import { FREE, type NamedSize, nearest, seedOf, sizesOf } from "../prompt/size";
import { info, models } from "./connection";
import { isRecord, load, save } from "./storage";

export interface Settings {
  /** Empty: the server's default. */
  model: string;
  /** Such as `3:4`, or `FREE`. A model offers its own ratios; of another one the nearest is taken. */
  ratio: string;
  /** Of the ratio `FREE`. */
  width: number;
  height: number;
  /** `undefined`: the model's default. */
  steps: number | undefined;
  guidance: number | undefined;
  guidanceFrom: number | undefined;
  guidanceUntil: number | undefined;
  guidanceRenorm: number | undefined;
  guidanceRescale: number | undefined;
  shift: number | undefined;
  solver: Solver;
  schedule: NoiseSchedule;
  /** `UNSPECIFIED` is exact. */
  quality: Quality;
  /** The step cache of an earlier request as protobuf JSON; empty: that which the model uses for the quality. */
  stepCache: string;
  images: number;
  /** As it is typed; empty: a new one for each request. */
  seed: string;
  negative: string;
  /** `undefined`: the model's default; empty: none. */
  systemPrompt: string | undefined;
  negativeSystemPrompt: string | undefined;
}

/** The edge of a model that names none, in pixels. */
const DEFAULT_SIDE = 1024;

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
  guidanceRescale: undefined,
  shift: undefined,
  solver: Solver.UNSPECIFIED,
  schedule: NoiseSchedule.UNSPECIFIED,
  quality: Quality.UNSPECIFIED,
  stepCache: "",
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

/** Width and height of the pictures of a model, by default of the one that draws, are multiples of this. */
export function sizeMultiple(model = currentModel()): number {
  return model?.sizeMultiple || info()?.limits?.sizeMultiple || 16;
}

/** Whether a model, by default the one that draws, can reuse parts of earlier steps. Otherwise every picture is exact. */
export function hasStepCache(model = currentModel()): boolean {
  return (model?.stepCacheBlocks ?? 0) > 0;
}

/** Chooses another model by name; empty: the server's default. The step cache of a request is for the model of that request. */
export function chooseModel(model: string): void {
  setSettings({ model });
  chooseQuality(settings.quality === Quality.CUSTOM ? Quality.UNSPECIFIED : settings.quality);
}

/** Chooses a quality, with the step cache that the model uses for it. */
export function chooseQuality(quality: Quality): void {
  setSettings({ quality, stepCache: "" });
}

/** Whether the model that draws can shift its times. */
export function hasShift(): boolean {
  return currentModel()?.hasShift ?? false;
}

/** The sizes that the model that draws offers by their ratio. */
export const sizes = (): readonly NamedSize[] => {
  const model = currentModel();
  return sizesOf(model?.vocabulary?.sizes ?? [], model?.defaultSize || DEFAULT_SIDE, sizeMultiple());
};

/** The offered size of the chosen ratio; `undefined` if the size is free. */
export function chosenSize(): NamedSize | undefined {
  return settings.ratio === FREE ? undefined : nearest(sizes(), settings.ratio);
}

/** The size that is drawn. */
export function size(): { width: number; height: number } {
  const side = currentModel()?.defaultSize || DEFAULT_SIDE;
  const { width, height } = chosenSize() ?? { width: settings.width || side, height: settings.height || side };
  return { width, height };
}

/** The settings as the fields of a request. */
export function requestOptions(): Options {
  const seed = seedOf(settings.seed);
  const negative = settings.negative.trim();
  const solver = usableSolver(currentModel(), settings.solver);
  return {
    model: settings.model,
    ...size(),
    images: settings.images,
    sampling: {
      // What another model could do is not asked of this one.
      solver,
      schedule: usableSchedule(currentModel(), solver, settings.schedule),
      ...qualityOptions(),
      ...given("steps", settings.steps),
      ...given("guidanceScale", settings.guidance),
      ...given("guidanceFrom", settings.guidanceFrom),
      ...given("guidanceUntil", settings.guidanceUntil),
      ...given("guidanceRenorm", settings.guidanceRenorm),
      ...given("guidanceRescale", settings.guidanceRescale),
      ...given("shift", hasShift() ? settings.shift : undefined),
    },
    ...(typeof seed === "bigint" ? { seed } : {}),
    ...given("systemPrompt", settings.systemPrompt),
    ...given("negativeSystemPrompt", settings.negativeSystemPrompt),
    ...(negative === "" ? {} : { negative: { case: "negativeText", value: settings.negative } as const }),
    preview: { method: PreviewMethod.LINEAR, maxEdge: 512 },
  };
}

function qualityOptions(): Pick<NonNullable<Options["sampling"]>, "quality" | "stepCache"> {
  if (!hasStepCache()) {
    return {};
  }
  const { quality, stepCache } = settings;
  return stepCache === "" ? { quality } : { quality, stepCache: fromJsonString(StepCacheSchema, stepCache) };
}

/** Takes over the settings of a request. */
export function adopt(request: GenerateRequest, negative: string): void {
  const isKnown = models().some(({ name }) => name === request.model);
  const { width, height, sampling } = request;
  setSettings({ model: isKnown ? request.model : "" });
  const fits = sizes().find((one) => one.width === width && one.height === height);
  setSettings({
    ratio: width === 0 || height === 0 ? DEFAULTS.ratio : (fits?.name ?? FREE),
    width,
    height,
    steps: sampling?.steps || undefined,
    guidance: sampling?.guidanceScale,
    guidanceFrom: sampling?.guidanceFrom,
    guidanceUntil: sampling?.guidanceUntil,
    guidanceRenorm: sampling?.guidanceRenorm,
    guidanceRescale: sampling?.guidanceRescale,
    shift: sampling?.shift,
    solver: sampling?.solver ?? Solver.UNSPECIFIED,
    schedule: sampling?.schedule ?? NoiseSchedule.UNSPECIFIED,
    quality: sampling?.quality ?? Quality.UNSPECIFIED,
    stepCache: sampling?.stepCache ? toJsonString(StepCacheSchema, sampling.stepCache) : "",
    images: Math.max(1, request.images),
    seed: request.seed === undefined ? "" : String(request.seed),
    negative,
    systemPrompt: request.systemPrompt,
    negativeSystemPrompt: request.negativeSystemPrompt,
  });
}

/** What `resetSampling` leaves as it is. */
const KEPT: readonly string[] = ["model", "ratio", "width", "height", "images", "seed", "negative"];

/** Back to the defaults of the model; size, number of images, seed and negative prompt stay. */
export function resetSampling(): void {
  setSettings(Object.fromEntries(Object.entries(DEFAULTS).filter(([name]) => !KEPT.includes(name))));
}

function given<K extends string, V>(name: K, value: V | undefined): { [name in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { [name in K]: V });
}

function isStepCache(value: unknown): boolean {
  try {
    return value === "" || (typeof value === "string" && fromJsonString(StepCacheSchema, value).rule.case !== undefined);
  } catch {
    return false;
  }
}

function restored(): Partial<Settings> {
  const kept = load("local", "settings", isRecord) ?? {};
  const isNumber = (value: unknown) => typeof value === "number" && Number.isFinite(value);
  const checks: Record<keyof Settings, (value: unknown) => boolean> = {
    model: (value) => typeof value === "string",
    ratio: (value) => typeof value === "string",
    width: isNumber,
    height: isNumber,
    steps: isNumber,
    guidance: isNumber,
    guidanceFrom: isNumber,
    guidanceUntil: isNumber,
    guidanceRenorm: isNumber,
    guidanceRescale: isNumber,
    shift: isNumber,
    solver: (value) => isNumber(value) && Solver[value as number] !== undefined,
    schedule: (value) => isNumber(value) && NoiseSchedule[value as number] !== undefined,
    quality: (value) => isNumber(value) && Quality[value as number] !== undefined,
    stepCache: isStepCache,
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
