/** Files that are too large for a request: sent to the server part by part, and named by their SHA-256. */
import { createSignal } from "solid-js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import { RequestRefused } from "../sakuga/web.js";
import { explain } from "../sakuga/errors.js";
import { AssetService } from "../sakuga/gen/sakuga/asset/v1/asset_service_pb.js";
import { stub } from "./connection";

/** Bytes of a part: as many as the server takes. */
const PART = 256 << 10;
/** Parts that were refused because the server has another number of bytes; more mean that somebody else sends the same file. */
const CORRECTIONS_MAX = 8;

/** The share of the upload that is done; `undefined`: none is running. */
const [uploaded, setUploaded] = createSignal<number>();

export { uploaded };

/** Has the server keep a file, and returns its name. What the server has already is not sent. */
export async function upload(file: Uint8Array<ArrayBuffer>): Promise<string> {
  const name = bytesToHex(sha256(file));
  let offset = 0;
  let corrections = 0;
  setUploaded(0);
  try {
    for (;;) {
      const start = { sha256: name, size: BigInt(file.length), offset: BigInt(offset) };
      try {
        const data = file.subarray(offset, offset + PART);
        const { asset, received } = await stub(AssetService).uploadAssetPart({ start, data });
        if (asset) {
          return name;
        }
        offset = Number(received);
      } catch (error) {
        const held = heldBytes(error);
        corrections += 1;
        if (held === undefined || held >= file.length || corrections > CORRECTIONS_MAX) {
          throw explain(error);
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

/** How much of the file the server has, if that is why it refused a part. */
function heldBytes(error: unknown): number | undefined {
  const refused = explain(error);
  const offset = refused instanceof RequestRefused && refused.reason === "UPLOAD_OFFSET" && refused.status.metadata["offset"];
  return typeof offset === "string" && /^\d+$/.test(offset) ? Number(offset) : undefined;
}
