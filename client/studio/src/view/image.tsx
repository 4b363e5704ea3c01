/** The image that pictures begin from: chosen, weighed, and masked. */
import { Show, createSignal } from "solid-js";

import { LIMITS, STRENGTH_MIN } from "../prompt/limits";
import { drawMasked, openImage } from "../state/actions";
import {
  canBegin,
  changeSecondPass,
  clearImage,
  image,
  mask,
  resize,
  secondPass,
  setMask,
  setResize,
  setStrength,
  strength,
} from "../state/image";
import { uploaded } from "../state/upload";
import { t } from "../text";
import { Cross, File, Pencil } from "./icons";
import { NumberField } from "./number";
import { Painter } from "./painter";
import { FilePicker } from "./picker";
import { ResizeField } from "./resize";
import { StrengthField } from "./strength";

export function StartImageField() {
  let file!: HTMLInputElement;
  return (
    <Show when={canBegin()}>
      <fieldset class="field start">
        <legend>{t("image.title")}</legend>
        <Show
          when={image()}
          fallback={
            <button
              class="quiet"
              type="button"
              title={t("image.help")}
              disabled={uploaded() !== undefined}
              onClick={() => file.click()}
            >
              <File />
              {t("image.choose")}
            </button>
          }
        >
          <Chosen />
        </Show>
        <Show when={uploaded() !== undefined}>
          <label class="faint">
            {t("image.upload")}
            <progress value={uploaded() ?? 0} />
          </label>
        </Show>
        <FilePicker
          accept="image/png,image/jpeg,image/webp"
          ref={(element) => (file = element)}
          onChoose={(chosen) => void openImage(chosen)}
        />
      </fieldset>
    </Show>
  );
}

/** Every picture is drawn again at a larger size. */
export function SecondPassField() {
  return (
    <Show when={canBegin()}>
      <fieldset class="field">
        <legend class="hidden">{t("second.title")}</legend>
        <label class="check">
          <input
            type="checkbox"
            checked={secondPass() !== undefined}
            onChange={(event) => {
              changeSecondPass(event.currentTarget.checked ? {} : undefined);
            }}
          />
          {t("second.title")}
        </label>
        <Show when={secondPass()}>
          {(second) => (
            <div class="pair">
              <NumberField
                label={t("second.factor")}
                value={second().factor}
                fallback={1.5}
                {...LIMITS["second_pass.factor"]}
                step={0.1}
                onChange={(factor) => {
                  changeSecondPass({ factor: factor ?? 1.5 });
                }}
              />
              <NumberField
                label={t("image.strength")}
                value={second().strength}
                fallback={0.5}
                min={STRENGTH_MIN}
                max={LIMITS["second_pass.strength"].max}
                step={0.05}
                onChange={(share) => {
                  changeSecondPass({ strength: share ?? 0.5 });
                }}
              />
            </div>
          )}
        </Show>
      </fieldset>
    </Show>
  );
}

function Chosen() {
  const [isPainting, setPainting] = createSignal(false);
  return (
    <>
      <div class="start-image" id="start-image">
        <Show
          when={image()?.picture}
          fallback={<p class="faint">{t("image.earlier", { name: image()?.name ?? "" })}</p>}
        >
          {(picture) => <img src={picture().address} alt={t("image.alt", { name: image()?.name ?? "" })} />}
        </Show>
        <Show when={mask()?.address}>{(address) => <img class="mask" src={address()} alt={t("mask.alt")} />}</Show>
        <button class="icon-button" type="button" aria-label={t("image.remove")} onClick={clearImage}>
          <Cross />
        </button>
      </div>
      <StrengthField value={strength()} onChange={setStrength} />
      <ResizeField value={resize()} onChange={setResize} />
      <div class="actions">
        <Show when={image()?.picture}>
          <button type="button" onClick={() => setPainting(true)}>
            <Pencil />
            {t(mask() ? "mask.change" : "mask.paint")}
          </button>
        </Show>
        <Show when={mask()}>
          <button
            type="button"
            onClick={() => {
              void setMask(undefined);
            }}
          >
            {t("mask.remove")}
          </button>
        </Show>
      </div>
      <Painter
        title={t("mask.title")}
        accept={t("mask.accept")}
        picture={image()?.picture}
        painted={mask()?.address}
        isOpen={isPainting()}
        onAccept={drawMasked}
        onClose={() => setPainting(false)}
      />
    </>
  );
}
