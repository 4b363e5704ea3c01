/** Whether the refiner of the model computes the end of the schedule, and from where on. */
import { Show } from "solid-js";

import { LIMITS } from "../prompt/limits";
import { canRefine, changeRefiner, refiner } from "../state/refiner";
import { t } from "../text";
import { NumberField } from "./number";

export function RefinerField() {
  return (
    <Show when={canRefine()}>
      <fieldset class="field">
        <legend class="hidden">{t("refiner.title")}</legend>
        <label class="check">
          <input
            type="checkbox"
            checked={refiner() !== undefined}
            onChange={(event) => {
              changeRefiner(event.currentTarget.checked ? {} : undefined);
            }}
          />
          {t("refiner.title")}
        </label>
        <Show when={refiner()}>
          {(used) => (
            <>
              <NumberField
                label={t("refiner.switch")}
                value={used().switchAt}
                fallback={0.8}
                {...LIMITS["refiner.switch_at"]}
                step={0.05}
                onChange={(switchAt) => {
                  changeRefiner({ switchAt });
                }}
              />
              <div class="pair">
                <NumberField
                  label={t("refiner.score")}
                  value={used().aestheticScore}
                  fallback={6}
                  {...LIMITS["refiner.aesthetic_score"]}
                  step={0.5}
                  onChange={(aestheticScore) => {
                    changeRefiner({ aestheticScore });
                  }}
                />
                <NumberField
                  label={t("refiner.negative-score")}
                  value={used().negativeAestheticScore}
                  fallback={2.5}
                  {...LIMITS["refiner.negative_aesthetic_score"]}
                  step={0.5}
                  onChange={(negativeAestheticScore) => {
                    changeRefiner({ negativeAestheticScore });
                  }}
                />
              </div>
            </>
          )}
        </Show>
      </fieldset>
    </Show>
  );
}
