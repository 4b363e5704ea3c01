import { expect, it } from "vitest";

import { readParameters } from "./parameters";

it("reads prompt, negative prompt and settings", () => {
  const text =
    "1girl, blue_hair,\nsmile\nNegative prompt: lowres,\nbad hands\n" +
    'Steps: 28, Sampler: Euler a, CFG scale: 5.5, Seed: 41, Size: 832x1216, Lora hashes: "a: 1, b: 2", Version: v1';
  expect(readParameters(text)).toEqual({
    prompt: "1girl, blue_hair,\nsmile",
    negative: "lowres,\nbad hands",
    steps: 28,
    guidance: 5.5,
    seed: "41",
    width: 832,
    height: 1216,
    unused: ["Sampler", "Lora hashes", "Version"],
  });
});

it("has no negative prompt where there is no such line, and is nothing without settings", () => {
  expect(readParameters("a cat\nSteps: 20, Size: ?")).toMatchObject({
    prompt: "a cat",
    negative: "",
    width: 0,
    seed: "",
  });
  expect(readParameters("a cat")).toBeUndefined();
});
