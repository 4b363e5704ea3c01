/** The scene of the next request: another model draws the pictures of the first pass again. */
import { createEffect, createMemo, createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";

import { type ImageSource, ResizeMode } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import {
  type GenerateRequest,
  type Protection,
  ProtectionSchema,
  Quality,
  type Sampling,
  SamplingSchema,
  type Scene,
  SceneSchema,
} from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { applyEdits } from "../prompt/edit";
import { negativeText, promptText } from "../prompt/request";
import { usableSchedule, usableSolver } from "../prompt/sampling";
import { followFirstPass } from "../prompt/scene";
import { seedOf } from "../prompt/size";
import { adapterList } from "./adapters";
import { models, server } from "./connection";
import { checkedPrompt, fixEdits } from "./findings";
import { fileOf, secondPass, sourceOf } from "./image";
import { text } from "./prompt";
import { type RefinerChange, canRefine, changedRefiner } from "./refiner";
import { currentModel, hasStepCache, size, sizeMultiple } from "./settings";
import { isString, load, loadMessage, save, saveMessage } from "./storage";

/** The strength and the factor of a second pass that the server uses if a request does not state them. */
export const SCENE_STRENGTH = 0.4;
const SECOND_FACTOR = 1.5;
/** Pixels over which kept and drawn pixels are mixed. */
const FEATHER = 8;

/** Where the scene and the text of its seed are kept. */
const KEPT = "scene";
const KEPT_SEED = "scene-seed";

const restored = loadMessage(KEPT, SceneSchema);
/** Without its adapters and its seed, which are kept separately. */
const [scene, setScene] = createSignal(restored && create(SceneSchema, { ...restored, adapters: [] }));
/** The seed as it is typed; empty: one more than that of the first pass. */
const [sceneSeed, setSceneSeed] = createSignal(load("local", KEPT_SEED, isString) ?? "");
/** The file of `scene().protection.image`. */
const [keptFile, setKeptFile] = createSignal<Uint8Array<ArrayBuffer>>();
/** Puts back the scene that a person has switched off. */
let switchedOff: (() => void) | undefined;

export { keptFile, scene, sceneSeed, setSceneSeed };

/** The models that can draw over pictures. */
export const sceneModels = (): readonly Model[] => models().filter(({ encodesImages }) => encodesImages);

/** The model of the scene; `undefined`: the server does not have it. */
export const sceneModel = (): Model | undefined => models().find(({ name }) => name === scene()?.model);

export const sceneAdapters = adapterList(sceneModel, restored?.adapters);

/** Whether there is a scene with a text in the field of its seed that is no seed. */
export const isSceneSeedWrong = (): boolean => scene() !== undefined && seedOf(sceneSeed()) === null;

/** Whether the scene has a size of its own. */
export const hasSceneSize = (): boolean => (scene()?.width ?? 0) > 0;

/** The prompt of the scene as text. */
export const sceneText = (): string => {
  const prompt = scene()?.prompt;
  return prompt?.case === "xml" ? prompt.value : "";
};

export const sceneNegative = (): string => {
  const shown = scene();
  return shown ? negativeText(shown) : "";
};

export const checkedScene = checkedPrompt(
  createMemo(() => (scene() ? sceneText() : undefined)),
  () => scene()?.model ?? "",
);

/** Adds the scene that was switched off last, or else one of the same prompt by another model; or switches it off. */
export function toggleScene(isWanted: boolean): void {
  if (!isWanted) {
    const putBack = keepScene();
    removeScene();
    switchedOff = putBack;
  } else if (switchedOff) {
    switchedOff();
  } else {
    const other = sceneModels().find(({ name }) => name !== currentModel()?.name) ?? sceneModels()[0];
    setScene(other && create(SceneSchema, { model: other.name, prompt: { case: "xml", value: text() } }));
  }
}

/** Removes the scene. */
export function removeScene(): void {
  switchedOff = undefined;
  setScene(undefined);
  setSceneSeed("");
  setKeptFile(undefined);
  sceneAdapters.set([]);
}

/** Changes fields of the scene; what is given as `undefined` is the default. */
export function changeScene(change: Partial<Omit<Scene, "$typeName" | "$unknown">>): void {
  const old = scene();
  if (old) {
    setScene(create(SceneSchema, { ...old, ...change }));
  }
}

/** Has another model draw the scene, with its own defaults. */
export function chooseSceneModel(model: string): void {
  changeScene({ model });
  resetScene();
}

/** Back to the defaults of the scene's model; prompts, size, seed, strength and adapters stay. */
export function resetScene(): void {
  changeScene({ sampling: undefined, refiner: undefined, systemPrompt: undefined, negativeSystemPrompt: undefined });
}

/** Changes fields of the scene's sampling; what is given as `undefined` is the default. */
export function changeSceneSampling(change: Partial<Omit<Sampling, "$typeName" | "$unknown">>): void {
  changeScene({ sampling: create(SamplingSchema, { ...(scene()?.sampling ?? create(SamplingSchema)), ...change }) });
}

/** Chooses the quality of the scene, with the step cache that its model uses for it. */
export function chooseSceneQuality(quality: Quality): void {
  changeSceneSampling({ quality, stepCache: undefined });
}

/** Has the refiner of the scene's model compute the end, or not. */
export function changeSceneRefiner(change: RefinerChange | undefined): void {
  changeScene({ refiner: changedRefiner(scene()?.refiner, change) });
}

/** Gives the scene a size of its own, at first that of the first pass, or has it follow the first pass again. */
export function ownSceneSize(isOwn: boolean): void {
  if (!isOwn) {
    changeScene({ width: 0, height: 0, resize: ResizeMode.UNSPECIFIED });
    return;
  }
  const multiple = sizeMultiple(sceneModel());
  const round = (length: number) => Math.max(multiple, Math.round(length / multiple) * multiple);
  const { width, height } = firstPassSize();
  changeScene({ width: round(width), height: round(height), resize: ResizeMode.CROP });
}

/** Applies the edits of a fix to the text of the scene, if it is the one that was checked. */
export function fixScene(edits: readonly Edit[], checkedText: string): void {
  if (checkedText === sceneText()) {
    changeScene({ prompt: { case: "xml", value: applyEdits(checkedText, fixEdits(edits, checkedText)) } });
  }
}

/** The size of the pictures of the first pass, which the scene begins from. */
export function firstPassSize(): { width: number; height: number } {
  const { width, height } = size();
  const second = secondPass();
  const factor = second ? (second.factor ?? SECOND_FACTOR) : 1;
  const round = (length: number) => Math.floor((length * factor) / sizeMultiple()) * sizeMultiple();
  return { width: round(width), height: round(height) };
}

/** Keeps what is white in this file as the first pass drew it; `undefined`: nothing. Throws why the server does not take the file. */
export async function protect(file: Uint8Array<ArrayBuffer> | undefined): Promise<void> {
  const feather = scene()?.protection?.feather ?? FEATHER;
  const protection = file && create(ProtectionSchema, { image: await sourceOf(file), feather });
  setKeptFile(file);
  changeScene({ protection });
}

/** Over how many pixels kept and drawn pixels are mixed. */
export function featherProtection(feather: number | undefined): void {
  const protection = scene()?.protection;
  if (protection) {
    changeScene({ protection: create(ProtectionSchema, { ...protection, feather: feather ?? FEATHER }) });
  }
}

/** The scene of the next request. */
export function sceneOptions(): { scene?: Scene } {
  const shown = scene();
  if (!shown) {
    return {};
  }
  const wanted = clone(SceneSchema, shown);
  wanted.adapters = sceneAdapters.options();
  const seed = seedOf(sceneSeed());
  if (typeof seed === "bigint") {
    wanted.seed = seed;
  }
  const model = sceneModel();
  if (model) {
    leaveOut(wanted, model);
  }
  return { scene: wanted };
}

/** Removes what the model of a scene cannot do. */
function leaveOut(wanted: Scene, model: Model): void {
  const { sampling } = wanted;
  if (sampling) {
    sampling.solver = usableSolver(model, sampling.solver);
    sampling.schedule = usableSchedule(model, sampling.solver, sampling.schedule);
    if (!hasStepCache(model)) {
      sampling.quality = Quality.UNSPECIFIED;
      delete sampling.stepCache;
    }
    if (!model.hasShift) {
      delete sampling.shift;
    }
  }
  if (!canRefine(model)) {
    delete wanted.refiner;
  }
}

/** Takes over the scene of an earlier request. */
export async function adoptScene(request: GenerateRequest): Promise<void> {
  const adopted = followFirstPass(request);
  if (!adopted) {
    removeScene();
    return;
  }
  const [value, file] = await Promise.all([promptText(adopted, server()), fileOfProtection(adopted.protection)]);
  switchedOff = undefined;
  setKeptFile(file);
  sceneAdapters.set(adopted.adapters);
  setSceneSeed(adopted.seed === undefined ? "" : String(adopted.seed));
  delete adopted.seed;
  setScene(create(SceneSchema, { ...adopted, prompt: { case: "xml", value }, adapters: [] }));
}

/** Returns what puts back the scene of now. */
export function keepScene(): () => void {
  const [shown, seed, file, adapters] = [scene(), sceneSeed(), keptFile(), sceneAdapters.used()];
  const earlier = switchedOff;
  return () => {
    switchedOff = earlier;
    setScene(shown);
    setSceneSeed(seed);
    setKeptFile(file);
    sceneAdapters.set(adapters);
  };
}

/** Checks the prompt of the scene, and keeps the scene without its files. Called once. */
export function watchScene(): void {
  checkedScene.watch();
  createEffect(() => {
    const shown = scene();
    const kept = shown && create(SceneSchema, { ...clone(SceneSchema, shown), adapters: [...sceneAdapters.used()] });
    if (kept?.protection?.image) {
      delete kept.protection;
    }
    saveMessage(KEPT, SceneSchema, kept);
  });
  createEffect(() => {
    save("local", KEPT_SEED, sceneSeed());
  });
}

async function fileOfProtection(protection: Protection | undefined): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const image: ImageSource | undefined = protection?.image;
  return image && (await fileOf(image));
}
