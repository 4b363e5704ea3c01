/** How to draw: size, steps, guidance, seed, images, model. */
import { For, Show, createMemo, createUniqueId } from "solid-js";

import { LIMITS } from "../prompt/limits";
import { FREE, ratioOf, seedOf } from "../prompt/size";
import { firstAdapters } from "../state/adapters";
import { info, models } from "../state/connection";
import { changeRefiner, refiner } from "../state/refiner";
import {
  chooseModel,
  chosenSize,
  currentModel,
  resetSampling,
  setSettings,
  settings,
  size,
  sizes,
} from "../state/settings";
import { t } from "../text";
import { Adapters } from "./adapters";
import { Controls } from "./controls";
import { Dice } from "./icons";
import { SecondPassField, StartImageField } from "./image";
import { SizeFields } from "./size";
import { NumberField } from "./number";
import { FirstQuality } from "./quality";
import { RefinerField } from "./refiner";
import { SamplingFields, SeedField, SystemPromptField } from "./sampling";
import { SceneField } from "./scene";

export function SettingsPanel() {
  return (
    <section class="panel settings" aria-label={t("settings.title")}>
      <Show when={models().length > 1}>
        <Model />
      </Show>
      <Size />
      <div class="pair">
        <NumberField
          label={t("settings.steps")}
          value={settings.steps}
          fallback={currentModel()?.defaultSampling?.steps}
          {...LIMITS["sampling.steps"]}
          max={info()?.limits?.maxSteps ?? LIMITS["sampling.steps"].max}
          step={1}
          onChange={(steps) => setSettings({ steps })}
        />
        <NumberField
          label={t("settings.guidance")}
          value={settings.guidance}
          fallback={currentModel()?.defaultSampling?.guidanceScale}
          {...LIMITS["sampling.guidance_scale"]}
          step={0.1}
          onChange={(guidance) => setSettings({ guidance })}
        />
        <NumberField
          label={t("settings.images")}
          value={settings.images}
          fallback={1}
          {...LIMITS.images}
          max={info()?.limits?.maxImages ?? LIMITS.images.max}
          step={1}
          onChange={(images) => setSettings({ images: images ?? 1 })}
        />
      </div>
      <Seed />
      <FirstQuality />
      <Negative />
      <StartImageField />
      <SecondPassField />
      <RefinerField model={currentModel()} value={refiner()} onChange={changeRefiner} />
      <Controls />
      <Adapters list={firstAdapters} />
      <SceneField />
      <Advanced />
    </section>
  );
}

function Model() {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{t("settings.model")}</label>
      <select
        id={id}
        value={currentModel()?.name ?? ""}
        onChange={(event) => {
          const name = event.currentTarget.value;
          chooseModel(name === models()[0]?.name ? "" : name);
        }}
      >
        <For each={models()}>{({ name }) => <option value={name}>{name}</option>}</For>
      </select>
    </div>
  );
}

function Size() {
  const names = createMemo(() => [...sizes().map(({ name }) => name), FREE], [], {
    equals: (a, b) => a.join() === b.join(),
  });
  const chosen = createMemo(() => chosenSize()?.name ?? FREE);
  const choose = (ratio: string): void => {
    setSettings(ratio === FREE ? { ratio, ...size() } : { ratio });
  };
  // Of the same area, whatever the ratio.
  const shape = (name: string) => {
    const root = Math.sqrt(ratioOf(name) ?? 1);
    return { width: `${Math.round(13 * root)}px`, height: `${Math.round(13 / root)}px` };
  };
  return (
    <fieldset class="field sizes">
      <legend>
        {t("settings.size")}
        <span class="faint">
          {size().width} × {size().height}
        </span>
      </legend>
      <div class="ratios">
        <For each={names()}>
          {(name) => (
            <label>
              <input type="radio" name="ratio" checked={chosen() === name} onChange={() => choose(name)} />
              <span>
                <i class="shape" data-ratio={name} style={shape(name)} aria-hidden="true" />
                {name === FREE ? t("settings.free") : name}
              </span>
            </label>
          )}
        </For>
      </div>
      <Show when={settings.ratio === FREE}>
        <SizeFields model={currentModel()} value={size()} onChange={setSettings} />
      </Show>
    </fieldset>
  );
}

function Seed() {
  return (
    <SeedField
      value={settings.seed}
      isWrong={seedOf(settings.seed) === null}
      placeholder={t("settings.seed.random")}
      onChange={(seed) => setSettings({ seed })}
    >
      <button
        class="icon-button"
        type="button"
        aria-label={t("settings.seed.random")}
        title={t("settings.seed.random")}
        onClick={() => setSettings({ seed: "" })}
      >
        <Dice />
      </button>
    </SeedField>
  );
}

function Negative() {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{t("prompt.negative")}</label>
      <textarea
        id={id}
        rows="2"
        dir="auto"
        spellcheck={false}
        placeholder={t("prompt.negative.help")}
        value={settings.negative}
        onInput={(event) => setSettings({ negative: event.currentTarget.value })}
      />
    </div>
  );
}

function Advanced() {
  return (
    <details class="advanced">
      <summary>{t("settings.advanced")}</summary>
      <SamplingFields model={currentModel()} value={settings} onChange={setSettings} />
      <SystemPromptField
        model={currentModel()}
        value={settings.systemPrompt}
        onChange={(systemPrompt) => setSettings({ systemPrompt })}
      />
      <button class="link" type="button" onClick={resetSampling}>
        {t("settings.reset")}
      </button>
    </details>
  );
}
