/** Pictures that a request begins from. */

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

/** The picture of a file. Throws if it is damaged. */
export async function readPicture(data: Uint8Array<ArrayBuffer>): Promise<Picture> {
  const whole = await createImageBitmap(new Blob([data], { type: pictureType(data) ?? "" }));
  const { width, height } = whole;
  whole.close();
  return { data, width, height };
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
