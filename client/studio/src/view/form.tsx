/** The prompt as a form: a card for each character, and one for the whole picture. */
import { For, Index, Show, createMemo, createSignal, createUniqueId } from "solid-js";

import { type Block, leafOf } from "../prompt/document";
import { type Place, addCharacter, numberOf, removeCharacter, setValue, valueAt } from "../prompt/edit";
import { CHARACTERS_MAX, CHARACTER_TAGS, GENDERS, GENERAL_TAGS } from "../prompt/fields";
import type { CharacterTag, GeneralTag } from "../prompt/fields";
import { explainFailure, server } from "../state/connection";
import { edit, prompt, setText, text } from "../state/prompt";
import { t } from "../text";
import { Bin, Plus } from "./icons";
import { TagField } from "./tags";

/** The fields that are always there; the others appear when they have a value or are asked for. */
const CHARACTER_FIRST: readonly CharacterTag[] = ["appearance", "clothing", "expression", "action", "position"];
const GENERAL_FIRST: readonly GeneralTag[] = ["count", "style", "background", "environment"];

export function PromptForm() {
  return (
    <Show when={prompt().hasForm} fallback={<Plain />}>
      <div class="cards">
        <Index each={prompt().characters}>{(block) => <Character block={block()} />}</Index>
        <Show when={prompt().characters.length < CHARACTERS_MAX}>
          <button class="quiet add" type="button" onClick={() => edit(addCharacter(prompt(), "1girl"))}>
            <Plus />
            {t("form.add")}
          </button>
        </Show>
        <WholePicture />
        <Caption />
      </div>
    </Show>
  );
}

function Character(props: { block: Block }) {
  const number = () => numberOf(props.block);
  const place = (name: string): Place => ({ in: "character", number: number(), name });
  const name = createUniqueId();
  return (
    <section class="card" aria-label={t("form.character", { n: number() })}>
      <header>
        <span class="mark" aria-hidden="true">
          {number()}
        </span>
        <h3>{t("form.character", { n: number() })}</h3>
        <button
          class="icon-button"
          type="button"
          aria-label={t("form.remove", { n: number() })}
          onClick={() => edit(removeCharacter(prompt(), number()))}
        >
          <Bin />
        </button>
      </header>
      <div class="pair identity">
        <div class="field">
          <label for={name}>{t("form.name")}</label>
          <input
            id={name}
            value={valueAt(prompt(), place("n"))}
            dir="auto"
            spellcheck={false}
            onChange={(event) => edit(setValue(prompt(), place("n"), event.currentTarget.value.trim()))}
          />
        </div>
        <fieldset class="field">
          <legend>{t("form.gender")}</legend>
          <div class="segments">
            <For each={GENDERS}>
              {(word) => (
                <label>
                  <input
                    type="radio"
                    name={`gender-${number()}`}
                    checked={valueAt(prompt(), place("gender")).trim() === word}
                    onChange={() => edit(setValue(prompt(), place("gender"), word))}
                  />
                  <span>{word}</span>
                </label>
              )}
            </For>
          </div>
        </fieldset>
      </div>
      <Fields names={CHARACTER_TAGS} first={CHARACTER_FIRST} block={props.block} place={place} />
    </section>
  );
}

function WholePicture() {
  return (
    <section class="card" aria-label={t("form.general")}>
      <header>
        <span class="mark" aria-hidden="true">
          ∞
        </span>
        <h3>{t("form.general")}</h3>
      </header>
      <Fields
        names={GENERAL_TAGS}
        first={GENERAL_FIRST}
        block={prompt().general}
        place={(name) => ({ in: "general", name })}
      />
    </section>
  );
}

/** The fields with tags of a block. */
function Fields<T extends CharacterTag | GeneralTag>(props: {
  names: readonly T[];
  first: readonly T[];
  block: Block | undefined;
  place: (name: T) => Place;
}) {
  const [isOpen, setOpen] = createSignal(false);
  const shown = createMemo(
    () => props.names.filter((name) => isOpen() || props.first.includes(name) || leafOf(props.block, name)),
    [],
    { equals: (a, b) => a.join() === b.join() },
  );
  return (
    <>
      <For each={shown()}>
        {(name) => (
          <TagField
            label={t(`field.${name}`)}
            value={valueAt(prompt(), props.place(name))}
            element={name}
            onChange={(value) => edit(setValue(prompt(), props.place(name), value))}
          />
        )}
      </For>
      <Show when={isOpen() || shown().length < props.names.length}>
        <button class="link" type="button" aria-expanded={isOpen()} onClick={() => setOpen(!isOpen())}>
          {t(isOpen() ? "form.fewer" : "form.more")}
        </button>
      </Show>
    </>
  );
}

function Caption() {
  const id = createUniqueId();
  return (
    <section class="card" aria-label={t("form.caption")}>
      <div class="field">
        <label for={id}>{t("form.caption")}</label>
        <textarea
          id={id}
          rows="3"
          dir="auto"
          placeholder={t("form.caption.help")}
          value={valueAt(prompt(), { in: "caption" })}
          onInput={(event) => edit(setValue(prompt(), { in: "caption" }, event.currentTarget.value))}
        />
      </div>
    </section>
  );
}

/** For a text without elements: it is edited as it is, or the server reads it and writes it as XML. */
function Plain() {
  const id = createUniqueId();
  const [problem, setProblem] = createSignal("");
  const convert = async (): Promise<void> => {
    const given = text();
    try {
      const xml = await server().format(await server().parse(given));
      if (text() === given) {
        setText(xml);
      }
    } catch (error) {
      setProblem(explainFailure(error));
    }
  };
  return (
    <div class="cards">
      <div class="card">
        <label for={id}>{t("prompt.editor")}</label>
        <textarea
          id={id}
          rows="8"
          dir="auto"
          value={text()}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </div>
      <div class="notice">
        <p>{t("prompt.plain")}</p>
        <button type="button" onClick={() => void convert()}>
          {t("prompt.convert")}
        </button>
        <Show when={problem()}>
          <p class="problem" role="alert">
            {problem()}
          </p>
        </Show>
      </div>
    </div>
  );
}
