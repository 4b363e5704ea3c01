/** The adapters that change a model for the next pictures, each with its weight. */
import { For, Index, Show, createUniqueId } from "solid-js";

import { LIMITS } from "../prompt/limits";
import { type AdapterList, statusOf } from "../state/adapters";
import { t } from "../text";
import { Cross } from "./icons";

/** The range of the slider; the field next to it takes what the server takes. */
const SLIDER = { min: -1, max: 2, step: 0.05 } as const;
const SCALE = LIMITS["adapters.scale"];

export function Adapters(props: { list: AdapterList }) {
  const id = createUniqueId();
  const usable = () => props.list.usable();
  const used = () => props.list.used();
  const unused = () => usable().filter((status) => !used().some((adapter) => statusOf(adapter) === status));
  return (
    <Show when={usable().length > 0 || used().length > 0}>
      <fieldset class="field adapters">
        <legend>{t("adapters.title")}</legend>
        <Index each={used()}>
          {(adapter, at) => {
            const name = () => statusOf(adapter())?.name ?? adapter().source.value?.slice(0, 16) ?? "";
            const words = () => statusOf(adapter())?.triggerWords ?? [];
            const isUsable = () => usable().some((status) => status === statusOf(adapter()));
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
                    props.list.remove(at);
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
                    props.list.scale(at, event.currentTarget.valueAsNumber);
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
                    props.list.scale(at, Number.isNaN(typed) ? 1 : Math.min(SCALE.max, Math.max(SCALE.min, typed)));
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
        <Show when={unused().length > 0 && used().length < LIMITS.adapters.max}>
          <select
            aria-label={t("adapters.add")}
            onChange={(event) => {
              const chosen = unused()[event.currentTarget.selectedIndex - 1];
              event.currentTarget.selectedIndex = 0;
              if (chosen) {
                props.list.add(chosen);
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
