/** The images that steer the next pictures through control networks, each with its weight and its share of the steps. */
import { For, Index, Show, createMemo, createUniqueId, onCleanup } from "solid-js";

import { Preprocessor } from "../sakuga/gen/sakuga/generation/v1/image_input_pb.js";
import { LIMITS } from "../prompt/limits";
import { openControl } from "../state/actions";
import { type ShownControl, changeControl, controls, networks, removeControl } from "../state/controls";
import { uploaded } from "../state/upload";
import { t } from "../text";
import { Cross } from "./icons";
import { NumberField } from "./number";
import { FilePicker } from "./picker";

export function Controls() {
  let file!: HTMLInputElement;
  let network = "";
  return (
    <Show when={networks().length > 0 || controls().length > 0}>
      <fieldset class="field adapters">
        <legend>{t("controls.title")}</legend>
        <Index each={controls()}>{(shown, at) => <Item shown={shown()} at={at} />}</Index>
        <Show when={networks().length > 0 && controls().length < LIMITS.controls.max}>
          <select
            aria-label={t("controls.add")}
            disabled={uploaded() !== undefined}
            onChange={(event) => {
              network = networks()[event.currentTarget.selectedIndex - 1] ?? "";
              event.currentTarget.selectedIndex = 0;
              if (network !== "") {
                file.click();
              }
            }}
          >
            <option value="">{t("controls.add")}</option>
            <For each={networks()}>{(name) => <option value={name}>{name}</option>}</For>
          </select>
        </Show>
        <FilePicker
          accept="image/png,image/jpeg,image/webp"
          ref={(element) => (file = element)}
          onChoose={(chosen) => void openControl(network, chosen)}
        />
      </fieldset>
    </Show>
  );
}

function Item(props: { shown: ShownControl; at: number }) {
  const id = createUniqueId();
  // Another weight makes another `shown`, with the same file.
  const file = createMemo(() => props.shown.file);
  const address = createMemo(() => {
    const content = file();
    if (content === undefined) {
      return undefined;
    }
    const made = URL.createObjectURL(new Blob([content]));
    onCleanup(() => {
      URL.revokeObjectURL(made);
    });
    return made;
  });
  const control = () => props.shown.control;
  const number = (name: "scale" | "start" | "end", fallback: number) => (
    <NumberField
      label={t(`controls.${name}`)}
      value={control()[name]}
      fallback={fallback}
      {...LIMITS[`controls.${name}`]}
      step={0.05}
      onChange={(value) => {
        changeControl(props.at, { [name]: value });
      }}
    />
  );
  return (
    <div class="control" role="group" aria-labelledby={id}>
      <strong id={id} dir="auto">
        {control().network}
      </strong>
      <div class="start-image">
        <Show when={address()} fallback={<p class="faint">{t("controls.earlier")}</p>}>
          {(source) => <img src={source()} alt={t("controls.alt", { name: control().network })} />}
        </Show>
        <button
          class="icon-button"
          type="button"
          aria-label={t("adapters.remove", { name: control().network })}
          onClick={() => {
            removeControl(props.at);
          }}
        >
          <Cross />
        </button>
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={control().preprocessor === Preprocessor.CANNY}
          onChange={(event) => {
            const preprocessor = event.currentTarget.checked ? Preprocessor.CANNY : Preprocessor.UNSPECIFIED;
            changeControl(props.at, { preprocessor });
          }}
        />
        {t("controls.canny")}
      </label>
      {number("scale", 1)}
      <div class="pair">
        {number("start", 0)}
        {number("end", 1)}
      </div>
      <Show when={!networks().includes(control().network)}>
        <p class="problem">{t("adapters.unusable")}</p>
      </Show>
    </div>
  );
}
