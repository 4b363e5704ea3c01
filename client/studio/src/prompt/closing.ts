/**
 * Typing of tags in the text: an end tag that is there already is typed over, and it follows the name in its start tag.
 *
 * All places are in UTF-16 units of the text.
 */

/** A tag of a text. */
interface Tag {
  readonly kind: "start" | "end" | "empty";
  readonly name: string;
  readonly from: number;
  readonly to: number;
  /** Where its name begins. */
  readonly nameFrom: number;
}

/** One change of the text. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

/** What a typed character does instead of being inserted. */
export interface TypedOver {
  /** How many characters before the cursor are removed. */
  readonly remove: number;
  /** Where the cursor is afterwards, in the text without them. */
  readonly cursor: number;
}

const COMMENT_OR_TAG = /<!--[\s\S]*?(?:-->|$)|<(\/?)([^\s<>/]*)([^<>]*)>/g;

function tagsOf(text: string): Tag[] {
  const tags: Tag[] = [];
  for (const found of text.matchAll(COMMENT_OR_TAG)) {
    const [whole, slash, name, rest] = found;
    if (name !== undefined && !name.startsWith("!") && !name.startsWith("?")) {
      const kind = slash === "/" ? "end" : rest?.endsWith("/") ? "empty" : "start";
      const from = found.index;
      tags.push({ kind, name, from, to: from + whole.length, nameFrom: from + (kind === "end" ? 2 : 1) });
    }
  }
  return tags;
}

/** The start tags of the elements that are open after these tags, the innermost one last. */
function openAfter(tags: readonly Tag[]): Tag[] {
  const open: Tag[] = [];
  for (const tag of tags) {
    if (tag.kind === "start") {
      open.push(tag);
    } else if (tag.kind === "end") {
      const at = open.findLastIndex(({ name }) => name === tag.name);
      if (at !== -1) {
        open.splice(at);
      }
    }
  }
  return open;
}

/**
 * What typing `typed` at `cursor` does if the end tag of the innermost open element is there already and has this character at this
 * place. `undefined`: the character is inserted.
 */
export function typeOver(text: string, cursor: number, typed: string): TypedOver | undefined {
  const [begun] = /<\/?[^\s<>/]*$/.exec(text.slice(0, cursor)) ?? [];
  if (begun === undefined) {
    return undefined;
  }
  const start = cursor - begun.length;
  const name = openAfter(tagsOf(text.slice(0, start))).at(-1)?.name;
  const whole = `</${name ?? ""}>`;
  if (begun === "<") {
    const isThere = typed === "/" && name !== undefined && text.startsWith(whole, cursor);
    // The cursor moves behind `</`, and what was typed of it goes.
    return isThere ? { remove: 1, cursor: cursor + 1 } : undefined;
  }
  const isThere = name !== undefined && begun.startsWith("</") && text.startsWith(whole, start);
  return isThere && text[cursor] === typed ? { remove: 0, cursor: cursor + 1 } : undefined;
}

/**
 * The change of an end tag that goes with a change of the name in its start tag. `undefined`: the change is elsewhere, makes more
 * than another name, or the element has no end tag of the same name.
 */
export function renameEnd(text: string, { from, to, insert }: Edit): Edit | undefined {
  if (/[\s<>/]/.test(insert)) {
    return undefined;
  }
  const tags = tagsOf(text);
  const at = tags.findIndex(({ nameFrom, name }) => nameFrom <= from && to <= nameFrom + name.length);
  const start = tags[at];
  if (start?.kind !== "start") {
    return undefined;
  }
  let depth = 0;
  for (const tag of tags.slice(at)) {
    depth += tag.name !== start.name ? 0 : tag.kind === "start" ? 1 : tag.kind === "end" ? -1 : 0;
    if (depth === 0) {
      const shift = tag.nameFrom - start.nameFrom;
      return { from: from + shift, to: to + shift, insert };
    }
  }
  return undefined;
}
