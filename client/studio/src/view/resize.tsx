/** How a picture of another shape gets the size that is drawn. */
import { createUniqueId } from "solid-js";

import { ResizeMode } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import { t } from "../text";

/** In the order of the list. */
const MODES = [ResizeMode.CROP, ResizeMode.PAD, ResizeMode.STRETCH] as const;

export function ResizeField(props: { value: ResizeMode; onChange: (mode: ResizeMode) => void }) {
  const id = createUniqueId();
  return (
    <div class="field">
      <label for={id}>{t("image.resize")}</label>
      <select
        id={id}
        value={props.value}
        onChange={(event) => {
          props.onChange(MODES[event.currentTarget.selectedIndex] ?? ResizeMode.CROP);
        }}
      >
        <option value={ResizeMode.CROP}>{t("image.crop")}</option>
        <option value={ResizeMode.PAD}>{t("image.pad")}</option>
        <option value={ResizeMode.STRETCH}>{t("image.stretch")}</option>
      </select>
    </div>
  );
}
