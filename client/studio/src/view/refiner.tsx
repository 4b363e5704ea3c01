/** Whether the refiner of the model computes the end of the schedule, and from where on. */
import { Show } from "solid-js";

import type { Refiner } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { LIMITS } from "../prompt/limits";
import { type RefinerChange, canRefine } from "../state/refiner";
import { t } from "../text";
import { NumberField } from "./number";

export function RefinerField(props: {
  model: Model | undefined;
  value: Refiner | undefined;
  /** What is not given stays as it is; `undefined`: no refiner. */
  onChange: (change: RefinerChange | undefined) => void;
}) {
  return (
    <Show when={canRefine(props.model)}>
      <fieldset class="field">
        <legend class="hidden">{t("refiner.title")}</legend>
        <label class="check">
          <input
            type="checkbox"
            checked={props.value !== undefined}
            onChange={(event) => {
              props.onChange(event.currentTarget.checked ? {} : undefined);
            }}
          />
          {t("refiner.title")}
        </label>
        <Show when={props.value}>
          {(used) => (
            <>
              <NumberField
                label={t("refiner.switch")}
                value={used().switchAt}
                fallback={0.8}
                {...LIMITS["refiner.switch_at"]}
                step={0.05}
                onChange={(switchAt) => {
                  props.onChange({ switchAt });
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
                    props.onChange({ aestheticScore });
                  }}
                />
                <NumberField
                  label={t("refiner.negative-score")}
                  value={used().negativeAestheticScore}
                  fallback={2.5}
                  {...LIMITS["refiner.negative_aesthetic_score"]}
                  step={0.5}
                  onChange={(negativeAestheticScore) => {
                    props.onChange({ negativeAestheticScore });
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
