import { create } from "@bufbuild/protobuf";
import { expect, it } from "vitest";

import { GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { differences } from "./difference";

it("names each field that differs, and none that says nothing about the picture", () => {
  const request = (seed: bigint, tags: string[], requestId: string) =>
    create(GenerateRequestSchema, {
      requestId,
      seed,
      sampling: { steps: 20 },
      prompt: { case: "typed", value: { characters: [{ appearance: { tags } }] } },
    });
  const left = request(7n, ["long_hair", "blue_eyes"], "a");
  expect(differences(left, request(7n, ["long_hair", "blue_eyes"], "b"))).toEqual([]);
  expect(differences(left, request(8n, ["long_hair"], "b"))).toEqual([
    { field: "typed.characters.0.appearance.tags", left: "long_hair, blue_eyes", right: "long_hair" },
    { field: "seed", left: "7", right: "8" },
  ]);
  expect(differences(undefined, undefined)).toEqual([]);
});
