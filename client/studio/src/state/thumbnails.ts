/** Small pictures of finished ones: made by the server, and kept for as long as there is room. */
import { server } from "./connection";

/** The longer edge in pixels, for screens with two pixels a point. */
const EDGE = 384;
const KEPT_MAX = 400;
/** A browser has few connections to a server; see `visibility`. */
const READ_MAX = 3;

interface Kept {
  readonly address: Promise<string>;
  /** Tiles that show it. */
  shown: number;
}

const kept = new Map<string, Kept>();
const waiting: (() => void)[] = [];
let reading = 0;

/** The address of a small picture, until `release` is called as often. Rejects if nobody wants it any more when it is its turn. */
export function thumbnail(jobId: string, image: number): Promise<string> {
  const key = `${jobId}/${image}`;
  const one = kept.get(key) ?? { address: make(key, jobId, image), shown: 0 };
  one.shown += 1;
  // The newest are at the end.
  kept.delete(key);
  kept.set(key, one);
  one.address.catch(() => kept.get(key) === one && kept.delete(key));
  drop();
  return one.address;
}

/** The small picture is no longer in sight. */
export function releaseThumbnail(jobId: string, image: number): void {
  const one = kept.get(`${jobId}/${image}`);
  if (one) {
    one.shown -= 1;
  }
}

/** Forgets those that were in sight longest ago, while there are too many. */
function drop(): void {
  for (const [key, { address, shown }] of kept) {
    if (kept.size <= KEPT_MAX) {
      break;
    }
    if (shown <= 0) {
      kept.delete(key);
      void address.then(
        (unused) => {
          URL.revokeObjectURL(unused);
        },
        () => undefined,
      );
    }
  }
}

async function make(key: string, jobId: string, image: number): Promise<string> {
  if (reading >= READ_MAX) {
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  reading += 1;
  try {
    // After a moment, when `kept` has it: a wall that scrolls by asks for more than it shows.
    await Promise.resolve();
    if ((kept.get(key)?.shown ?? 0) <= 0) {
      throw new Error("it is out of sight");
    }
    const data = await server().artifact(jobId, image, { maxEdge: EDGE });
    return URL.createObjectURL(new Blob([data.slice()], { type: "image/jpeg" }));
  } finally {
    reading -= 1;
    // What was asked for last is in sight.
    waiting.pop()?.();
  }
}
