/**
 * Reads the text of a prompt into its blocks, with the place of each in the text.
 *
 * The text is what counts: nothing is written back from these blocks, so what this reader does not know is never lost. Only
 * the server decides whether a prompt is valid.
 */
import { CHARACTERS_MAX, CHARACTER_ORDER, GENERAL_ORDER } from "./fields";

/** A range of the text in UTF-16 units: `from` inclusive, `to` exclusive. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** An element without elements inside it, such as `<appearance>`. */
export interface Leaf {
  readonly name: string;
  /** With its tags. */
  readonly outer: Range;
  /** Between its tags. */
  readonly inner: Range;
  /** What stands between its tags, with entities replaced. */
  readonly value: string;
}

/** `<character_N>` or `<general_tags>`. */
export interface Block {
  readonly name: string;
  readonly outer: Range;
  readonly inner: Range;
  readonly leaves: readonly Leaf[];
}

/** The blocks of a text. */
export interface PromptDocument {
  readonly text: string;
  /** Where the blocks stand: the inside of `<prompt>`, or the whole text. */
  readonly body: Range;
  /** In the order of their numbers. */
  readonly characters: readonly Block[];
  readonly general: Block | undefined;
  readonly caption: Leaf | undefined;
  /** Whether the form can show the text: it is empty, or has at least one block. */
  readonly hasForm: boolean;
}

const COMMENT = /<!--[\s\S]*?-->/g;
const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", amp: "&", quot: '"', apos: "'" };

/** Reads a text. Each name counts once: a second element of it is left to the server's findings. */
export function readDocument(text: string): PromptDocument {
  // Of the same length, so that places stay those of the text.
  const visible = text.replace(COMMENT, (comment) => " ".repeat(comment.length));
  const root = findElement(visible, "prompt", { from: 0, to: text.length });
  const body = root?.inner ?? { from: 0, to: text.length };
  const block = (name: string, order: readonly string[]): Block | undefined => {
    const found = findElement(visible, name, body);
    return found && { name, ...found, leaves: readLeaves(text, visible, order, found.inner) };
  };
  const characters: Block[] = [];
  for (let number = 1; number <= CHARACTERS_MAX; number += 1) {
    const character = block(`character_${number}`, CHARACTER_ORDER);
    if (character) {
      characters.push(character);
    }
  }
  const general = block("general_tags", GENERAL_ORDER);
  const caption = findCaption(text, visible, body, [...characters, ...(general ? [general] : [])]);
  const hasForm = text.trim() === "" || characters.length > 0 || general !== undefined || caption !== undefined;
  return { text, body, characters, general, caption, hasForm };
}

/** The leaf of this name. */
export function leafOf(block: Block | undefined, name: string): Leaf | undefined {
  return block?.leaves.find((leaf) => leaf.name === name);
}

/** The tags of a value. */
export function tagsOf(value: string | undefined): string[] {
  return (value ?? "")
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
}

/** A value as it stands between tags. */
export function escapeValue(value: string): string {
  return value.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

/** The value that stands between tags. */
export function unescapeValue(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(lt|gt|amp|quot|apos));/g, (all, decimal, hex, name) => {
    if (typeof name === "string") {
      return ENTITIES[name] ?? all;
    }
    const code = typeof decimal === "string" ? Number.parseInt(decimal, 10) : Number.parseInt(String(hex), 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
  });
}

function findElement(visible: string, name: string, within: Range): { outer: Range; inner: Range } | undefined {
  const open = new RegExp(`<${name}(?:\\s[^<>]*)?>`, "g");
  open.lastIndex = within.from;
  const begin = open.exec(visible);
  if (!begin || begin.index >= within.to || begin[0].endsWith("/>")) {
    return undefined;
  }
  const inside = begin.index + begin[0].length;
  const close = new RegExp(`</${name}\\s*>`, "g");
  close.lastIndex = inside;
  const end = close.exec(visible);
  if (!end || end.index + end[0].length > within.to) {
    return undefined;
  }
  return {
    outer: { from: begin.index, to: end.index + end[0].length },
    inner: { from: inside, to: end.index },
  };
}

function readLeaves(text: string, visible: string, names: readonly string[], within: Range): Leaf[] {
  const leaves = names.flatMap((name) => {
    const found = findElement(visible, name, within);
    return found ? [leaf(text, name, found)] : [];
  });
  return leaves.sort((a, b) => a.outer.from - b.outer.from);
}

/** The caption that stands in no block: `<negative_prompt>` and the blocks may not have one, but a text may be wrong. */
function findCaption(text: string, visible: string, body: Range, blocks: readonly Block[]): Leaf | undefined {
  const negative = findElement(visible, "negative_prompt", body);
  const taken = [...blocks.map(({ outer }) => outer), ...(negative ? [negative.outer] : [])];
  let from = body.from;
  for (;;) {
    const found = findElement(visible, "caption", { from, to: body.to });
    if (!found) {
      return undefined;
    }
    const around = taken.find((range) => range.from <= found.outer.from && found.outer.to <= range.to);
    if (!around) {
      return leaf(text, "caption", found);
    }
    from = around.to;
  }
}

function leaf(text: string, name: string, { outer, inner }: { outer: Range; inner: Range }): Leaf {
  return { name, outer, inner, value: unescapeValue(text.slice(inner.from, inner.to)) };
}
