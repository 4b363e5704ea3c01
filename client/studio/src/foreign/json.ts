/** Values of JSON that somebody else wrote. */

export type Json = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The object that a text holds; `undefined` if it holds something else. */
export function parseObject(text: string): Json | undefined {
  try {
    // Some nodes of ComfyUI write NaN, which is not JSON, where nothing was set.
    const value: unknown = JSON.parse(text.replace(/\bNaN\b/g, "null"), keepWholeNumbers);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Seeds have more digits than a number keeps: they stay text, in browsers that show the source of a number. */
function keepWholeNumbers(this: unknown, _key: string, value: unknown, context?: { source?: string }): unknown {
  const isCut = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return isCut && context?.source !== undefined ? context.source : value;
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** A number that is not negative. */
export function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) && number >= 0 ? number : undefined;
}

/** A whole number that is not negative, or 0. */
export function wholeOf(value: unknown): number {
  const number = numberOf(value) ?? 0;
  return Number.isInteger(number) && number <= 65_536 ? number : 0;
}

/** A seed as text; empty for anything else. */
export function seedOf(value: unknown): string {
  const text = typeof value === "number" || typeof value === "string" ? String(value) : "";
  return /^\d{1,20}$/.test(text) ? text : "";
}
