import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client as Stub } from "@connectrpc/connect";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import { ProtocolError, RequestRefused, explain } from "./errors.js";
import type { Asset, AssetService, UploadAssetRequestSchema } from "./gen/sakuga/asset/v1/asset_service_pb.js";
import type { BoxSchema, ImageSourceSchema } from "./gen/sakuga/generation/v1/image_input_pb.js";
import type { Adapter, GenerateRequestSchema } from "./gen/sakuga/generation/v1/request_pb.js";
import { Retry } from "./watch.js";

/** Bytes of a message: as many as the server takes. */
export const PIECE_BYTES = 256 << 10;
/** Calls after which the server has no more bytes than before. */
const MAX_RESTARTS = 12;

/** A file for `init` or `mask`: its bytes, of at most 2 MiB, or one that was uploaded. */
export type ImageLike = Uint8Array | Pick<Asset, "sha256">;

/** What to draw again: a mask, which is white there, or rectangles. Every other pixel of the image is kept. */
export interface Inpainting {
  readonly mask?: ImageLike;
  readonly boxes?: readonly Omit<MessageInitShape<typeof BoxSchema>, "$typeName">[];
  /** Pixels over which drawn and kept ones are mixed around the mask, 0 to 256. */
  readonly feather?: number;
}

type ImageOptions = Pick<Omit<MessageInitShape<typeof GenerateRequestSchema>, "$typeName">, "init" | "mask">;

/**
 * The options of a request that begins from an image.
 *
 * `strength` is the share of the steps that are computed, from 0 to 1: small values change the image little. With `inpainting`
 * only a part of the image is drawn again.
 */
export function fromImage(image: ImageLike, strength: number, inpainting?: Inpainting): ImageOptions {
  const init = { image: source(image), strength };
  if (inpainting === undefined) {
    return { init };
  }
  const { mask, boxes = [], feather = 0 } = inpainting;
  const file = mask === undefined ? {} : { image: source(mask) };
  return { init, mask: { ...file, boxes: [...boxes], feather } };
}

/** An adapter that was uploaded, with a factor on its effect. */
export function uploadedAdapter(asset: Pick<Asset, "sha256">, scale = 1): Omit<Adapter, "$typeName" | "textScale"> {
  return { source: { case: "sha256", value: asset.sha256 }, scale };
}

function source(image: ImageLike): Omit<MessageInitShape<typeof ImageSourceSchema>, "$typeName"> {
  return image instanceof Uint8Array
    ? { source: { case: "inline", value: image } }
    : { source: { case: "asset", value: image.sha256 } };
}

/** Uploads a file. After a lost connection it continues where it was. */
export async function uploadAsset(stub: Stub<typeof AssetService>, file: Uint8Array): Promise<Asset> {
  const name = bytesToHex(sha256(file));
  const retry = new Retry();
  let [offset, restarts] = [0, 0];
  for (;;) {
    try {
      const { asset } = await stub.uploadAsset(parts(name, file, offset));
      if (asset === undefined) {
        throw new ProtocolError("the answer to an upload has no asset");
      }
      return asset;
    } catch (error) {
      const known = explain(error);
      const held = heldBytes(known, file.length);
      restarts = held !== undefined && held > offset ? 0 : restarts + 1;
      if (held === undefined || restarts >= MAX_RESTARTS) {
        await retry.after(known);
      } else {
        offset = held;
      }
    }
  }
}

type Part = Omit<MessageInitShape<typeof UploadAssetRequestSchema>, "$typeName">;

async function* parts(name: string, file: Uint8Array, offset: number): AsyncGenerator<Part, void, undefined> {
  yield { part: { case: "start", value: { sha256: name, size: BigInt(file.length), offset: BigInt(offset) } } };
  for (let from = offset; from < file.length; from += PIECE_BYTES) {
    yield { part: { case: "data", value: file.subarray(from, from + PIECE_BYTES) } };
  }
}

/** The bytes that the server has of an unfinished upload, if the error says where the next call begins. */
export function heldBytes(error: Error, size: number): number | undefined {
  if (!(error instanceof RequestRefused) || (error.reason !== "UPLOAD_OFFSET" && error.reason !== "UPLOAD_IDLE")) {
    return undefined;
  }
  const held = Number(error.status.metadata["offset"]);
  return Number.isSafeInteger(held) && held >= 0 && held <= size ? held : undefined;
}
