/** Images that steer the next pictures through control networks. Their files are uploaded. They do not outlive the page. */
import { createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";

import {
  type Control,
  ControlSchema,
  ImageSourceSchema,
  ResizeMode,
} from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import type { GenerateRequest } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { LIMITS } from "../prompt/limits";
import { readPicture } from "../prompt/picture";
import { fileOf } from "./image";
import { currentModel } from "./settings";
import { upload } from "./upload";

/** A control image as a request names it, with the file if this page or the server has it. */
export interface ShownControl {
  readonly control: Control;
  readonly file: Uint8Array<ArrayBuffer> | undefined;
}

const [controls, setControls] = createSignal<readonly ShownControl[]>([]);

export { controls };

/** The networks that the model that draws can use, by name. */
export const networks = (): readonly string[] =>
  (currentModel()?.controlNetworks ?? []).filter(({ problem }) => problem === "").map(({ name }) => name);

/** Steers by this file. Throws if it is damaged, or why the server does not take it. */
export async function addControl(network: string, file: Uint8Array<ArrayBuffer>): Promise<void> {
  await readPicture(file);
  const image = create(ImageSourceSchema, { source: { case: "asset", value: await upload(file) } });
  const control = create(ControlSchema, { network, image, resize: ResizeMode.CROP });
  setControls([...controls(), { control, file }].slice(0, LIMITS.controls.max));
}

/** Changes fields of a control image; what is given as `undefined` is the default. */
export function changeControl(at: number, change: Partial<Omit<Control, "$typeName" | "$unknown">>): void {
  setControls(
    controls().map((shown, index) =>
      index === at ? { ...shown, control: create(ControlSchema, { ...shown.control, ...change }) } : shown,
    ),
  );
}

export function removeControl(at: number): void {
  setControls(controls().filter((_, index) => index !== at));
}

/** The control images of the next request: those whose network the model has. */
export function controlOptions(): { controls?: Control[] } {
  const known = networks();
  const used = controls().filter(({ control }) => known.includes(control.network));
  return used.length === 0 ? {} : { controls: used.map(({ control }) => clone(ControlSchema, control)) };
}

/** Takes over the control images of an earlier request. */
export async function adoptControls(request: GenerateRequest): Promise<void> {
  const found = request.controls.map(async (control) => ({ control, file: control.image && (await fileOf(control.image)) }));
  setControls(await Promise.all(found));
}

/** Returns what puts back the control images of now. */
export function keepControls(): () => void {
  const kept = controls();
  return () => {
    setControls(kept);
  };
}
