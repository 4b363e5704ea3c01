/** In what two requests differ. */
import { toJson } from "@bufbuild/protobuf";

import { type GenerateRequest, GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";

/** A field in which two requests differ; a value that one does not have is empty. */
export interface Difference {
  /** Such as `sampling.steps`, or `typed.characters.0.appearance.tags`. */
  readonly field: string;
  readonly left: string;
  readonly right: string;
}

/** Fields that say nothing about the picture. */
const IGNORED = ["requestId", "preview", "gpuStatsIntervalMs", "profile"];

/** Every field in which the requests differ, in the order of the left one. */
export function differences(left: GenerateRequest | undefined, right: GenerateRequest | undefined): Difference[] {
  const [before, after] = [fieldsOf(left), fieldsOf(right)];
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((field) => {
    const [from, to] = [before.get(field) ?? "", after.get(field) ?? ""];
    return from === to ? [] : [{ field, left: from, right: to }];
  });
}

function fieldsOf(request: GenerateRequest | undefined): Map<string, string> {
  const found = new Map<string, string>();
  const read = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null) {
      found.set(path, String(value));
    } else if (Array.isArray(value) && value.every((item) => typeof item !== "object")) {
      found.set(path, value.join(", "));
    } else {
      for (const [name, inner] of Object.entries(value)) {
        if (path !== "" || !IGNORED.includes(name)) {
          read(inner, path === "" ? name : `${path}.${name}`);
        }
      }
    }
  };
  read(request ? toJson(GenerateRequestSchema, request) : {}, "");
  return found;
}
