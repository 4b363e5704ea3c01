import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";

import { ResizeMode } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import { GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { followFirstPass, passesOf } from "./scene";

it("lets a scene follow the seed and the size of its first pass unless it has its own", () => {
  const scene = { seed: 8n, width: 64, height: 48 };
  const followed = followFirstPass(create(GenerateRequestSchema, { seed: 7n, scene }));
  expect([followed?.seed, followed?.width, followed?.height]).toEqual([undefined, 0, 0]);
  const own = { seed: 9n, width: 64, height: 48, resize: ResizeMode.CROP };
  const kept = followFirstPass(create(GenerateRequestSchema, { seed: 7n, scene: own }));
  expect([kept?.seed, kept?.width, kept?.height]).toEqual([9n, 64, 48]);
  const last = create(GenerateRequestSchema, { seed: 2n ** 64n - 1n, scene: { seed: 0n } });
  expect(followFirstPass(last)?.seed).toBeUndefined();
  expect(followFirstPass(create(GenerateRequestSchema))).toBeUndefined();
});

it("names the passes in their order", () => {
  const passes = (request: Parameters<typeof create<typeof GenerateRequestSchema>>[1]) =>
    passesOf(create(GenerateRequestSchema, request));
  expect(passes({})).toEqual(["first"]);
  expect(passes({ scene: {} })).toEqual(["first", "scene"]);
  expect(passes({ scene: {}, secondPass: {} })).toEqual(["first", "second", "scene"]);
});
