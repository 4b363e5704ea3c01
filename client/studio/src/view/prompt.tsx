/** The prompt: its form, its text, or both, and what the server finds in it. */
import { For, Show, createSignal } from "solid-js";

import { newPrompt, openFile } from "../state/actions";
import { namedSources } from "../state/completion";
import { applyFix, checked } from "../state/prompt";
import { isString, load, save } from "../state/storage";
import { forgetTags } from "../state/vocabulary";
import { t } from "../text";
import { Editor, showInEditor } from "./editor";
import { Findings, TokenMeters } from "./findings";
import { PromptForm } from "./form";
import { File, Plus } from "./icons";
import { FilePicker } from "./picker";

const VIEWS = ["form", "xml", "both"] as const;
type View = (typeof VIEWS)[number];
const isView = (value: unknown): value is View => isString(value) && VIEWS.some((view) => view === value);

export function PromptPanel(props: { onSubmit: () => void }) {
  const [view, setView] = createSignal<View>(load("local", "view", isView) ?? "form");
  let file!: HTMLInputElement;
  return (
    <section class="panel prompt" data-view={view()} aria-label={t("prompt.title")}>
      <header class="line">
        <h2>{t("prompt.title")}</h2>
        <div class="segments" role="radiogroup" aria-label={t("prompt.title")}>
          <For each={VIEWS}>
            {(one) => (
              <label>
                <input
                  type="radio"
                  name="view"
                  checked={view() === one}
                  onChange={() => {
                    setView(one);
                    save("local", "view", one);
                  }}
                />
                <span>{t(`prompt.${one}`)}</span>
              </label>
            )}
          </For>
        </div>
        <div class="group">
          <button
            class="icon-button"
            type="button"
            title={t("prompt.new")}
            aria-label={t("prompt.new")}
            onClick={newPrompt}
          >
            <Plus />
          </button>
          <button
            class="icon-button"
            type="button"
            title={t("prompt.open.help")}
            aria-label={t("prompt.open")}
            onClick={() => {
              file.click();
            }}
          >
            <File />
          </button>
        </div>
        <FilePicker
          accept=".xml,.txt,.json,.png,.csv,text/*,image/png"
          ref={(element) => (file = element)}
          onChoose={(chosen) => void openFile(chosen)}
        />
      </header>
      <div class="views">
        <Show when={view() !== "xml"}>
          <div class="form-view">
            <PromptForm />
          </div>
        </Show>
        <Show when={view() !== "form"}>
          <Editor onSubmit={props.onSubmit} />
        </Show>
      </div>
      <footer>
        <Show when={namedSources().model}>
          {(name) => (
            <p class="faint" dir="auto">
              {t("tags.from-model", { name: name() })}
            </p>
          )}
        </Show>
        <Show when={namedSources().list}>
          {(name) => (
            <p class="faint line">
              <span dir="auto">{t("tags.from", { name: name() })}</span>
              <button class="link" type="button" onClick={() => void forgetTags()}>
                {t("tags.remove")}
              </button>
            </p>
          )}
        </Show>
        <TokenMeters of={checked} />
        <Findings of={checked} onShow={showInEditor} onFix={applyFix} />
      </footer>
    </section>
  );
}
