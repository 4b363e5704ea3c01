/** How noise becomes a picture: the settings that a pass has beyond steps and guidance. */
import { For, type JSX, Show, createUniqueId } from "solid-js";

import type { Sampling } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { NoiseSchedule, Solver } from "../sakuga/web.js";
import { LIMITS } from "../prompt/limits";
import { schedulesOf, solversOf, usableSchedule, usableSolver } from "../prompt/sampling";
import { t } from "../text";
import { NumberField } from "./number";

type NumberName = "guidanceFrom" | "guidanceUntil" | "guidanceRenorm" | "guidanceRescale" | "shift";

/** The settings by the names of `Sampling`; a number that is not given is the model's default. */
export type SamplingChoice = Readonly<Pick<Sampling, "solver" | "schedule">> & {
  readonly [Name in NumberName]?: number | undefined;
};

export function SamplingFields(props: {
  model: Model | undefined;
  value: SamplingChoice | undefined;
  onChange: (change: Partial<SamplingChoice>) => void;
}) {
  const solverId = createUniqueId();
  const scheduleId = createUniqueId();
  const solver = () => usableSolver(props.model, props.value?.solver ?? Solver.UNSPECIFIED);
  const wantedSchedule = () => props.value?.schedule ?? NoiseSchedule.UNSPECIFIED;
  const schedule = () => usableSchedule(props.model, solver(), wantedSchedule());
  const solvers = () => solversOf(props.model);
  const schedules = () => schedulesOf(props.model, solver());
  const number = (
    label: string,
    name: NumberName,
    range: { readonly min: number; readonly max: number },
    step: number,
  ): JSX.Element => (
    <NumberField
      label={label}
      value={props.value?.[name]}
      fallback={props.model?.defaultSampling?.[name]}
      {...range}
      step={step}
      onChange={(value) => {
        props.onChange({ [name]: value });
      }}
    />
  );
  return (
    <>
      <div class="field">
        <label for={solverId}>{t("settings.solver")}</label>
        <select
          id={solverId}
          onChange={(event) => {
            const chosen = solvers()[event.currentTarget.selectedIndex - 1]?.solver ?? Solver.UNSPECIFIED;
            props.onChange({ solver: chosen, schedule: usableSchedule(props.model, chosen, wantedSchedule()) });
          }}
        >
          <option value={Solver.UNSPECIFIED}>{t("settings.solver.default")}</option>
          <For each={solvers()}>
            {({ solver: value, title }) => (
              <option value={value} selected={value === solver()}>
                {title}
              </option>
            )}
          </For>
        </select>
      </div>
      <div class="field">
        <label for={scheduleId}>{t("settings.schedule")}</label>
        <select
          id={scheduleId}
          onChange={(event) => {
            const chosen = schedules()[event.currentTarget.selectedIndex - 1]?.schedule;
            props.onChange({ schedule: chosen ?? NoiseSchedule.UNSPECIFIED });
          }}
        >
          <option value={NoiseSchedule.UNSPECIFIED}>{t("settings.solver.default")}</option>
          <For each={schedules()}>
            {({ schedule: value, name }) => (
              <option value={value} selected={value === schedule()}>
                {t(`settings.schedule.${name}`)}
              </option>
            )}
          </For>
        </select>
      </div>
      <div class="pair">
        {number(t("settings.renorm"), "guidanceRenorm", LIMITS["sampling.guidance_renorm"], 0.1)}
        {number(t("settings.rescale"), "guidanceRescale", LIMITS["sampling.guidance_rescale"], 0.05)}
      </div>
      <Show when={props.model?.hasShift}>{number(t("settings.shift"), "shift", LIMITS["sampling.shift"], 0.1)}</Show>
      <div class="pair">
        {number(t("settings.from"), "guidanceFrom", LIMITS["sampling.guidance_from"], 0.05)}
        {number(t("settings.until"), "guidanceUntil", LIMITS["sampling.guidance_until"], 0.05)}
      </div>
    </>
  );
}

/** The system prompt of a pass; empty is the model's default, which stands there faintly. */
export function SystemPromptField(props: {
  model: Model | undefined;
  value: string | undefined;
  onChange: (text: string | undefined) => void;
}) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{t("settings.system")}</label>
      <textarea
        id={id}
        rows="2"
        dir="auto"
        placeholder={props.model?.defaultSystemPrompt || t("settings.system.default")}
        value={props.value ?? ""}
        onInput={(event) => {
          props.onChange(event.currentTarget.value || undefined);
        }}
      />
    </div>
  );
}

/** The seed of a pass as it is typed. */
export function SeedField(props: {
  value: string;
  isWrong: boolean;
  /** What an empty field means. */
  placeholder: string;
  onChange: (text: string) => void;
  /** A button next to the field. */
  children?: JSX.Element;
}) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{t("settings.seed")}</label>
      <div class="with-button">
        <input
          id={id}
          inputmode="numeric"
          autocomplete="off"
          placeholder={props.placeholder}
          value={props.value}
          aria-invalid={props.isWrong}
          aria-describedby={props.isWrong ? `${id}-wrong` : undefined}
          onInput={(event) => {
            props.onChange(event.currentTarget.value);
          }}
        />
        {props.children}
      </div>
      <Show when={props.isWrong}>
        <p class="problem" id={`${id}-wrong`}>
          {t("settings.seed.wrong")}
        </p>
      </Show>
    </div>
  );
}
