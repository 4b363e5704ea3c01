/**
 * Graphs of ComfyUI, as its API takes them or as its editor saves them: the sampler is found, and its inputs are followed to
 * texts, numbers and names.
 */
import { type Json, isObject, numberOf, parseObject, seedOf, textOf, wholeOf } from "./json";
import type { Foreign } from "./types";

/** The longest chain of nodes that is followed, and the most nodes. */
const DEPTH = 32;
const NODES_MAX = 10_000;

/** Inputs that hold a text, in nodes for texts of any maker. */
const TEXTS = ["text", "text_g", "prompt", "string", "value", "text_positive", "text_a", "text_b", "string_a", "string_b"];
/** Inputs that lead from a conditioning to the one that it is made of. */
const CONDITIONINGS = ["conditioning", "conditioning_1", "conditioning_2", "conditioning_to", "conditioning_from"];

/** The names of the widgets of a node, in their order: the editor's form has their values only. */
const WIDGETS: Readonly<Record<string, readonly string[]>> = {
  KSampler: ["seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
  KSamplerAdvanced: ["", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler"],
  SamplerCustom: ["", "noise_seed", "", "cfg"],
  RandomNoise: ["noise_seed"],
  BasicScheduler: ["scheduler", "steps", "denoise"],
  KSamplerSelect: ["sampler_name"],
  CFGGuider: ["cfg"],
  CheckpointLoaderSimple: ["ckpt_name"],
  UNETLoader: ["unet_name"],
  LoraLoader: ["lora_name", "strength_model", "strength_clip"],
  LoraLoaderModelOnly: ["lora_name", "strength_model"],
  CLIPTextEncodeSDXL: ["", "", "", "", "", "", "text_g", "text_l"],
  PrimitiveNode: ["value"],
};

/** The node whose output an input is. */
class Link {
  constructor(readonly node: string) {}
}

interface Node {
  readonly type: string;
  readonly inputs: ReadonlyMap<string, unknown>;
}

type Graph = ReadonlyMap<string, Node>;

/** Reads a graph; `undefined` if there is no graph, or no text leads to a sampler. */
export function readComfyUi(text: string): Foreign | undefined {
  const value = parseObject(text);
  const graph = value && graphOf(value);
  if (!graph) {
    return undefined;
  }
  const samplers = samplersOf(graph);
  const sampler = samplers[0];
  if (!sampler) {
    return undefined;
  }
  const conditioned = sampler.inputs.has("positive") ? sampler : (follow(graph, sampler, "guider") ?? sampler);
  const positive = follow(graph, conditioned, "positive") ?? follow(graph, conditioned, "conditioning");
  const prompt = positive ? conditioning(graph, positive) : "";
  if (prompt === "") {
    return undefined;
  }
  const negative = follow(graph, conditioned, "negative");
  const latent = follow(graph, sampler, "latent_image");
  const size = (name: string) => wholeOf(latent && find(graph, latent, [name, "value", "int"]));
  return {
    prompt,
    negative: negative ? conditioning(graph, negative) : "",
    steps: wholeOf(find(graph, follow(graph, sampler, "sigmas") ?? sampler, ["steps", "value", "int"])) || undefined,
    guidance: numberOf(find(graph, conditioned, ["cfg", "value", "float"])),
    seed: seedOf(find(graph, follow(graph, sampler, "noise") ?? sampler, ["seed", "noise_seed", "value"])),
    width: size("width"),
    height: size("height"),
    unused: unusedOf(graph, sampler, conditioned, samplers.slice(1)),
  };
}

/** What of the graph has no counterpart in a request. */
function unusedOf(graph: Graph, sampler: Node, conditioned: Node, others: readonly Node[]): string[] {
  const unused: string[] = [];
  const name = find(graph, follow(graph, sampler, "sampler") ?? sampler, ["sampler_name"]);
  if (textOf(name) !== "") {
    unused.push(`sampler ${textOf(name)}`);
  }
  let node = follow(graph, conditioned, "model");
  for (let depth = 0; node && depth < DEPTH; depth += 1) {
    const adapter = textOf(node.inputs.get("lora_name"));
    if (adapter !== "") {
      unused.push(`LoRA ${adapter}`);
    }
    const model = ["ckpt_name", "unet_name", "model_name"].map((input) => textOf(node?.inputs.get(input))).find(Boolean);
    if (model !== undefined) {
      unused.push(`model ${model}`);
      break;
    }
    node = follow(graph, node, "model");
  }
  const latent = follow(graph, sampler, "latent_image");
  if (latent && !latent.inputs.has("width")) {
    unused.push(latent.type);
  }
  return [...unused, ...others.map(({ type }) => type)];
}

/** The samplers, those that begin from an empty image first. */
function samplersOf(graph: Graph): Node[] {
  const found = [...graph.values()].filter(
    ({ type, inputs }) =>
      (inputs.has("positive") || inputs.has("guider")) && (type.includes("Sampler") || inputs.has("latent_image")),
  );
  const isFirst = (node: Node) => follow(graph, node, "latent_image")?.inputs.has("width") ?? false;
  return found.sort((a, b) => Number(isFirst(b)) - Number(isFirst(a)));
}

/** The texts that a conditioning is made of. */
function conditioning(graph: Graph, node: Node): string {
  const texts = new Set<string>();
  const seen = new Set<Node>();
  const collect = (at: Node, depth: number): void => {
    if (depth === 0 || seen.has(at)) {
      return;
    }
    seen.add(at);
    const before = texts.size;
    const links: Node[] = [];
    for (const name of [...TEXTS, ...CONDITIONINGS]) {
      const text = textOf(at.inputs.get(name)).trim();
      const link = follow(graph, at, name);
      if (text !== "" && TEXTS.includes(name)) {
        texts.add(text);
      }
      if (link) {
        links.push(link);
      }
    }
    if (links.length === 0 && texts.size === before) {
      // A node of another maker that passes a conditioning on.
      links.push(...["positive", "any", "source"].flatMap((name) => follow(graph, at, name) ?? []));
    }
    for (const link of links) {
      collect(link, depth - 1);
    }
  };
  collect(node, DEPTH);
  return [...texts].join(", ");
}

/** A value of a node, or of the node that it comes from. */
function find(graph: Graph, node: Node, names: readonly string[]): unknown {
  let at: Node | undefined = node;
  for (let depth = 0; at && depth < DEPTH; depth += 1) {
    const inputs: ReadonlyMap<string, unknown> = at.inputs;
    const name = names.find((one) => inputs.has(one));
    if (name === undefined) {
      return undefined;
    }
    const input = inputs.get(name);
    if (!(input instanceof Link)) {
      return input;
    }
    at = follow(graph, at, name);
  }
  return undefined;
}

/** The node that an input comes from; nodes that only pass a value on are skipped. */
function follow(graph: Graph, node: Node, name: string): Node | undefined {
  let input = node.inputs.get(name);
  for (let depth = 0; input instanceof Link && depth < DEPTH; depth += 1) {
    const next = graph.get(input.node);
    if (next?.type !== "Reroute") {
      return next;
    }
    input = [...next.inputs.values()].find((value) => value instanceof Link);
  }
  return undefined;
}

function graphOf(value: Json): Graph | undefined {
  if (Array.isArray(value["nodes"])) {
    return editorGraph(value["nodes"] as unknown[], value["links"]);
  }
  // What is sent to ComfyUI's server has the graph in `prompt`.
  const nodes = isObject(value["prompt"]) ? value["prompt"] : value;
  const graph = new Map<string, Node>();
  for (const [id, node] of Object.entries(nodes).slice(0, NODES_MAX)) {
    if (isObject(node) && typeof node["class_type"] === "string") {
      const inputs = Object.entries(isObject(node["inputs"]) ? node["inputs"] : {});
      graph.set(id, { type: node["class_type"], inputs: new Map(inputs.map(([name, input]) => [name, apiInput(input)])) });
    }
  }
  return graph.size > 0 ? graph : undefined;
}

/** `["4", 0]` is the first output of node 4. */
function apiInput(input: unknown): unknown {
  const isLink = Array.isArray(input) && input.length === 2 && typeof input[1] === "number";
  return isLink ? new Link(String((input as unknown[])[0])) : input;
}

function editorGraph(nodes: readonly unknown[], links: unknown): Graph {
  // A link is `[id, from node, from output, to node, to input, type]`, or in newer versions an object.
  const sources = new Map<unknown, string>();
  for (const link of Array.isArray(links) ? (links as unknown[]) : []) {
    if (Array.isArray(link)) {
      sources.set(link[0], String(link[1]));
    } else if (isObject(link)) {
      sources.set(link["id"], String(link["origin_id"]));
    }
  }
  const graph = new Map<string, Node>();
  for (const node of nodes.slice(0, NODES_MAX)) {
    // Modes 2 and 4: muted and bypassed.
    if (isObject(node) && typeof node["type"] === "string" && node["mode"] !== 2 && node["mode"] !== 4) {
      graph.set(String(node["id"]), { type: node["type"], inputs: editorInputs(node["type"], node, sources) });
    }
  }
  return graph;
}

function editorInputs(type: string, node: Json, sources: ReadonlyMap<unknown, string>): ReadonlyMap<string, unknown> {
  const inputs = new Map<string, unknown>();
  const values = node["widgets_values"];
  if (Array.isArray(values)) {
    widgetsOf(type).forEach((name, index) => {
      if (name !== "" && index < values.length) {
        inputs.set(name, (values as unknown[])[index]);
      }
    });
  } else if (isObject(values)) {
    Object.entries(values).forEach(([name, value]) => inputs.set(name, value));
  }
  for (const input of Array.isArray(node["inputs"]) ? (node["inputs"] as unknown[]) : []) {
    const source = isObject(input) ? sources.get(input["link"]) : undefined;
    if (isObject(input) && source !== undefined && typeof input["name"] === "string") {
      inputs.set(input["name"], new Link(source));
    }
  }
  return inputs;
}

function widgetsOf(type: string): readonly string[] {
  if (Object.hasOwn(WIDGETS, type)) {
    return WIDGETS[type] ?? [];
  }
  if (type.startsWith("Empty") && type.includes("Latent")) {
    return ["width", "height", "batch_size"];
  }
  // A text is the first widget of nearly every node for texts.
  return /Text|String|Prompt/.test(type) ? ["text"] : [];
}
