/** Pictures that a request begins from: small enough to travel in it. */

/** Bytes that a file in a request may have. */
const BYTES_MAX = 2 << 20;
/** The longer edge of a picture that is made smaller, in pixels. */
const EDGE_MAX = 2048;
/** How JPEG is tried, the best first. */
const QUALITIES = [0.95, 0.85, 0.7];

/** A picture as a file in memory. */
export interface Picture {
  readonly data: Uint8Array<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** The media type of a file that a request may begin from: PNG, JPEG or WebP. */
export function pictureType(data: Uint8Array): string | undefined {
  const begins = (at: number, bytes: readonly number[]) => bytes.every((byte, index) => data[at + index] === byte);
  if (begins(0, [0x89, 0x50, 0x4e, 0x47])) {
    return "image/png";
  }
  if (begins(0, [0xff, 0xd8, 0xff])) {
    return "image/jpeg";
  }
  const isWebp = begins(0, [0x52, 0x49, 0x46, 0x46]) && begins(8, [0x57, 0x45, 0x42, 0x50]);
  return isWebp ? "image/webp" : undefined;
}

/** The picture of a file, as it is or, if it is too large, scaled down as JPEG. Throws if it is damaged. */
export async function readPicture(data: Uint8Array<ArrayBuffer>): Promise<Picture> {
  const whole = await createImageBitmap(new Blob([data], { type: pictureType(data) ?? "" }));
  try {
    if (data.length <= BYTES_MAX) {
      return { data, width: whole.width, height: whole.height };
    }
    const factor = Math.min(1, EDGE_MAX / Math.max(whole.width, whole.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(whole.width * factor));
    canvas.height = Math.max(1, Math.round(whole.height * factor));
    const context = canvas.getContext("2d");
    if (!context) {
      throw new Error("the browser has no canvas");
    }
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, 0, 0, canvas.width, canvas.height);
    for (const quality of QUALITIES) {
      const file = await fileOf(canvas, "image/jpeg", quality);
      if (file.length <= BYTES_MAX) {
        return { data: file, width: canvas.width, height: canvas.height };
      }
    }
    throw new Error("the picture is too large");
  } finally {
    whole.close();
  }
}

/** The picture of a canvas as a file. */
export async function fileOf(
  canvas: HTMLCanvasElement,
  type: string,
  quality?: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, type, quality);
  });
  if (!blob) {
    throw new Error("the browser cannot encode the picture");
  }
  return new Uint8Array(await blob.arrayBuffer());
}
