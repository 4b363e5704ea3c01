/**
 * The text chunk `parameters`, in which AUTOMATIC1111's program and others put prompt and settings: the prompt, a line that
 * begins with `Negative prompt: `, and a line of settings that begins with `Steps: `.
 */

import type { Foreign } from "./types";

/** Reads such a text; `undefined` if it has no line of settings. */
export function readParameters(text: string): Foreign | undefined {
  const lines = text.split(/\r?\n/);
  const last = lines.findLastIndex((line) => line.startsWith("Steps: "));
  if (last < 0) {
    return undefined;
  }
  const negativeAt = lines.findIndex((line, index) => index < last && line.startsWith("Negative prompt:"));
  const prompt = lines.slice(0, negativeAt < 0 ? last : negativeAt).join("\n");
  const negative = negativeAt < 0 ? "" : lines.slice(negativeAt, last).join("\n").slice("Negative prompt:".length);
  const settings = new Map<string, string>();
  // A value in quotes may have commas.
  for (const [, name, quoted, plain] of (lines[last] ?? "").matchAll(
    /\s*([\w /+-]+):\s*(?:"([^"]*)"|([^,]*))(?:,|$)/g,
  )) {
    if (name !== undefined) {
      settings.set(name.trim(), quoted ?? plain?.trim() ?? "");
    }
  }
  const take = (name: string): string => {
    const value = settings.get(name) ?? "";
    settings.delete(name);
    return value;
  };
  const number = (value: string): number | undefined => (/^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined);
  const [, width, height] = /^(\d{1,5})x(\d{1,5})$/.exec(take("Size")) ?? [];
  const seed = take("Seed");
  return {
    prompt: prompt.trim(),
    negative: negative.trim(),
    steps: number(take("Steps")),
    guidance: number(take("CFG scale")),
    seed: /^\d+$/.test(seed) ? seed : "",
    width: Number(width ?? 0),
    height: Number(height ?? 0),
    unused: [...settings.keys()],
  };
}
