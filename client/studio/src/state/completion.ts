/** Completion of tags: by the vocabulary of the model that draws, and by the list that a person gave. */
import { createMemo } from "solid-js";

import { ModelTags, type Sources } from "../prompt/completion";
import { type CharacterTag, type GeneralTag, SUGGESTIONS } from "../prompt/fields";
import { currentModel } from "./settings";
import { vocabulary } from "./vocabulary";

/** The tags that the model was trained with; `undefined`: it does not name them. */
const modelTags = createMemo(
  () => {
    const model = currentModel();
    return model?.vocabulary && { fingerprint: model.fingerprint, tags: new ModelTags(model.vocabulary.elements) };
  },
  undefined,
  { equals: (a, b) => a?.fingerprint === b?.fingerprint },
);

/** Whether the model that draws was not trained with a tag. */
export function isUnknownToModel(tag: string): boolean {
  return modelTags()?.tags.isUnknown(tag) ?? false;
}

/** Where offers for an element come from. */
export function sourcesOf(element: CharacterTag | GeneralTag): Sources {
  const known = modelTags()?.tags;
  return {
    words: known ? known.of(element) : SUGGESTIONS[element],
    list: vocabulary()?.tags ?? [],
    isUnknown: isUnknownToModel,
  };
}

/** The name of what tags are completed from besides the words of the page: a model or a list. */
export const namedSources = createMemo(() => {
  const model = modelTags() === undefined ? undefined : currentModel()?.name;
  return { model, list: vocabulary()?.name };
});
