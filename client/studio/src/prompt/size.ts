/** Ratios, sizes and seeds, as they are chosen and typed. */

/** The ratios that are offered for models that do not name the sizes of their training. */
const RATIOS = ["1:1", "3:4", "4:3", "9:16", "16:9"];

/** In place of a ratio: width and height are typed. */
export const FREE = "free";

/** More trained sizes are not offered one by one. */
const TRAINED_MAX = 7;

const SEED_MAX = 2n ** 64n - 1n;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A size with its ratio as a name, such as `3:4`. */
export interface NamedSize extends Size {
  readonly name: string;
}

/**
 * The sizes that a model offers, the square first. If it was trained with few ratios, these are its own: for each ratio, the size
 * nearest to `side * side` pixels. Otherwise the usual ratios, each with about `side * side` pixels.
 */
export function sizesOf(trained: readonly Size[], side: number, multiple: number): readonly NamedSize[] {
  const own = new Map<string, NamedSize>();
  for (const { width, height } of trained) {
    const name = nameOf(width, height);
    const known = own.get(name);
    const isNearer = !known || Math.abs(width * height - side * side) < Math.abs(known.width * known.height - side * side);
    if (width % multiple === 0 && height % multiple === 0 && isNearer) {
      own.set(name, { name, width, height });
    }
  }
  if (own.size === 0 || own.size > TRAINED_MAX) {
    return RATIOS.map((name) => ({ name, ...sizeOf(ratioOf(name) ?? 1, side, multiple) }));
  }
  return [...own.values()].sort((a, b) => elongation(a) - elongation(b) || a.width - b.width);
}

/** The size with this ratio, or with the one that is nearest to it. */
export function nearest(sizes: readonly NamedSize[], ratio: string): NamedSize | undefined {
  const wanted = Math.log(ratioOf(ratio) ?? 1);
  const away = (size: Size) => Math.abs(logOf(size) - wanted);
  return (
    sizes.find(({ name }) => name === ratio) ??
    sizes.reduce<NamedSize | undefined>((best, size) => (best && away(best) <= away(size) ? best : size), undefined)
  );
}

/** The size of a ratio with about `side * side` pixels, and not more. */
export function sizeOf(ratio: number, side: number, multiple: number): Size {
  const round = (length: number) => Math.max(multiple, Math.round(length / multiple) * multiple);
  const width = round(side * Math.sqrt(ratio));
  let height = round(width / ratio);
  if (width * height > side * side) {
    height = Math.max(multiple, Math.floor((side * side) / width / multiple) * multiple);
  }
  return { width, height };
}

/** The ratio of width to height that a name states; `undefined` for any other text. */
export function ratioOf(name: string): number | undefined {
  const [, width, height] = /^(\d{1,5}):(\d{1,5})$/.exec(name) ?? [];
  return Number(width) > 0 && Number(height) > 0 ? Number(width) / Number(height) : undefined;
}

/** The seed as a number; `undefined`: a new one; `null`: what stands there is no seed. */
export function seedOf(text: string): bigint | undefined | null {
  const word = text.trim();
  if (word === "") {
    return undefined;
  }
  return /^\d{1,20}$/.test(word) && BigInt(word) <= SEED_MAX ? BigInt(word) : null;
}

function logOf({ width, height }: Size): number {
  return Math.log(width / height);
}

function elongation({ width, height }: Size): number {
  return Math.max(width, height) / Math.min(width, height);
}

function nameOf(width: number, height: number): string {
  let [divisor, rest] = [width, height];
  while (rest > 0) {
    [divisor, rest] = [rest, divisor % rest];
  }
  return `${width / divisor}:${height / divisor}`;
}
