/** How exactly pictures are computed, and what was measured of that on the model. */
import { For, Show, createUniqueId } from "solid-js";

import type { EvaluationReuse, QualityPromise } from "../sakuga/gen/sakuga/generation/v1/event_pb.js";
import { Quality } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
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

export function QualityField() {
  const id = createUniqueId();
  const chosen = () => (settings.quality === Quality.UNSPECIFIED ? Quality.EXACT : settings.quality);
  const levels = () => (settings.quality === Quality.CUSTOM ? [...LEVELS, Quality.CUSTOM] : LEVELS);
  return (
    <Show when={hasStepCache()}>
      <div class="field">
        <label for={id}>{t("quality.title")}</label>
        <select
          id={id}
          aria-describedby={`${id}-promise`}
          value={chosen()}
          onChange={(event) => {
            chooseQuality(levels()[event.currentTarget.selectedIndex] ?? Quality.EXACT);
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
          {chosenText(chosen())}
        </p>
      </div>
    </Show>
  );
}

/** What the chosen level means on the model that draws. */
function chosenText(level: Quality): string {
  const promise = qualityPromise();
  if (level === Quality.EXACT) {
    return t("quality.exact.help");
  }
  if (promise) {
    return promiseText(promise);
  }
  if (settings.stepCache !== "") {
    return t("quality.custom.help");
  }
  if (!currentModel()?.hasQualityProfile) {
    return t("quality.unmeasured");
  }
  if (estimatedQuality() === level) {
    // The level is exact on this model.
    return t("quality.none-faster");
  }
  return t("quality.bound", level === Quality.HIGH ? { psnr: 33, lost: "0.3" } : { psnr: 30, lost: "1" });
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
