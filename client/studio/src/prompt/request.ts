/** The texts of a request. */
import type { NegativePrompt } from "../sakuga/gen/sakuga/prompt/v1/prompt_pb.js";
import type { GenerateRequest, Scene } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Client } from "../sakuga/web.js";
import { escapeValue } from "./document";

/** The prompt of a request or of its scene as text. A typed one is written by the server. */
export async function promptText(request: GenerateRequest | Scene, client: Client): Promise<string> {
  switch (request.prompt.case) {
    case "xml":
      return request.prompt.value;
    case "typed":
      return client.format(request.prompt.value);
    default:
      return "";
  }
}

/** The negative prompt of a request or of its scene as text. */
export function negativeText(request: GenerateRequest | Scene): string {
  switch (request.negative.case) {
    case "negativeText":
      return request.negative.value;
    case "negativePrompt":
      return formatNegative(request.negative.value);
    default:
      return "";
  }
}

/** One line that names what a request draws. */
export function titleOf(request: GenerateRequest | undefined): string {
  const prompt = request?.prompt;
  if (prompt?.case === "xml") {
    return prompt.value
      .replace(/<[^<>]*>/g, " ")
      .replace(/\s+/g, " ")
      .trim();
  }
  if (prompt?.case !== "typed") {
    return "";
  }
  const { caption, characters, generalTags } = prompt.value;
  const words = characters.flatMap(({ appearance, clothing, expression }) => [
    ...(appearance?.tags ?? []),
    ...(clothing?.tags ?? []),
    ...(expression?.tags ?? []),
  ]);
  const general = [generalTags?.count, generalTags?.style, generalTags?.background].flatMap((list) => list?.tags ?? []);
  return [caption, ...words, ...general].filter((word) => word !== "").join(", ");
}

function formatNegative(negative: NegativePrompt): string {
  const lines = [
    ["danbooru_tags", negative.danbooruTags?.tags.join(", ")],
    ["e621_tags", negative.e621Tags?.tags.join(", ")],
    ["resolution", negative.resolution?.tags.join(", ")],
    ["caption", negative.caption],
  ];
  return lines.flatMap(([name, value]) => (value ? [`<${name}>${escapeValue(value)}</${name}>`] : [])).join("\n");
}
