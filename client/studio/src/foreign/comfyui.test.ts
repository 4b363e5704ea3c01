import { expect, it } from "vitest";

import { readComfyUi } from "./comfyui";

const API = {
  "3": {
    class_type: "KSampler",
    inputs: {
      ...{ seed: 7, steps: 25, cfg: 4.5, sampler_name: "euler" },
      ...{ model: ["10", 0], positive: ["6", 0], negative: ["7", 0], latent_image: ["5", 0] },
    },
  },
  "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "anime.safetensors" } },
  "5": { class_type: "EmptyLatentImage", inputs: { width: 832, height: 1216, batch_size: 1 } },
  "6": { class_type: "ConditioningCombine", inputs: { conditioning_1: ["8", 0], conditioning_2: ["9", 0] } },
  "7": { class_type: "CLIPTextEncode", inputs: { text: "lowres", clip: ["4", 1] } },
  "8": { class_type: "CLIPTextEncode", inputs: { text: "1girl, sea", clip: ["4", 1] } },
  "9": { class_type: "CLIPTextEncode", inputs: { text: ["11", 0] } },
  "10": { class_type: "LoraLoader", inputs: { lora_name: "ink.safetensors", model: ["4", 0] } },
  "11": { class_type: "StringConstant", inputs: { string: "blue_hair" } },
};

it("follows the API's graph from its sampler, and names what has no counterpart", () => {
  for (const text of [JSON.stringify(API), JSON.stringify({ prompt: API, client_id: "x" })]) {
    expect(readComfyUi(text)).toEqual({
      prompt: "1girl, sea, blue_hair",
      negative: "lowres",
      steps: 25,
      guidance: 4.5,
      seed: "7",
      width: 832,
      height: 1216,
      unused: ["sampler euler", "LoRA ink.safetensors", "model anime.safetensors"],
    });
  }
});

it("reads the editor's graph by its widgets, past reroutes and without muted nodes", () => {
  const nodes = [
    {
      ...{ id: 1, type: "KSampler", widgets_values: [9, "fixed", 12, 6, "dpmpp_2m", "karras", 1] },
      inputs: [
        { name: "positive", link: 1 },
        { name: "negative", link: 2 },
        { name: "latent_image", link: 3 },
      ],
    },
    { id: 2, type: "Reroute", inputs: [{ name: "", link: 4 }] },
    { id: 3, type: "CLIPTextEncode", widgets_values: ["a fox"] },
    { id: 4, type: "CLIPTextEncode", widgets_values: ["blurry"] },
    { id: 5, type: "EmptySD3LatentImage", widgets_values: [640, 512, 1] },
    { id: 6, type: "KSampler", mode: 4, inputs: [{ name: "positive", link: 1 }] },
  ];
  const links = [[1, 2, 0, 1, 1, "*"], [2, 4, 0, 1, 2, "*"], { id: 3, origin_id: 5 }, [4, 3, 0, 2, 0, "*"]];
  expect(readComfyUi(JSON.stringify({ nodes, links }))).toMatchObject({
    ...{ prompt: "a fox", negative: "blurry", steps: 12, guidance: 6, seed: "9", width: 640, height: 512 },
    unused: ["sampler dpmpp_2m"],
  });
});

it("ends on circles and is nothing for what is no graph", () => {
  const circle = {
    "1": { class_type: "KSampler", inputs: { positive: ["2", 0], model: ["3", 0], seed: ["3", 0] } },
    "2": { class_type: "X", inputs: { conditioning: ["2", 0], text: "a" } },
    "3": { class_type: "Reroute", inputs: { "": ["3", 0] } },
  };
  expect(readComfyUi(JSON.stringify(circle))).toMatchObject({ prompt: "a", seed: "" });
  for (const text of ["", "{}", "[]", "null", '{"nodes": []}', '{"1": {"class_type": "KSampler"}}', '{"__proto__": {}}']) {
    expect(readComfyUi(text)).toBeUndefined();
  }
});
