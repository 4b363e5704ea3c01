/** Prompts and settings that other programs put into their pictures and files. */
import { readComfyUi } from "./comfyui";
import { readNovelAi } from "./novelai";
import { readParameters } from "./parameters";
import type { Foreign } from "./types";

export type { Foreign };

/** Where a PNG file has such a text, and how it is read: the first that is there counts. */
const CHUNKS: readonly (readonly [string, (text: string) => Foreign | undefined])[] = [
  ["parameters", readParameters],
  ["prompt", readComfyUi],
  ["workflow", readComfyUi],
  ["Comment", readNovelAi],
];

/** Reads the texts of a picture, by their keywords. */
export async function readPictureTexts(
  textOf: (keyword: string) => Promise<string | undefined>,
): Promise<Foreign | undefined> {
  for (const [keyword, read] of CHUNKS) {
    const text = await textOf(keyword);
    const found = text === undefined ? undefined : read(text);
    if (found) {
      return found;
    }
  }
  return undefined;
}

/** Reads a file of text; `undefined` if no program that is known here wrote it. */
export function readText(text: string): Foreign | undefined {
  return text.trimStart().startsWith("{") ? (readComfyUi(text) ?? readNovelAi(text)) : readParameters(text);
}
