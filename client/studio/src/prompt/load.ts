/** Files that can be dropped on the page: a prompt as text or XML, a picture or settings of this or another program, or a list of tags. */
import { fromJsonString } from "@bufbuild/protobuf";

import { type Foreign, readPictureTexts, readText } from "../foreign";
import { type ImageMetadata, ImageMetadataSchema } from "../sakuga/gen/sakuga/generation/v1/event_pb.js";
import { pictureType } from "./picture";
import { isPng, pngText } from "./png";

/** Bytes that a file may have. */
const PICTURE_BYTES_MAX = 64 << 20;
const TEXT_BYTES_MAX = 256 << 10;

/** The keyword of the text chunk with the request of a picture. */
const KEYWORD = "sakuga";

/** What a file holds. */
export type Loaded =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tags"; readonly csv: string }
  | { readonly kind: "foreign"; readonly foreign: Foreign }
  | { readonly kind: "image"; readonly data: Uint8Array<ArrayBuffer> }
  | { readonly kind: "picture"; readonly metadata: ImageMetadata };

/** Why a file cannot be loaded, as the name of a message. */
export class LoadError extends Error {
  constructor(readonly key: "load.large" | "load.binary" | "load.damaged" | "load.no-tags") {
    super(key);
  }
}

/** Reads a file. A list of tags is known by its name, which ends in `.csv`. */
export async function loadFile(file: File): Promise<Loaded> {
  const isList = file.name.toLowerCase().endsWith(".csv");
  if (file.size > PICTURE_BYTES_MAX) {
    throw new LoadError("load.large");
  }
  const data = new Uint8Array(await file.arrayBuffer());
  if (isPng(data)) {
    return readRequest(data);
  }
  if (pictureType(data) !== undefined) {
    return { kind: "image", data };
  }
  if (!isList && data.length > TEXT_BYTES_MAX) {
    throw new LoadError("load.large");
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    if (text.includes("\0")) {
      throw new LoadError("load.binary");
    }
    const foreign = isList ? undefined : readText(text);
    if (foreign) {
      return { kind: "foreign", foreign };
    }
    return isList ? { kind: "tags", csv: text } : { kind: "text", text };
  } catch {
    throw new LoadError("load.binary");
  }
}

async function readRequest(data: Uint8Array<ArrayBuffer>): Promise<Loaded> {
  let own: string | undefined;
  let foreign: Foreign | undefined;
  try {
    own = await pngText(data, KEYWORD);
    foreign = own === undefined ? await readPictureTexts((keyword) => pngText(data, keyword)) : undefined;
  } catch {
    throw new LoadError("load.damaged");
  }
  if (own === undefined) {
    return foreign ? { kind: "foreign", foreign } : { kind: "image", data };
  }
  try {
    return { kind: "picture", metadata: fromJsonString(ImageMetadataSchema, own, { ignoreUnknownFields: true }) };
  } catch {
    throw new LoadError("load.damaged");
  }
}
