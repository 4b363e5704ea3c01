/** The scene of the next request: another model draws the pictures of the first pass again. */
import { createEffect, createMemo, createSignal } from "solid-js";
import { clone, create, fromJsonString, toJsonString } from "@bufbuild/protobuf";

import type { ImageSource } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import {
  type GenerateRequest,
  type Protection,
  ProtectionSchema,
  type Sampling,
  SamplingSchema,
  type Scene,
  SceneSchema,
} from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Edit } from "../sakuga/gen/sakuga/prompt/v1/diagnostic_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { readDocument } from "../prompt/document";
import { applyEdits } from "../prompt/edit";
import { negativeText, plainText, promptText } from "../prompt/request";
import { followFirstPass } from "../prompt/scene";
import { adapterList } from "./adapters";
import { models, server } from "./connection";
import { checkedPrompt, fixEdits } from "./findings";
import { fileOf, secondPass, sourceOf } from "./image";
import { text } from "./prompt";
import { currentModel, size, sizeMultiple } from "./settings";
import { isString, load, save } from "./storage";

/** The strength and the factor of a second pass that the server uses if a request does not state them. */
export const SCENE_STRENGTH = 0.4;
const SECOND_FACTOR = 1.5;
/** Pixels over which kept and drawn pixels are mixed. */
const FEATHER = 8;

const [scene, setScene] = createSignal<Scene | undefined>(restored());
/** The file of `scene().protection.image`. */
const [keptFile, setKeptFile] = createSignal<Uint8Array<ArrayBuffer>>();

export { keptFile, scene };

/** The models that can draw over pictures. */
export const sceneModels = (): readonly Model[] => models().filter(({ encodesImages }) => encodesImages);

/** The model of the scene; `undefined`: the server does not have it. */
export const sceneModel = (): Model | undefined => models().find(({ name }) => name === scene()?.model);

export const sceneAdapters = adapterList(sceneModel);

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

/** Adds a scene by a model other than that of the first pass, if there is one, or removes it. */
export function toggleScene(isWanted: boolean): void {
  const other = sceneModels().find(({ name }) => name !== currentModel()?.name) ?? sceneModels()[0];
  setKeptFile(undefined);
  sceneAdapters.set([]);
  const prompt = { case: "xml", value: plainText(readDocument(text())) } as const;
  setScene(isWanted && other ? create(SceneSchema, { model: other.name, prompt }) : undefined);
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
  changeScene({ model, sampling: undefined, refiner: undefined });
}

/** Changes fields of the scene's sampling; what is given as `undefined` is the default. */
export function changeSceneSampling(change: Partial<Pick<Sampling, "steps" | "guidanceScale">>): void {
  changeScene({ sampling: create(SamplingSchema, { ...(scene()?.sampling ?? create(SamplingSchema)), ...change }) });
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
  return shown ? { scene: create(SceneSchema, { ...clone(SceneSchema, shown), adapters: sceneAdapters.options() }) } : {};
}

/** Takes over the scene of an earlier request. */
export async function adoptScene(request: GenerateRequest): Promise<void> {
  const adopted = followFirstPass(request);
  if (!adopted) {
    toggleScene(false);
    return;
  }
  const [value, file] = await Promise.all([promptText(adopted, server()), fileOfProtection(adopted.protection)]);
  setKeptFile(file);
  sceneAdapters.set(adopted.adapters);
  setScene(create(SceneSchema, { ...adopted, prompt: { case: "xml", value }, adapters: [] }));
}

/** Returns what puts back the scene of now. */
export function keepScene(): () => void {
  const [shown, file, adapters] = [scene(), keptFile(), sceneAdapters.used()];
  return () => {
    setScene(shown);
    setKeptFile(file);
    sceneAdapters.set(adapters);
  };
}

/** Checks the prompt of the scene, and keeps the scene without its files and adapters. Called once. */
export function watchScene(): void {
  checkedScene.watch();
  createEffect(() => {
    const shown = scene();
    const kept = shown && clone(SceneSchema, shown);
    delete kept?.protection;
    save("local", "scene", kept ? toJsonString(SceneSchema, kept) : "");
  });
}

async function fileOfProtection(protection: Protection | undefined): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const image: ImageSource | undefined = protection?.image;
  return image && (await fileOf(image));
}

function restored(): Scene | undefined {
  try {
    const kept = load("local", "scene", isString) ?? "";
    return kept === "" ? undefined : fromJsonString(SceneSchema, kept);
  } catch {
    return undefined;
  }
}
