/** A field for a number. */
import { createUniqueId } from "solid-js";

import { t } from "../text";

/** A number within bounds; empty is the default, which stands there faintly. */
export function NumberField(props: {
  label: string;
  value: number | undefined;
  fallback: number | undefined;
  min: number;
  max: number;
  step: number;
  onChange: (value: number | undefined) => void;
}) {
  const id = createUniqueId();
  const shown = () => (props.value === undefined ? "" : String(Number(props.value.toFixed(4))));
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        id={id}
        type="number"
        min={props.min}
        max={props.max}
        step={props.step}
        placeholder={props.fallback === undefined ? t("settings.default") : String(Number(props.fallback.toFixed(4)))}
        value={shown()}
        onChange={(event) => {
          const typed = event.currentTarget.valueAsNumber;
          props.onChange(Number.isNaN(typed) ? undefined : Math.min(props.max, Math.max(props.min, typed)));
          event.currentTarget.value = shown();
        }}
      />
    </div>
  );
}
