import { expect, it } from "vitest";

import { readText } from "./index";
import { readNovelAi } from "./novelai";

it("joins the characters of a comment to its prompt, and names what has no counterpart", () => {
  const comment = JSON.stringify({
    ...{ prompt: "old", uc: "lowres", steps: 28, scale: 5, seed: 41, width: 832, height: 1216 },
    ...{ sampler: "k_euler", sm: false, strength: 0.7 },
    v4_prompt: { caption: { base_caption: "2girls", char_captions: [{ char_caption: "girl, blue_hair" }, {}] } },
    v4_negative_prompt: { caption: { base_caption: "", char_captions: [{ char_caption: "hat" }] } },
  });
  const expected = {
    prompt: "2girls\ngirl, blue_hair",
    negative: "lowres",
    ...{ steps: 28, guidance: 5, seed: "41", width: 832, height: 1216 },
    unused: ["sampler", "strength", "negative prompts of characters"],
  };
  expect(readNovelAi(comment)).toEqual(expected);
  expect(readText(comment)).toEqual(expected);
});

it("is nothing for other texts", () => {
  for (const text of ["", "a cat", "{}", '{"prompt": {"1": {}}}', '{"prompt": "a"}']) {
    expect(readNovelAi(text)).toBeUndefined();
  }
  expect(readText("1girl, sea")).toBeUndefined();
});
