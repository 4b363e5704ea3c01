/** How to draw: size, steps, guidance, seed, images, model. */
import { For, type JSX, Show, createMemo, createUniqueId } from "solid-js";

import { NoiseSchedule, Solver } from "../sakuga/web.js";
import { LIMITS } from "../prompt/limits";
import { FREE, ratioOf, seedOf } from "../prompt/size";
import { firstAdapters } from "../state/adapters";
import { info, models } from "../state/connection";
import {
  type Settings,
  chooseModel,
  chosenSize,
  currentModel,
  hasShift,
  resetSampling,
  schedules,
  setSettings,
  settings,
  size,
  sizeMultiple,
  sizes,
  solvers,
} from "../state/settings";
import { t } from "../text";
import { Adapters } from "./adapters";
import { Controls } from "./controls";
import { Dice } from "./icons";
import { SecondPassField, StartImageField } from "./image";
import { NumberField } from "./number";
import { QualityField } from "./quality";
import { RefinerField } from "./refiner";
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
      <QualityField />
      <Negative />
      <StartImageField />
      <SecondPassField />
      <RefinerField />
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
        <div class="pair">
          <Length label={t("settings.width")} name="width" />
          <Length label={t("settings.height")} name="height" />
        </div>
      </Show>
    </fieldset>
  );
}

function Length(props: { label: string; name: "width" | "height" }) {
  const round = (value: number | undefined) => {
    const multiple = sizeMultiple();
    return Math.max(multiple, Math.round((value ?? 0) / multiple) * multiple);
  };
  return (
    <NumberField
      label={props.label}
      value={size()[props.name]}
      fallback={currentModel()?.defaultSize}
      min={sizeMultiple()}
      max={currentModel()?.maxEdge || 8192}
      step={sizeMultiple()}
      onChange={(value) => setSettings({ [props.name]: round(value) })}
    />
  );
}

function Seed() {
  const id = createUniqueId();
  const isWrong = () => seedOf(settings.seed) === null;
  return (
    <div class="field">
      <label for={id}>{t("settings.seed")}</label>
      <div class="with-button">
        <input
          id={id}
          inputmode="numeric"
          autocomplete="off"
          placeholder={t("settings.seed.random")}
          value={settings.seed}
          aria-invalid={isWrong()}
          aria-describedby={isWrong() ? `${id}-wrong` : undefined}
          onInput={(event) => setSettings({ seed: event.currentTarget.value })}
        />
        <button
          class="icon-button"
          type="button"
          aria-label={t("settings.seed.random")}
          title={t("settings.seed.random")}
          onClick={() => setSettings({ seed: "" })}
        >
          <Dice />
        </button>
      </div>
      <Show when={isWrong()}>
        <p class="problem" id={`${id}-wrong`}>
          {t("settings.seed.wrong")}
        </p>
      </Show>
    </div>
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
  const solver = createUniqueId();
  const schedule = createUniqueId();
  const system = createUniqueId();
  const defaults = () => currentModel()?.defaultSampling;
  const number = (
    label: string,
    name: "guidanceFrom" | "guidanceUntil" | "guidanceRenorm" | "guidanceRescale" | "shift",
    range: { readonly min: number; readonly max: number },
    step: number,
  ): JSX.Element => (
    <NumberField
      label={label}
      value={settings[name]}
      fallback={defaults()?.[name]}
      {...range}
      step={step}
      onChange={(value) => setSettings({ [name]: value } as Partial<Settings>)}
    />
  );
  return (
    <details class="advanced">
      <summary>{t("settings.advanced")}</summary>
      <div class="field">
        <label for={solver}>{t("settings.solver")}</label>
        <select
          id={solver}
          value={settings.solver}
          onChange={(event) =>
            setSettings({ solver: solvers()[event.currentTarget.selectedIndex - 1]?.solver ?? Solver.UNSPECIFIED })
          }
        >
          <option value={Solver.UNSPECIFIED}>{t("settings.solver.default")}</option>
          <For each={solvers()}>{({ solver: value, title }) => <option value={value}>{title}</option>}</For>
        </select>
      </div>
      <div class="field">
        <label for={schedule}>{t("settings.schedule")}</label>
        <select
          id={schedule}
          value={settings.schedule}
          onChange={(event) =>
            setSettings({
              schedule: schedules()[event.currentTarget.selectedIndex - 1]?.schedule ?? NoiseSchedule.UNSPECIFIED,
            })
          }
        >
          <option value={NoiseSchedule.UNSPECIFIED}>{t("settings.solver.default")}</option>
          <For each={schedules()}>
            {({ schedule: value, name }) => <option value={value}>{t(`settings.schedule.${name}`)}</option>}
          </For>
        </select>
      </div>
      <div class="pair">
        {number(t("settings.renorm"), "guidanceRenorm", LIMITS["sampling.guidance_renorm"], 0.1)}
        {number(t("settings.rescale"), "guidanceRescale", LIMITS["sampling.guidance_rescale"], 0.05)}
      </div>
      <Show when={hasShift()}>{number(t("settings.shift"), "shift", LIMITS["sampling.shift"], 0.1)}</Show>
      <div class="pair">
        {number(t("settings.from"), "guidanceFrom", LIMITS["sampling.guidance_from"], 0.05)}
        {number(t("settings.until"), "guidanceUntil", LIMITS["sampling.guidance_until"], 0.05)}
      </div>
      <div class="field">
        <label for={system}>{t("settings.system")}</label>
        <textarea
          id={system}
          rows="2"
          dir="auto"
          placeholder={currentModel()?.defaultSystemPrompt || t("settings.system.default")}
          value={settings.systemPrompt ?? ""}
          onInput={(event) => setSettings({ systemPrompt: event.currentTarget.value || undefined })}
        />
      </div>
      <button class="link" type="button" onClick={resetSampling}>
        {t("settings.reset")}
      </button>
    </details>
  );
}
