/** A list of tags: each can be removed, and new ones are typed or taken from suggestions. */
import { For, createUniqueId } from "solid-js";

import { tagsOf } from "../prompt/document";
import { t } from "../text";
import { Cross } from "./icons";

export function TagField(props: {
  label: string;
  value: string;
  suggestions: readonly string[];
  onChange: (value: string) => void;
}) {
  const id = createUniqueId();
  const tags = () => tagsOf(props.value);
  let input!: HTMLInputElement;

  const change = (next: readonly string[]): void => {
    props.onChange(next.join(", "));
  };
  const commit = (): void => {
    const added = tagsOf(input.value);
    input.value = "";
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
  const onInput = (): void => {
    const isChosen = props.suggestions.includes(input.value) && !input.value.includes(",");
    if (input.value.endsWith(",") || (isChosen && !hasLonger(input.value))) {
      commit();
    }
  };
  // While `1girl` could become `1girl, 1boy`, it is not taken yet.
  const hasLonger = (typed: string): boolean =>
    props.suggestions.some((word) => word !== typed && word.startsWith(typed));

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
          <For each={props.suggestions.filter((word) => !tags().includes(word))}>{(word) => <option value={word} />}</For>
        </datalist>
      </div>
    </div>
  );
}
