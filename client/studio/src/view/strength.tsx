/** How much of a picture is drawn again. */
import { createUniqueId } from "solid-js";

import { LIMITS, STRENGTH_MIN } from "../prompt/limits";
import { t } from "../text";

export function StrengthField(props: { value: number; onChange: (strength: number) => void }) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>
        {t("image.strength")} <output>{props.value.toFixed(2)}</output>
      </label>
      <input
        id={id}
        class="slider"
        type="range"
        min={STRENGTH_MIN}
        max={LIMITS["init.strength"].max}
        step="0.05"
        value={props.value}
        onInput={(event) => {
          props.onChange(event.currentTarget.valueAsNumber);
        }}
      />
    </div>
  );
}
