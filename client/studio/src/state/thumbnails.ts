/** Small pictures of finished ones: read from the server, scaled here, and kept for as long as there is room. */
import { server } from "./connection";

/** The longer edge in pixels, for screens with two pixels a point. */
const EDGE = 384;
const KEPT_MAX = 400;
/** A browser has few connections to a server; see `visibility`. */
const READ_MAX = 2;

const kept = new Map<string, Promise<string>>();
const waiting: (() => void)[] = [];
let reading = 0;

/** The address of a small picture. */
export function thumbnail(jobId: string, image: number): Promise<string> {
  const key = `${jobId}/${image}`;
  const known = kept.get(key);
  if (known) {
    // The newest are at the end.
    kept.delete(key);
    kept.set(key, known);
    return known;
  }
  const made = make(jobId, image);
  kept.set(key, made);
  made.catch(() => kept.delete(key));
  for (const [old, address] of [...kept].slice(0, Math.max(0, kept.size - KEPT_MAX))) {
    kept.delete(old);
    void address.then(
      (unused) => URL.revokeObjectURL(unused),
      () => undefined,
    );
  }
  return made;
}

async function make(jobId: string, image: number): Promise<string> {
  if (reading >= READ_MAX) {
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  reading += 1;
  try {
    return await scale(await server().artifact(jobId, image));
  } finally {
    reading -= 1;
    // What was asked for last is in sight.
    waiting.pop()?.();
  }
}

async function scale(data: Uint8Array): Promise<string> {
  const whole = await createImageBitmap(new Blob([data.slice()], { type: "image/png" }));
  const factor = Math.min(1, EDGE / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(whole.width * factor));
  canvas.height = Math.max(1, Math.round(whole.height * factor));
  const context = canvas.getContext("2d");
  if (context) {
    context.imageSmoothingQuality = "high";
    context.drawImage(whole, 0, 0, canvas.width, canvas.height);
  }
  whole.close();
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, "image/webp", 0.9);
  });
  return URL.createObjectURL(blob ?? new Blob([data.slice()], { type: "image/png" }));
}
