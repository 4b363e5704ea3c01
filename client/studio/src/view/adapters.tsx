/** The adapters that change the model for the next pictures, each with its weight. */
import { For, Index, Show, createUniqueId } from "solid-js";

import { LIMITS } from "../prompt/limits";
import {
  addAdapter,
  removeAdapter,
  scaleAdapter,
  statusOf,
  usableAdapters,
  usedAdapters,
} from "../state/adapters";
import { t } from "../text";
import { Cross } from "./icons";

/** The range of the slider; the field next to it takes what the server takes. */
const SLIDER = { min: -1, max: 2, step: 0.05 } as const;
const SCALE = LIMITS["adapters.scale"];

export function Adapters() {
  const id = createUniqueId();
  const unused = () => usableAdapters().filter((status) => !usedAdapters().some((used) => statusOf(used) === status));
  return (
    <Show when={usableAdapters().length > 0 || usedAdapters().length > 0}>
      <fieldset class="field adapters">
        <legend>{t("adapters.title")}</legend>
        <Index each={usedAdapters()}>
          {(adapter, at) => {
            const name = () => statusOf(adapter())?.name ?? adapter().source.value?.slice(0, 16) ?? "";
            const words = () => statusOf(adapter())?.triggerWords ?? [];
            const isUsable = () => usableAdapters().some((status) => status === statusOf(adapter()));
            return (
              <div class="adapter">
                <label for={`${id}-${at}`} dir="auto">
                  {name()}
                </label>
                <button
                  class="icon-button"
                  type="button"
                  aria-label={t("adapters.remove", { name: name() })}
                  onClick={() => {
                    removeAdapter(at);
                  }}
                >
                  <Cross />
                </button>
                <input
                  id={`${id}-${at}`}
                  class="slider"
                  type="range"
                  {...SLIDER}
                  value={adapter().scale ?? 1}
                  onInput={(event) => {
                    scaleAdapter(at, event.currentTarget.valueAsNumber);
                  }}
                />
                <input
                  type="number"
                  aria-label={t("adapters.weight", { name: name() })}
                  {...SCALE}
                  step={SLIDER.step}
                  value={Number((adapter().scale ?? 1).toFixed(2))}
                  onChange={(event) => {
                    const typed = event.currentTarget.valueAsNumber;
                    scaleAdapter(at, Number.isNaN(typed) ? 1 : Math.min(SCALE.max, Math.max(SCALE.min, typed)));
                  }}
                />
                <Show when={words().length > 0}>
                  <p class="faint" dir="auto">
                    {t("adapters.words", { words: words().slice(0, 8).join(", ") })}
                  </p>
                </Show>
                <Show when={!isUsable()}>
                  <p class="problem">{t("adapters.unusable")}</p>
                </Show>
              </div>
            );
          }}
        </Index>
        <Show when={unused().length > 0 && usedAdapters().length < LIMITS.adapters.max}>
          <select
            aria-label={t("adapters.add")}
            onChange={(event) => {
              const chosen = unused()[event.currentTarget.selectedIndex - 1];
              event.currentTarget.selectedIndex = 0;
              if (chosen) {
                addAdapter(chosen);
              }
            }}
          >
            <option value="">{t("adapters.add")}</option>
            <For each={unused()}>
              {({ name, algorithm }) => <option value={name}>{`${name} (${algorithm})`}</option>}
            </For>
          </select>
        </Show>
      </fieldset>
    </Show>
  );
}
