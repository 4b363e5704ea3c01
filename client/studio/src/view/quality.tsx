/** How exactly pictures are computed, and what was measured of that on the model. */
import { For, Show, createUniqueId } from "solid-js";

import type { EvaluationReuse, QualityPromise } from "../sakuga/gen/sakuga/generation/v1/event_pb.js";
import { Quality } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { estimatedQuality, qualityPromise } from "../state/estimate";
import { chooseQuality, currentModel, hasStepCache, settings } from "../state/settings";
import { type Key, t } from "../text";

/** The levels that a person chooses from. */
const LEVELS = [Quality.EXACT, Quality.HIGH, Quality.FAST] as const;

const NAMES: Readonly<Record<Quality, Key>> = {
  [Quality.UNSPECIFIED]: "quality.exact",
  [Quality.EXACT]: "quality.exact",
  [Quality.HIGH]: "quality.high",
  [Quality.FAST]: "quality.fast",
  [Quality.CUSTOM]: "quality.custom",
};

/** The quality of the first pass. */
export function FirstQuality() {
  return (
    <QualityField
      model={currentModel()}
      quality={settings.quality}
      isCustom={settings.stepCache !== ""}
      promise={qualityPromise()}
      // The estimate has no promise for the level: it is exact on this model.
      isExact={estimatedQuality() === settings.quality && qualityPromise() === undefined}
      onChange={chooseQuality}
    />
  );
}

export function QualityField(props: {
  model: Model | undefined;
  quality: Quality;
  /** Whether the step cache is that of an earlier request. */
  isCustom: boolean;
  /** What was measured of the level, if it is known. */
  promise?: QualityPromise | undefined;
  /** Whether the level is known to compute every step of this model. */
  isExact?: boolean;
  onChange: (quality: Quality) => void;
}) {
  const id = createUniqueId();
  const chosen = () => (props.quality === Quality.UNSPECIFIED ? Quality.EXACT : props.quality);
  const levels = () => (props.quality === Quality.CUSTOM ? [...LEVELS, Quality.CUSTOM] : LEVELS);
  const help = (): string => {
    if (chosen() === Quality.EXACT) {
      return t("quality.exact.help");
    }
    if (props.promise) {
      return promiseText(props.promise);
    }
    if (props.isCustom) {
      return t("quality.custom.help");
    }
    if (!props.model?.hasQualityProfile) {
      return t("quality.unmeasured");
    }
    if (props.isExact) {
      return t("quality.none-faster");
    }
    return t("quality.bound", chosen() === Quality.HIGH ? { psnr: 33, lost: "0.3" } : { psnr: 30, lost: "1" });
  };
  return (
    <Show when={hasStepCache(props.model)}>
      <div class="field">
        <label for={id}>{t("quality.title")}</label>
        <select
          id={id}
          aria-describedby={`${id}-promise`}
          value={chosen()}
          onChange={(event) => {
            props.onChange(levels()[event.currentTarget.selectedIndex] ?? Quality.EXACT);
          }}
        >
          <For each={levels()}>
            {(level) => (
              <option value={level} selected={level === chosen()}>
                {t(NAMES[level])}
              </option>
            )}
          </For>
        </select>
        <p class="faint" id={`${id}-promise`}>
          {help()}
        </p>
      </div>
    </Show>
  );
}

/** The figures of a measurement. */
function promiseText(promise: QualityPromise): string {
  const { psnrDb, minPsnrDb, pictures, computedShare, bindingPercent, exactBindingPercent, conditions } = promise;
  const figures = [
    t("quality.psnr", { psnr: psnrDb.toFixed(1), least: minPsnrDb.toFixed(1), n: pictures }),
    t("quality.computed", { share: Math.round(computedShare * 100) }),
  ];
  if (bindingPercent !== undefined && exactBindingPercent !== undefined) {
    figures.push(t("quality.binding", { share: bindingPercent.toFixed(1), exact: exactBindingPercent.toFixed(1) }));
  }
  return t("quality.measured", { figures: figures.join(" · "), conditions });
}

/** The quality of a finished picture: its level, what was reused, and what was measured of the level. */
export function qualityFacts(
  level: Quality,
  reuse: EvaluationReuse | undefined,
  promise: QualityPromise | undefined,
): string[] {
  const facts = [t(NAMES[level])];
  if (reuse) {
    // Guided evaluations compute both halves, each of which may reuse.
    const reused = new Set([...reuse.conditional, ...reuse.unconditional]).size;
    facts.push(t("quality.reused", { n: reused, of: reuse.evaluations }));
  }
  return promise ? [...facts, promiseText(promise)] : facts;
}
