/** The image that the next pictures begin from, and what of it is drawn again, which do not outlive the page; and the second pass. */
import { createEffect, createSignal } from "solid-js";
import { clone, create } from "@bufbuild/protobuf";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import {
  type ImageSource,
  ImageSourceSchema,
  type InitImage,
  InitImageSchema,
  type Mask,
  MaskSchema,
  ResizeMode,
  type SecondPass,
  SecondPassSchema,
} from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import { type GenerateRequest, GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { LIMITS } from "../prompt/limits";
import { type Picture, readPicture } from "../prompt/picture";
import { t } from "../text";
import { currentModel } from "./settings";
import { loadMessage, saveMessage } from "./storage";
import { download, upload } from "./upload";

/** A picture of this page, with an address that `<img>` shows, or one that the server has from an earlier request. */
export interface StartImage {
  readonly source: ImageSource;
  readonly name: string;
  readonly picture: (Picture & { readonly address: string }) | undefined;
}

/** A mask: white is drawn again. */
export interface StartMask {
  /** Absent with `address`. */
  readonly file: Uint8Array<ArrayBuffer> | undefined;
  /** Absent: an earlier request marks it by rectangles. */
  readonly source: ImageSource | undefined;
  readonly address: string | undefined;
}

export const STRENGTH = 0.75;
/** Pixels over which drawn and kept pixels are mixed. */
const FEATHER = 8;

/** Files of this page by their SHA-256, the newest ones: a request that names one of them is sent with the file again. */
const files = new Map<string, Uint8Array<ArrayBuffer>>();
const FILES_MAX = 8;

const [image, setImage] = createSignal<StartImage>();
const [mask, setMaskSignal] = createSignal<StartMask>();
const [strength, setStrength] = createSignal(STRENGTH);
const [resize, setResize] = createSignal(ResizeMode.CROP);
/** What else an earlier request said about its image and its mask. */
let earlier: { init: InitImage | undefined; mask: Mask | undefined } = { init: undefined, mask: undefined };

export { image, mask, resize, setResize, setStrength, strength };

/** Where the second pass is kept. */
const SECOND = "second-pass";

const [secondPass, setSecondPass] = createSignal(loadMessage(SECOND, SecondPassSchema));

export { secondPass };

/** Keeps the second pass when it changes. Called once. */
export function watchSecondPass(): void {
  createEffect(() => {
    saveMessage(SECOND, SecondPassSchema, secondPass());
  });
}

/** Draws every picture again at a larger size, or not. What is not given stays as it is. */
export function changeSecondPass(change: { factor?: number; strength?: number } | undefined): void {
  if (change === undefined) {
    setSecondPass(undefined);
    return;
  }
  const old = secondPass();
  const next = old ? clone(SecondPassSchema, old) : create(SecondPassSchema);
  setSecondPass(Object.assign(next, change));
}

/** Whether the model that draws can begin from an image. */
export const canBegin = (): boolean => currentModel()?.encodesImages ?? false;

/** Begins from this file; a large one is uploaded first. Throws if it is damaged, or why the server does not take it. */
export async function beginFrom(name: string, data: Uint8Array<ArrayBuffer>): Promise<void> {
  const picture = await readPicture(data);
  showStart(await sourceOf(data), name, picture);
}

/** Begins from a file that the server has, or that the request brings. */
function showStart(source: ImageSource, name: string, picture: Picture): void {
  clearImage();
  setImage({ source, name, picture: { ...picture, address: URL.createObjectURL(new Blob([picture.data])) } });
}

/** Draws again what is white in this file; `undefined`: everything. Throws why the server does not take the file. */
export async function setMask(file: Uint8Array<ArrayBuffer> | undefined): Promise<void> {
  const source = file && (await sourceOf(file));
  showMask(file && source && { file, source });
}

function showMask(given: { file: Uint8Array<ArrayBuffer>; source: ImageSource } | undefined): void {
  const old = mask()?.address;
  if (old !== undefined) {
    URL.revokeObjectURL(old);
  }
  earlier.mask = undefined;
  setMaskSignal(
    given && {
      ...given,
      address: URL.createObjectURL(new Blob([given.file], { type: "image/png" })),
    },
  );
}

/** The request with the files of this page in place of their names. */
export function withFiles(request: GenerateRequest): GenerateRequest {
  const copy = clone(GenerateRequestSchema, request);
  if (copy.init?.image) {
    copy.init.image = fileNamed(copy.init.image);
  }
  if (copy.mask?.image) {
    copy.mask.image = fileNamed(copy.mask.image);
  }
  if (copy.scene?.protection?.image) {
    copy.scene.protection.image = fileNamed(copy.scene.protection.image);
  }
  return copy;
}

/** A file as a request names it: in the request itself, or uploaded if it is too large for that. */
export async function sourceOf(file: Uint8Array<ArrayBuffer>): Promise<ImageSource> {
  if (file.length <= LIMITS.inline.max) {
    return inline(file);
  }
  return create(ImageSourceSchema, { source: { case: "asset", value: await upload(file) } });
}

/** A file in a request; it is remembered. */
function inline(file: Uint8Array<ArrayBuffer>): ImageSource {
  files.set(bytesToHex(sha256(file)), file);
  for (const old of [...files.keys()].slice(0, -FILES_MAX)) {
    files.delete(old);
  }
  return create(ImageSourceSchema, { source: { case: "inline", value: file } });
}

function fileNamed(source: ImageSource): ImageSource {
  const file = source.source.case === "asset" ? files.get(source.source.value) : undefined;
  return file ? inline(file) : source;
}

/** Begins from noise again. */
export function clearImage(): void {
  const old = image()?.picture?.address;
  if (old !== undefined) {
    URL.revokeObjectURL(old);
  }
  showMask(undefined);
  earlier = { init: undefined, mask: undefined };
  setImage(undefined);
}

/** Returns what puts back the image, the mask and the second pass of now. */
export function keepImage(): () => void {
  const [shown, painted, second] = [image(), mask(), secondPass()];
  const [share, mode, rest] = [strength(), resize(), { ...earlier }];
  return () => {
    // Their addresses are released by now; the files are not.
    clearImage();
    if (shown?.picture) {
      showStart(shown.source, shown.name, shown.picture);
    } else {
      setImage(shown);
    }
    if (painted?.file && painted.source) {
      showMask({ file: painted.file, source: painted.source });
    } else {
      setMaskSignal(painted);
    }
    earlier = rest;
    setStrength(share);
    setResize(mode);
    setSecondPass(second);
  };
}

/** The fields of a request for the image and its mask. */
export function imageOptions(): { init?: InitImage; mask?: Mask; secondPass?: SecondPass } {
  const second = secondPass();
  if (!canBegin()) {
    return {};
  }
  return { ...startOptions(), ...(second ? { secondPass: second } : {}) };
}

function startOptions(): { init?: InitImage; mask?: Mask } {
  const shown = image();
  if (!shown) {
    return {};
  }
  const init = earlier.init ? clone(InitImageSchema, earlier.init) : create(InitImageSchema);
  init.image = shown.source;
  init.strength = strength();
  init.resize = resize();
  const painted = mask();
  if (!painted) {
    return { init };
  }
  const drawn = earlier.mask ? clone(MaskSchema, earlier.mask) : create(MaskSchema, { feather: FEATHER });
  if (painted.source) {
    drawn.image = painted.source;
  }
  return { init, mask: drawn };
}

/** The file of an earlier request, from this page or from the server; `undefined` if neither has it. */
export async function fileOf({ source }: ImageSource): Promise<Uint8Array<ArrayBuffer> | undefined> {
  return source.case === "asset" ? download(source.value) : source.value?.slice();
}

/** Takes over the image of an earlier request: a file of this page, or one that the server has. */
export async function adoptImage(earlierRequest: GenerateRequest): Promise<void> {
  const request = withFiles(earlierRequest);
  clearImage();
  setSecondPass(request.secondPass);
  setStrength(request.init?.strength ?? STRENGTH);
  setResize(request.init?.resize ?? ResizeMode.CROP);
  const source = request.init?.image;
  if (!source) {
    return;
  }
  const file = await fileOf(source);
  // A file that this browser cannot show still is one that the server can begin from.
  const picture = file && (await readPicture(file).catch(() => undefined));
  if (picture) {
    // By the same source: a file that the server has is not sent again.
    showStart(source, t("image.title"), picture);
  } else {
    setImage({ source, name: source.source.value?.slice(0, 12).toString() ?? "", picture: undefined });
  }
  const painted = request.mask?.image;
  const mask = painted && (await fileOf(painted));
  if (mask) {
    showMask({ file: mask, source: painted });
  } else if (request.mask) {
    setMaskSignal({ file: undefined, source: painted, address: undefined });
  }
  earlier = { init: request.init, mask: request.mask };
}
