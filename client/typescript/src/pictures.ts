import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

import { DamagedPicture, ProtocolError } from "./errors.js";
import type { ImageChunk, ImageInfo } from "./gen/sakuga/generation/v1/event_pb.js";

/** The most bytes that the pictures of one job may have together. */
export const MAX_PICTURE_BYTES = 1 << 30;

/** The most pictures of one job. */
const MAX_PICTURES = 1024;

/** One finished picture. Its checksum was compared with the server's. */
export interface Picture {
  /** Index of the picture in its batch, from 0. */
  readonly index: number;
  /** The PNG file. */
  readonly data: Uint8Array;
  /**
   * Size, checksums and metadata. `info.metadata.request`, sent again, draws the same picture on the same device.
   */
  readonly info: ImageInfo;
}

/** Bytes that arrive in order, of a total that is known from the first piece. */
export class Pieces {
  private readonly data: Uint8Array;
  private length = 0;

  constructor(
    private readonly index: number,
    readonly total: number,
  ) {
    this.data = new Uint8Array(total);
  }

  /** Adds the next piece. */
  add(chunk: ImageChunk): void {
    const fits = this.length + chunk.data.length <= this.total;
    if (Number(chunk.offset) !== this.length || Number(chunk.totalSize) !== this.total || !fits) {
      throw new DamagedPicture(
        this.index,
        `${this.length} of ${this.total} bytes arrived, and the next piece does not continue them`,
      );
    }
    this.data.set(chunk.data, this.length);
    this.length += chunk.data.length;
  }

  /** Bytes that have arrived. */
  get received(): number {
    return this.length;
  }

  /** The bytes that have arrived. */
  bytes(): Uint8Array {
    return this.data.subarray(0, this.length);
  }
}

/** Puts pictures together from their pieces, and rejects what does not fit. */
export class Assembler {
  private readonly parts = new Map<number, Pieces>();

  /** Takes the next piece. With `canFetch` a picture whose beginning is missing is left out; it is fetched at the end. */
  add(chunk: ImageChunk, canFetch: boolean): void {
    let part = this.parts.get(chunk.imageIndex);
    if (part === undefined) {
      if (canFetch && chunk.offset > 0n) {
        return;
      }
      let announced = Number(chunk.totalSize);
      for (const other of this.parts.values()) {
        announced += other.total;
      }
      if (chunk.totalSize === 0n || this.parts.size >= MAX_PICTURES || announced > MAX_PICTURE_BYTES) {
        throw new DamagedPicture(
          chunk.imageIndex,
          `it is empty, or the server announced more than ${MAX_PICTURE_BYTES} bytes`,
        );
      }
      part = new Pieces(chunk.imageIndex, Number(chunk.totalSize));
      this.parts.set(chunk.imageIndex, part);
    }
    part.add(chunk);
  }

  /** Checks the pictures against their descriptions. `fetch` reads those whose pieces are missing. */
  async finish(
    images: readonly ImageInfo[],
    fetch: ((index: number) => Promise<Uint8Array>) | undefined,
  ): Promise<Picture[]> {
    if (images.length === 0) {
      throw new ProtocolError("the job is completed and has no picture");
    }
    const pictures: Picture[] = [];
    for (const [position, info] of images.entries()) {
      const index = info.metadata?.imageIndex ?? position;
      const data = this.parts.get(index)?.bytes() ?? (await fetch?.(index)) ?? new Uint8Array();
      const sum = bytesToHex(sha256(data));
      if (BigInt(data.length) !== info.size || sum !== info.sha256.toLowerCase()) {
        throw new DamagedPicture(
          index,
          `${data.length} bytes of SHA-256 ${sum} arrived; the server named ${info.size} bytes of ${info.sha256}`,
        );
      }
      pictures.push({ index, data, info });
    }
    return pictures;
  }
}
