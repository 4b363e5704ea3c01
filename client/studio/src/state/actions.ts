/** What buttons, keys and dropped files do. */
import { createSignal } from "solid-js";
import { create } from "@bufbuild/protobuf";

import {
  type GenerateRequest,
  GenerateRequestSchema,
  PreviewMethod,
  PreviewOptionsSchema,
} from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { LoadError, loadFile } from "../prompt/load";
import { negativeText, promptText } from "../prompt/request";
import { followFirstPass } from "../prompt/scene";
import { FREE, seedOf } from "../prompt/size";
import { t } from "../text";
import { firstAdapters } from "./adapters";
import { explainFailure, server } from "./connection";
import { addControl, adoptControls, controlOptions, keepControls } from "./controls";
import { adoptImage, beginFrom, canBegin, clearImage, image, imageOptions, keepImage, setMask, withFiles } from "./image";
import { draw } from "./jobs";
import { checked, currentCheck, setText, text } from "./prompt";
import { adoptRefiner, keepRefiner, refinerOptions } from "./refiner";
import { adoptScene, checkedScene, isSceneSeedWrong, keepScene, protect, removeScene, scene, sceneOptions } from "./scene";
import { adopt, requestOptions, setSettings, settings } from "./settings";
import { setTags } from "./vocabulary";

/** What is said about the last action. */
export interface Notice {
  readonly text: string;
  readonly isProblem: boolean;
  /** Takes the action back, if that is possible. */
  readonly undo?: () => void;
}

/** A message about the last action; it goes away with the next. */
export const [notice, setNotice] = createSignal<Notice>();

const [isSubmitting, setSubmitting] = createSignal(false);
export { isSubmitting };

/** Whether a prompt that stands there, that of the first pass or that of the scene, is known to be refused. */
export const isRefused = (): boolean => checked.isRefused() || (scene() !== undefined && checkedScene.isRefused());

const isChecked = (): boolean =>
  currentCheck() !== undefined && (scene() === undefined || checkedScene.currentCheck() !== undefined);

const hasSeeds = (): boolean => seedOf(settings.seed) !== null && !isSceneSeedWrong();

export const canDraw = (): boolean => !isRefused() && hasSeeds() && !isSubmitting();

/** What `drawPrompt` would submit now; `undefined` while a prompt is not known to be accepted, or without a valid seed. */
export const nextRequest = (): GenerateRequest | undefined =>
  isChecked() && !isRefused() && hasSeeds() ? requestNow() : undefined;

/** Draws the prompt with the settings. */
export async function drawPrompt(): Promise<void> {
  if (canDraw()) {
    await submit(requestNow());
  }
}

function requestNow(): GenerateRequest {
  return create(GenerateRequestSchema, {
    ...requestOptions(),
    ...imageOptions(),
    ...refinerOptions(),
    ...controlOptions(),
    ...sceneOptions(),
    adapters: firstAdapters.options(),
    prompt: { case: "xml", value: text() },
  });
}

/** Draws a request again: the same pictures on the same device. */
export async function redraw(request: GenerateRequest): Promise<void> {
  await submit(withPreviews(request));
}

/** Draws a request with a new seed. */
export async function vary(request: GenerateRequest): Promise<void> {
  const varied = withPreviews(request);
  const scene = followFirstPass(varied);
  if (scene) {
    varied.scene = scene;
  }
  delete varied.seed;
  await submit(varied);
}

/** Puts prompt and settings of a request into the editor. */
export async function usePrompt(request: GenerateRequest): Promise<boolean> {
  const undo = undoToNow();
  try {
    setText(await promptText(request, server()));
    adopt(request, negativeText(request));
    await adoptImage(request);
    firstAdapters.set(request.adapters);
    adoptRefiner(request);
    await adoptControls(request);
    await adoptScene(withFiles(request));
    setNotice({ text: t("prompt.replaced"), isProblem: false, undo });
    return true;
  } catch (error) {
    setNotice({ text: explainFailure(error), isProblem: true });
    return false;
  }
}

/** Returns what puts back the prompt, the settings and the images of now. */
function undoToNow(): () => void {
  const [before, options, adapters] = [text(), { ...settings }, firstAdapters.used()];
  const others = [keepImage(), keepRefiner(), keepControls(), keepScene()];
  return () => {
    setText(before);
    setSettings(options);
    firstAdapters.set(adapters);
    for (const putBack of others) {
      putBack();
    }
    setNotice(undefined);
  };
}

/** An empty prompt. */
export function newPrompt(): void {
  const undo = undoToNow();
  const isEmpty = text().trim() === "" && image() === undefined && scene() === undefined;
  setNotice(isEmpty ? undefined : { text: t("prompt.emptied"), isProblem: false, undo });
  setText("");
  clearImage();
  removeScene();
  setSettings({ negative: "", systemPrompt: undefined, negativeSystemPrompt: undefined });
}

/** Loads a file that was chosen or dropped. */
export async function openFile(file: File): Promise<void> {
  const undo = undoToNow();
  try {
    const loaded = await loadFile(file);
    if (loaded.kind === "tags") {
      const count = await setTags(file.name, loaded.csv);
      if (count === 0) {
        throw new LoadError("load.no-tags");
      }
      setNotice({ text: t("load.tags", { name: file.name, n: count }), isProblem: false });
      return;
    }
    if (loaded.kind === "image") {
      await begin(file.name, loaded.data);
      return;
    }
    if (loaded.kind === "foreign") {
      const { prompt, negative, unused, ...given } = loaded.foreign;
      setText(prompt);
      setSettings({ negative, ...given, ratio: given.width && given.height ? FREE : settings.ratio });
      const name = file.name;
      const rest = unused.join(", ");
      setNotice({ text: t(rest === "" ? "load.done" : "load.parameters", { name, rest }), isProblem: false, undo });
      return;
    }
    if (loaded.kind === "text") {
      setText(loaded.text);
    } else if (!loaded.metadata.request) {
      throw new LoadError("load.damaged");
    } else if (!(await usePrompt(loaded.metadata.request))) {
      return;
    }
    setNotice({ text: t("load.done", { name: file.name }), isProblem: false, undo });
  } catch (error) {
    setNotice({ text: error instanceof LoadError ? t(error.key) : explainFailure(error), isProblem: true });
  }
}

/** Begins from a file that was chosen, whatever it says about how it was drawn. */
export async function openImage(file: File): Promise<void> {
  await begin(file.name, new Uint8Array(await file.arrayBuffer()));
}

/** Begins from a finished picture. */
export async function beginFromArtifact(jobId: string, image: number): Promise<void> {
  try {
    await begin(`${jobId.slice(0, 8)}-${image}`, new Uint8Array(await server().artifact(jobId, image)));
  } catch (error) {
    setNotice({ text: explainFailure(error), isProblem: true });
  }
}

async function begin(name: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!canBegin()) {
    setNotice({ text: t("image.none"), isProblem: true });
    return;
  }
  const undo = undoToNow();
  try {
    await beginFrom(name, data);
    setNotice({ text: t("image.begun"), isProblem: false, undo });
  } catch (error) {
    noteFile(error);
  }
}

/** Steers the pictures by a file through a control network. */
export async function openControl(network: string, file: File): Promise<void> {
  try {
    await addControl(network, new Uint8Array(await file.arrayBuffer()));
    setNotice(undefined);
  } catch (error) {
    noteFile(error);
  }
}

/** Says why a picture cannot be used: the browser cannot decode it, or the server does not take it. */
function noteFile(error: unknown): void {
  const text = error instanceof DOMException ? t("load.undecodable") : explainFailure(error);
  setNotice({ text, isProblem: true });
}

/** Draws again what is white in this picture. */
export async function drawMasked(file: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await setMask(file);
  } catch (error) {
    setNotice({ text: explainFailure(error), isProblem: true });
  }
}

/** Keeps what is white in this picture as the first pass drew it; `undefined`: nothing. */
export async function protectPainted(file: Uint8Array<ArrayBuffer> | undefined): Promise<void> {
  try {
    await protect(file);
  } catch (error) {
    setNotice({ text: explainFailure(error), isProblem: true });
  }
}

async function submit(request: GenerateRequest): Promise<void> {
  setSubmitting(true);
  setNotice(undefined);
  try {
    await draw(request);
  } catch (error) {
    setNotice({ text: explainFailure(error), isProblem: true });
  } finally {
    setSubmitting(false);
  }
}

function withPreviews(request: GenerateRequest): GenerateRequest {
  const copy = withFiles(request);
  copy.preview = create(PreviewOptionsSchema, { method: PreviewMethod.LINEAR, maxEdge: 512 });
  return copy;
}
