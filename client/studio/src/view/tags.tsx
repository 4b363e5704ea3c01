/** A list of tags: each can be removed, and new ones are typed or taken from suggestions. */
import { For, createMemo, createSignal, createUniqueId } from "solid-js";

import { tagsOf } from "../prompt/document";
import { type Offer, listedOffers, ownOffers } from "../prompt/completion";
import type { CharacterTag, GeneralTag } from "../prompt/fields";
import { isUnknownToModel, sourcesOf } from "../state/completion";
import { t } from "../text";
import { Cross } from "./icons";

/** Tags of the list that are offered at once. */
const OFFERED = 30;

export function TagField(props: {
  label: string;
  element: CharacterTag | GeneralTag;
  value: string;
  onChange: (value: string) => void;
}) {
  const id = createUniqueId();
  const tags = () => tagsOf(props.value);
  const [typed, setTyped] = createSignal("");
  const [hasFocus, setFocus] = createSignal(false);
  let input!: HTMLInputElement;

  // Only of the field that is typed into: there may be many fields, each with hundreds of words.
  const sources = createMemo(() => (hasFocus() ? sourcesOf(props.element) : undefined));
  const own = createMemo(() => {
    const known = sources();
    return known ? ownOffers(known) : [];
  });
  const offered = createMemo(() => {
    const known = sources();
    const listed = known ? listedOffers(known, typed(), OFFERED) : [];
    const there = new Set(tags());
    return [...own(), ...listed].filter(({ word }) => !there.has(word));
  });

  const change = (next: readonly string[]): void => {
    props.onChange(next.join(", "));
  };
  const commit = (): void => {
    const added = tagsOf(input.value);
    input.value = "";
    setTyped("");
    if (added.length > 0) {
      change([...tags(), ...added]);
    }
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.isComposing) {
      return;
    }
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey && input.value.trim() !== "") {
      event.preventDefault();
      commit();
    } else if (event.key === "Backspace" && input.value === "" && tags().length > 0) {
      event.preventDefault();
      // The last tag goes back into the field, where it can be changed.
      input.value = tags().at(-1) ?? "";
      change(tags().slice(0, -1));
    }
  };
  const onInput = (event: InputEvent): void => {
    // A word that was chosen comes as a replacement, or as no kind of input at all.
    const isChosen = event.inputType === "insertReplacementText" || (event.inputType as unknown) === undefined;
    if (input.value.endsWith(",") || (isChosen && offered().some(({ word }) => word === input.value))) {
      commit();
      return;
    }
    setTyped(input.value);
  };

  return (
    <div class="field tag-field">
      <label for={id}>{props.label}</label>
      <div class="tags" onClick={(event) => event.target === event.currentTarget && input.focus()}>
        <ul aria-label={props.label}>
          <For each={tags()}>
            {(tag, index) => (
              <li
                class="tag"
                data-unknown={isUnknownToModel(tag)}
                title={isUnknownToModel(tag) ? t("tags.unknown") : undefined}
              >
                <span dir="auto">{tag}</span>
                <button
                  type="button"
                  aria-label={t("form.tag.remove", { tag })}
                  onClick={() => {
                    change(tags().filter((_, other) => other !== index()));
                    input.focus();
                  }}
                >
                  <Cross />
                </button>
              </li>
            )}
          </For>
        </ul>
        <input
          id={id}
          ref={input}
          list={`${id}-words`}
          autocomplete="off"
          spellcheck={false}
          placeholder={tags().length === 0 ? "—" : ""}
          onKeyDown={onKey}
          onInput={onInput}
          onFocus={() => setFocus(true)}
          onBlur={() => {
            commit();
            setFocus(false);
          }}
        />
        <datalist id={`${id}-words`}>
          <For each={offered()}>{(offer) => <option value={offer.word} label={labelOf(offer)} />}</For>
        </datalist>
      </div>
    </div>
  );
}

function labelOf({ word, alias, count, isUnknown }: Offer): string {
  const facts = [alias === undefined ? count : `${count} ← ${alias}`, isUnknown ? t("tags.unknown") : ""];
  return facts.filter((fact) => fact !== "").join(" · ") || word;
}
