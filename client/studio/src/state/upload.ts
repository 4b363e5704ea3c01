/** Files that are too large for a request: sent to the server part by part, and named by their SHA-256. */
import { createSignal } from "solid-js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import { PIECE_BYTES, heldBytes } from "../sakuga/assets.js";
import { explain } from "../sakuga/errors.js";
import { AssetService } from "../sakuga/gen/sakuga/asset/v1/asset_service_pb.js";
import { stub } from "./connection";

/** Parts that were refused because the server has another number of bytes; more mean that somebody else sends the same file. */
const CORRECTIONS_MAX = 8;

/** The share of the upload that is done; `undefined`: none is running. */
const [uploaded, setUploaded] = createSignal<number>();

export { uploaded };

/** Uploads a file and returns its name. If the server already has it, only the first part is sent. */
export async function upload(file: Uint8Array<ArrayBuffer>): Promise<string> {
  const name = bytesToHex(sha256(file));
  let offset = 0;
  let corrections = 0;
  setUploaded(0);
  try {
    for (;;) {
      const start = { sha256: name, size: BigInt(file.length), offset: BigInt(offset) };
      try {
        const data = file.subarray(offset, offset + PIECE_BYTES);
        const { asset, received } = await stub(AssetService).uploadAssetPart({ start, data });
        if (asset) {
          return name;
        }
        offset = Number(received);
      } catch (error) {
        const known = explain(error);
        const held = heldBytes(known, file.length);
        corrections += 1;
        if (held === undefined || held >= file.length || corrections > CORRECTIONS_MAX) {
          throw known;
        }
        offset = held;
      }
      setUploaded(offset / file.length);
    }
  } finally {
    setUploaded(undefined);
  }
}

/** A file that the server keeps for this client; `undefined` if it does not. */
export async function download(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    let file: Uint8Array<ArrayBuffer> | undefined;
    for await (const { asset, offset, data } of stub(AssetService).getAsset({ sha256: name })) {
      file ??= new Uint8Array(Number(asset?.size ?? 0));
      file.set(data, Number(offset));
    }
    return file;
  } catch {
    return undefined;
  }
}
