/** A list of tags: each can be removed, and new ones are typed or taken from suggestions. */
import { For, createMemo, createSignal, createUniqueId } from "solid-js";

import { tagsOf } from "../prompt/document";
import { countText, matches } from "../prompt/vocabulary";
import { vocabulary } from "../state/vocabulary";
import { t } from "../text";
import { Cross } from "./icons";

/** Tags of the list that are offered at once. */
const OFFERED = 30;

export function TagField(props: {
  label: string;
  value: string;
  suggestions: readonly string[];
  onChange: (value: string) => void;
}) {
  const id = createUniqueId();
  const tags = () => tagsOf(props.value);
  const [typed, setTyped] = createSignal("");
  let input!: HTMLInputElement;

  // Our own suggestions, and behind them those of the list of tags for what is typed.
  const offered = createMemo(() => {
    const own = props.suggestions.map((word) => ({ word, label: "" }));
    const listed = matches(vocabulary()?.tags ?? [], typed(), OFFERED).map(({ tag, alias }) => ({
      word: tag.name,
      label: alias === undefined ? countText(tag.count) : `${countText(tag.count)} ← ${alias}`,
    }));
    const isNew = ({ word }: { word: string }) => !props.suggestions.includes(word);
    return [...own, ...listed.filter(isNew)].filter(({ word }) => !tags().includes(word));
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
              <li class="tag">
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
          onBlur={commit}
        />
        <datalist id={`${id}-words`}>
          <For each={offered()}>{({ word, label }) => <option value={word} label={label || word} />}</For>
        </datalist>
      </div>
    </div>
  );
}
