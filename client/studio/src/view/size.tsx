/** Width and height of a picture. */
import { sizeMultiple } from "../state/settings";
import type { Model } from "../sakuga/gen/sakuga/system/v1/system_service_pb.js";
import { t } from "../text";
import { NumberField } from "./number";

/** The longest edge of a model that states none, in pixels. */
const EDGE_MAX = 8192;

interface Size {
  readonly width: number;
  readonly height: number;
}

/** Fields for the size of a picture of a model, in steps of what its sizes are multiples of. */
export function SizeFields(props: {
  model: Model | undefined;
  value: Size;
  onChange: (change: Partial<Size>) => void;
}) {
  const multiple = () => sizeMultiple(props.model);
  const field = (name: "width" | "height") => (
    <NumberField
      label={t(`settings.${name}`)}
      value={props.value[name]}
      fallback={props.model?.defaultSize}
      min={multiple()}
      max={props.model?.maxEdge || EDGE_MAX}
      step={multiple()}
      onChange={(typed) => {
        props.onChange({ [name]: Math.max(multiple(), Math.round((typed ?? 0) / multiple()) * multiple()) });
      }}
    />
  );
  return (
    <div class="pair">
      {field("width")}
      {field("height")}
    </div>
  );
}
