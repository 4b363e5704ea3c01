/** A list of tags with counts and aliases, in the form in which lists of Danbooru are passed around: `name,category,count,aliases`. */

/** A tag of the list. */
export interface KnownTag {
  readonly name: string;
  /** How many pictures have it. */
  readonly count: number;
  readonly aliases: readonly string[];
}

/** A tag that fits what is typed, and the alias that fits if the name does not. */
export interface Match {
  readonly tag: KnownTag;
  readonly alias: string | undefined;
}

/** Lines that are read. */
const TAGS_MAX = 500_000;

/** Reads a list. Other lines are skipped; a text without any tag gives an empty list. The most frequent tag comes first. */
export function readVocabulary(csv: string): KnownTag[] {
  const tags: KnownTag[] = [];
  for (const line of csv.split("\n")) {
    if (tags.length >= TAGS_MAX) {
      break;
    }
    const [name, , count, aliases] = cells(line.trimEnd());
    if (name && count !== undefined && /^\d+$/.test(count)) {
      tags.push({ name, count: Number(count), aliases: (aliases ?? "").split(",").filter((alias) => alias !== "") });
    }
  }
  return tags.sort((a, b) => b.count - a.count);
}

/** The most frequent tags that begin with what is typed, then those with an alias that does, then those that contain it. */
export function matches(tags: readonly KnownTag[], typed: string, most: number): Match[] {
  const word = typed.trim().toLowerCase().replaceAll(" ", "_");
  if (word === "") {
    return [];
  }
  const first: Match[] = [];
  const aliased: Match[] = [];
  const within: Match[] = [];
  for (const tag of tags) {
    if (first.length >= most) {
      break;
    }
    if (tag.name.startsWith(word)) {
      first.push({ tag, alias: undefined });
    } else if (aliased.length < most) {
      const alias = tag.aliases.find((one) => one.startsWith(word));
      if (alias !== undefined) {
        aliased.push({ tag, alias });
      } else if (within.length < most && tag.name.includes(word)) {
        within.push({ tag, alias: undefined });
      }
    }
  }
  return [...first, ...aliased, ...within].slice(0, most);
}

/** A count for people to read: `1.2M`, `35k`. Empty for an unknown count. */
export function countText(count: number | undefined): string {
  if (count === undefined) {
    return "";
  }
  if (count >= 1_000_000) {
    return `${(count / 1_000_000).toFixed(1)}M`;
  }
  return count >= 1000 ? `${Math.round(count / 1000)}k` : String(count);
}

/** The cells of a line; one in quotes may have commas. */
function cells(line: string): string[] {
  const found: string[] = [];
  for (const [, quoted, plain] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    found.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
  }
  return found;
}
