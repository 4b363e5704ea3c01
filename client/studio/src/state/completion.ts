/** Completion of tags: by the vocabulary of the model that draws, and by the list that a person gave. */
import { createMemo } from "solid-js";

import { ModelTags, type Sources } from "../prompt/completion";
import { type CharacterTag, type GeneralTag, SUGGESTIONS } from "../prompt/fields";
import type { KnownTag } from "../prompt/vocabulary";
import { currentModel } from "./settings";
import { vocabulary } from "./vocabulary";

/** Without a list: always the same array, by which its counts are kept. */
const NONE: readonly KnownTag[] = [];

/** The tags that the model was trained with, kept while its fingerprint is the same; `undefined`: it does not name them. */
const modelTags = createMemo<{ readonly fingerprint: string; readonly tags: ModelTags } | undefined>((kept) => {
  const model = currentModel();
  if (!model?.vocabulary) {
    return undefined;
  }
  const { fingerprint, vocabulary: named } = model;
  return kept?.fingerprint === fingerprint ? kept : { fingerprint, tags: new ModelTags(named.elements) };
});

/** Whether the model that draws was not trained with a tag. */
export function isUnknownToModel(tag: string): boolean {
  return modelTags()?.tags.isUnknown(tag) ?? false;
}

/** Where offers for an element come from. */
export function sourcesOf(element: CharacterTag | GeneralTag): Sources {
  const known = modelTags()?.tags;
  return {
    words: known ? known.of(element) : SUGGESTIONS[element],
    list: vocabulary()?.tags ?? NONE,
    isUnknown: isUnknownToModel,
  };
}

/** The name of what tags are completed from besides the words of the page: a model or a list. */
export const namedSources = createMemo(() => {
  const model = modelTags() === undefined ? undefined : currentModel()?.name;
  return { model, list: vocabulary()?.name };
});
