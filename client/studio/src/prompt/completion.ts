/** What is offered while a tag is typed. */
import { type KnownTag, countText, matches } from "./vocabulary";

/** A tag that can be chosen. */
export interface Offer {
  readonly word: string;
  /** The name that the typed text begins, if it is not the tag's own. */
  readonly alias: string | undefined;
  /** How many pictures have it, as a person reads it; empty if no list says. */
  readonly count: string;
  /** Whether the model was not trained with it. */
  readonly isUnknown: boolean;
}

/** Where offers come from. */
export interface Sources {
  /** Words of the element: those of the model's vocabulary, or frequent ones. */
  readonly words: readonly string[];
  /** The list that a person gave. */
  readonly list: readonly KnownTag[];
  /** Whether the model was not trained with a tag; false if the model names no tags. */
  readonly isUnknown: (tag: string) => boolean;
}

/** Offers for what is typed: the words of the element, then at most `most` tags of the list. */
export function offers(sources: Sources, typed: string, most: number): Offer[] {
  return [...ownOffers(sources), ...listedOffers(sources, typed, most)];
}

/** The words of the element, whatever is typed. */
export function ownOffers({ words, list }: Sources): Offer[] {
  const counts = countsOf(list);
  return words.map((word) => ({ word, alias: undefined, count: countText(counts.get(word)), isUnknown: false }));
}

/** At most `most` tags of the list that fit what is typed, without the words of the element. */
export function listedOffers({ words, list, isUnknown }: Sources, typed: string, most: number): Offer[] {
  const there = new Set(words);
  return matches(list, typed, most)
    .filter(({ tag }) => !there.has(tag.name))
    .map(({ tag, alias }) => ({ word: tag.name, alias, count: countText(tag.count), isUnknown: isUnknown(tag.name) }));
}

/** The tags that the model was trained with, by element, and a test of any tag. */
export class ModelTags {
  private readonly byElement: ReadonlyMap<string, readonly string[]>;
  private readonly all: ReadonlySet<string>;

  constructor(elements: readonly { readonly element: string; readonly tags: readonly string[] }[]) {
    this.byElement = new Map(elements.map(({ element, tags }) => [element, tags]));
    this.all = new Set(elements.flatMap(({ tags }) => tags.map(plain)));
  }

  /** The tags of an element. */
  of(element: string): readonly string[] {
    return this.byElement.get(element) ?? [];
  }

  /** Whether no element has the tag. */
  isUnknown(tag: string): boolean {
    return !this.all.has(plain(tag));
  }
}

/** A tag without differences of spelling, as the server's `unknown-to-model` compares it. */
function plain(tag: string): string {
  return tag.trim().toLowerCase().replaceAll("\\", "").replaceAll(" ", "_");
}

/** The counts of each list by name: a list has up to half a million tags, and is asked at every key. */
const counted = new WeakMap<readonly KnownTag[], ReadonlyMap<string, number>>();

function countsOf(list: readonly KnownTag[]): ReadonlyMap<string, number> {
  let made = counted.get(list);
  if (!made) {
    made = new Map(list.map(({ name, count }) => [name, count]));
    counted.set(list, made);
  }
  return made;
}
