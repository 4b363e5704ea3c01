/** Changes of the form as edits of the text. An edit touches only the element that changed. */
import { type Block, type Leaf, type PromptDocument, type Range, escapeValue, leafOf } from "./document";
import { CHARACTERS_MAX, CHARACTER_ORDER, GENERAL_ORDER } from "./fields";

/** Replaces a range of the text. */
export interface TextEdit extends Range {
  readonly insert: string;
}

/** Where a value stands. */
export type Place =
  | { readonly in: "character"; readonly number: number; readonly name: string }
  | { readonly in: "general"; readonly name: string }
  | { readonly in: "caption" };

/** Applies edits to a text; they are in its order and do not overlap. */
export function applyEdits(text: string, edits: readonly TextEdit[]): string {
  let result = "";
  let at = 0;
  for (const edit of edits) {
    result += text.slice(at, edit.from) + edit.insert;
    at = edit.to;
  }
  return result + text.slice(at);
}

/** The value at a place; empty if the element is missing. */
export function valueAt(document: PromptDocument, place: Place): string {
  return leafAt(document, place)?.value ?? "";
}

/** The edits that set the value at a place. An empty value removes the element. */
export function setValue(document: PromptDocument, place: Place, value: string): TextEdit[] {
  const leaf = leafAt(document, place);
  if (leaf) {
    if (leaf.value === value) {
      return [];
    }
    if (value === "" && leaf.name !== "n") {
      return [removal(document.text, leaf.outer)];
    }
    return [{ ...leaf.inner, insert: escapeValue(value) }];
  }
  if (value === "") {
    return [];
  }
  switch (place.in) {
    case "caption":
      return [appendBlock(document, `<caption>${escapeValue(value)}</caption>`)];
    case "general":
      return document.general
        ? [insertLeaf(document, document.general, GENERAL_ORDER, place.name, value)]
        : [insertGeneral(document, `<general_tags>\n${element(place.name, value)}\n</general_tags>`)];
    case "character": {
      const block = characterOf(document, place.number);
      return block ? [insertLeaf(document, block, CHARACTER_ORDER, place.name, value)] : [];
    }
  }
}

/** The edits that add a character behind the last one. */
export function addCharacter(document: PromptDocument, gender: string): TextEdit[] {
  const number = document.characters.length + 1;
  if (number > CHARACTERS_MAX) {
    return [];
  }
  const name = `character_${number}`;
  const block = `<${name}>\n<n>original_character</n>\n<gender>${gender}</gender>\n</${name}>`;
  const last = document.characters.at(-1);
  if (last) {
    return [{ from: last.outer.to, to: last.outer.to, insert: `\n\n${block}` }];
  }
  const first = skipSpace(document.text, document.body.from, document.body.to);
  const rest = document.text.slice(first, document.body.to).trim();
  return [{ from: first, to: first, insert: rest === "" ? `${block}\n` : `${block}\n\n` }];
}

/** The edits that remove a character; those behind it move up by one number. */
export function removeCharacter(document: PromptDocument, number: number): TextEdit[] {
  const edits: TextEdit[] = [];
  for (const block of [...document.characters].sort((a, b) => a.outer.from - b.outer.from)) {
    const own = numberOf(block);
    if (own === number) {
      edits.push(removal(document.text, block.outer));
    } else if (own > number) {
      const opening = block.outer.from + 1;
      const closing = block.inner.to + 2;
      edits.push({ from: opening, to: opening + block.name.length, insert: `character_${own - 1}` });
      edits.push({ from: closing, to: closing + block.name.length, insert: `character_${own - 1}` });
    }
  }
  return edits;
}

/** The number in the name of a character. */
export function numberOf(block: Block): number {
  return Number(block.name.slice("character_".length));
}

function characterOf(document: PromptDocument, number: number): Block | undefined {
  return document.characters.find((block) => numberOf(block) === number);
}

function leafAt(document: PromptDocument, place: Place): Leaf | undefined {
  switch (place.in) {
    case "caption":
      return document.caption;
    case "general":
      return leafOf(document.general, place.name);
    case "character":
      return leafOf(characterOf(document, place.number), place.name);
  }
}

function element(name: string, value: string): string {
  return `<${name}>${escapeValue(value)}</${name}>`;
}

/** Inserts an element behind the last one that comes before it in the canonical order. */
function insertLeaf(
  document: PromptDocument,
  block: Block,
  order: readonly string[],
  name: string,
  value: string,
): TextEdit {
  const rank = order.indexOf(name);
  const before = block.leaves.filter((leaf) => order.indexOf(leaf.name) < rank);
  const at = Math.max(block.inner.from, ...before.map((leaf) => leaf.outer.to));
  const isFollowed = /^[ \t]*\r?\n/.test(document.text.slice(at, block.inner.to));
  return { from: at, to: at, insert: `\n${element(name, value)}${isFollowed ? "" : "\n"}` };
}

function insertGeneral(document: PromptDocument, block: string): TextEdit {
  const last = document.characters.reduce((end, { outer }) => Math.max(end, outer.to), -1);
  if (last >= 0) {
    return { from: last, to: last, insert: `\n\n${block}` };
  }
  if (document.caption) {
    const at = document.caption.outer.from;
    return { from: at, to: at, insert: `${block}\n\n` };
  }
  return appendBlock(document, block);
}

function appendBlock(document: PromptDocument, block: string): TextEdit {
  const { from, to } = document.body;
  const end = from + document.text.slice(from, to).trimEnd().length;
  return { from: end, to, insert: end === from ? `${block}\n` : `\n\n${block}\n` };
}

/** Removes a range, with its line or its paragraph if nothing else stands there. */
function removal(text: string, { from, to }: Range): TextEdit {
  const lineStart = text.slice(0, from).search(/[ \t]*$/);
  const isAlone = lineStart === 0 || text[lineStart - 1] === "\n";
  const rest = /^[ \t]*(?:\r?\n)/.exec(text.slice(to));
  if (!isAlone || !rest) {
    return { from, to, insert: "" };
  }
  let end = to + rest[0].length;
  // Not two empty lines where the paragraph was.
  const next = /^\r?\n/.exec(text.slice(end));
  if (next && (lineStart === 0 || text.slice(0, lineStart).endsWith("\n\n"))) {
    end += next[0].length;
  }
  return { from: lineStart, to: end, insert: "" };
}

function skipSpace(text: string, from: number, to: number): number {
  const found = text.slice(from, to).search(/\S/);
  return found < 0 ? to : from + found;
}
