/** What the scene of a request has from its first pass. */
import { clone } from "@bufbuild/protobuf";

import { ResizeMode } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import { type GenerateRequest, type Scene, SceneSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";

const SEEDS = 2n ** 64n;

/**
 * The scene of a recorded request without the settings that it has from its first pass, so that they change with it: the seed, which
 * is one more than that of the request, and the size of its pictures. A seed or a size of its own stays.
 */
export function followFirstPass(request: GenerateRequest): Scene | undefined {
  const scene = request.scene && clone(SceneSchema, request.scene);
  if (scene && request.seed !== undefined && scene.seed === (request.seed + 1n) % SEEDS) {
    delete scene.seed;
  }
  // A scene of another size has a way to resize the pictures.
  if (scene?.resize === ResizeMode.UNSPECIFIED) {
    scene.width = 0;
    scene.height = 0;
  }
  return scene;
}

/** The passes of a request, in their order. */
export function passesOf({ secondPass, scene }: GenerateRequest): readonly ("first" | "second" | "scene")[] {
  return ["first", ...(secondPass ? (["second"] as const) : []), ...(scene ? (["scene"] as const) : [])];
}
