/** The comment in pictures of NovelAI. Since version 4 it has a prompt for each character. */
import type { Foreign } from "./types";
import { isObject, numberOf, parseObject, seedOf, textOf, wholeOf } from "./json";

/** Settings that change how a picture looks and have no counterpart here, if they are on. */
const UNUSED = ["sampler", "noise_schedule", "cfg_rescale", "strength", "noise", "sm", "sm_dyn", "dynamic_thresholding"];

/** Reads such a comment; `undefined` for any other text. */
export function readNovelAi(comment: string): Foreign | undefined {
  const value = parseObject(comment);
  if (!value || typeof value["prompt"] !== "string" || !("uc" in value || "scale" in value)) {
    return undefined;
  }
  const prompt = captionOf(value["v4_prompt"]);
  const negative = captionOf(value["v4_negative_prompt"]);
  const unused = UNUSED.filter((name) => ![undefined, null, false, 0, ""].includes(value[name] as never));
  return {
    prompt: [prompt.base || value["prompt"], ...prompt.characters].join("\n").trim(),
    negative: (negative.base || textOf(value["uc"])).trim(),
    steps: wholeOf(value["steps"]) || undefined,
    guidance: numberOf(value["scale"]),
    seed: seedOf(value["seed"]),
    width: wholeOf(value["width"]),
    height: wholeOf(value["height"]),
    unused: negative.characters.length > 0 ? [...unused, "negative prompts of characters"] : unused,
  };
}

function captionOf(value: unknown): { base: string; characters: readonly string[] } {
  const caption = isObject(value) && isObject(value["caption"]) ? value["caption"] : {};
  const list = Array.isArray(caption["char_captions"]) ? (caption["char_captions"] as unknown[]) : [];
  const characters = list.flatMap((one) => (isObject(one) ? [textOf(one["char_caption"]).trim()] : []));
  return { base: textOf(caption["base_caption"]), characters: characters.filter((text) => text !== "") };
}
