/** Ratios, sizes and seeds, as they are chosen and typed. */

/** Names and values of the ratios of width to height. */
export const RATIOS = { "1:1": 1, "3:4": 3 / 4, "4:3": 4 / 3, "9:16": 9 / 16, "16:9": 16 / 9 } as const;

export type Ratio = keyof typeof RATIOS | "free";

const SEED_MAX = 2n ** 64n - 1n;

/** The size of a ratio with about `side * side` pixels, and not more. */
export function sizeOf(ratio: number, side: number, multiple: number): { width: number; height: number } {
  const round = (length: number) => Math.max(multiple, Math.round(length / multiple) * multiple);
  const width = round(side * Math.sqrt(ratio));
  let height = round(width / ratio);
  if (width * height > side * side) {
    height = Math.max(multiple, Math.floor((side * side) / width / multiple) * multiple);
  }
  return { width, height };
}

/** The seed as a number; `undefined`: a new one; `null`: what stands there is no seed. */
export function seedOf(text: string): bigint | undefined | null {
  const word = text.trim();
  if (word === "") {
    return undefined;
  }
  return /^\d{1,20}$/.test(word) && BigInt(word) <= SEED_MAX ? BigInt(word) : null;
}
