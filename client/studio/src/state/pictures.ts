/** Previews and pictures of one job as addresses that `<img>` shows. Each is released when it is replaced or removed. */

/** Steps of which the previews are kept, the newest ones. */
const FRAMES_MAX = 64;

/** The previews of one step; an image whose preview was dropped has none. */
export interface Frame {
  /** The pass of the step, from 1. */
  readonly pass: number;
  readonly step: number;
  readonly images: readonly (string | undefined)[];
}

export class Pictures {
  frames: readonly Frame[] = [];
  finished: readonly string[] = [];

  /** Adds the preview of an image after a step of a pass. */
  preview(pass: number, step: number, image: number, data: Uint8Array): void {
    const address = addressOf(data, "image/jpeg");
    const last = this.frames.at(-1);
    if (last?.step === step) {
      const images = [...last.images];
      release([images[image]]);
      images[image] = address;
      this.frames = [...this.frames.slice(0, -1), { pass, step, images }];
      return;
    }
    const images: (string | undefined)[] = [];
    images[image] = address;
    const frames = [...this.frames, { pass, step, images }];
    for (const old of frames.splice(0, Math.max(0, frames.length - FRAMES_MAX))) {
      release(old.images);
    }
    this.frames = frames;
  }

  /** Sets the finished pictures. */
  finish(data: readonly Uint8Array[]): void {
    release(this.finished);
    this.finished = data.map((bytes) => addressOf(bytes, "image/png"));
  }

  /** Releases everything. */
  release(): void {
    for (const { images } of this.frames) {
      release(images);
    }
    release(this.finished);
    this.frames = [];
    this.finished = [];
  }
}

function addressOf(data: Uint8Array, type: string): string {
  return URL.createObjectURL(new Blob([data.slice()], { type }));
}

function release(addresses: readonly (string | undefined)[]): void {
  for (const address of addresses) {
    if (address !== undefined) {
      URL.revokeObjectURL(address);
    }
  }
}
