/** A scene: another model draws the pictures again, around what is kept of them. */
import { For, Show, createMemo, createSignal, createUniqueId, onCleanup } from "solid-js";

import { Quality } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { LIMITS } from "../prompt/limits";
import { protectPainted } from "../state/actions";
import { selectedJob } from "../state/jobs";
import {
  SCENE_STRENGTH,
  changeScene,
  changeSceneRefiner,
  changeSceneSampling,
  checkedScene,
  chooseSceneModel,
  chooseSceneQuality,
  featherProtection,
  firstPassSize,
  fixScene,
  hasSceneSize,
  isSceneSeedWrong,
  keptFile,
  ownSceneSize,
  resetScene,
  scene,
  sceneAdapters,
  sceneModel,
  sceneModels,
  sceneNegative,
  sceneSeed,
  sceneText,
  setSceneSeed,
  toggleScene,
} from "../state/scene";
import { t } from "../text";
import { Adapters } from "./adapters";
import { Findings, TokenMeters } from "./findings";
import { Pencil } from "./icons";
import { SizeFields } from "./size";
import { NumberField } from "./number";
import { Painter } from "./painter";
import { QualityField } from "./quality";
import { RefinerField } from "./refiner";
import { ResizeField } from "./resize";
import { SamplingFields, SeedField, SystemPromptField } from "./sampling";
import { StrengthField } from "./strength";

export function SceneField() {
  return (
    <Show when={sceneModels().length > 0 || scene()}>
      <fieldset class="field">
        <legend class="hidden">{t("scene.title")}</legend>
        <label class="check">
          <input
            type="checkbox"
            checked={scene() !== undefined}
            onChange={(event) => {
              toggleScene(event.currentTarget.checked);
            }}
          />
          {t("scene.title")}
        </label>
        <Show when={scene()}>
          <div class="scene">
            <p class="faint">{t("scene.help")}</p>
            <SceneModel />
            <SceneTexts />
            <StrengthField
              value={scene()?.strength ?? SCENE_STRENGTH}
              onChange={(strength) => {
                changeScene({ strength });
              }}
            />
            <div class="pair">
              <NumberField
                label={t("settings.steps")}
                value={scene()?.sampling?.steps || undefined}
                fallback={sceneModel()?.defaultSampling?.steps}
                {...LIMITS["sampling.steps"]}
                step={1}
                onChange={(steps) => {
                  changeSceneSampling({ steps: steps ?? 0 });
                }}
              />
              <NumberField
                label={t("settings.guidance")}
                value={scene()?.sampling?.guidanceScale}
                fallback={sceneModel()?.defaultSampling?.guidanceScale}
                {...LIMITS["sampling.guidance_scale"]}
                step={0.1}
                onChange={(guidanceScale) => {
                  changeSceneSampling({ guidanceScale });
                }}
              />
            </div>
            <SeedField
              value={sceneSeed()}
              isWrong={isSceneSeedWrong()}
              placeholder={t("scene.seed.follow")}
              onChange={setSceneSeed}
            />
            <SceneSize />
            <QualityField
              model={sceneModel()}
              quality={scene()?.sampling?.quality ?? Quality.UNSPECIFIED}
              isCustom={scene()?.sampling?.stepCache !== undefined}
              onChange={chooseSceneQuality}
            />
            <RefinerField model={sceneModel()} value={scene()?.refiner} onChange={changeSceneRefiner} />
            <Adapters list={sceneAdapters} />
            <Protected />
            <SceneAdvanced />
          </div>
        </Show>
      </fieldset>
    </Show>
  );
}

/** The size of the scene: that of the first pass, or its own. */
function SceneSize() {
  return (
    <fieldset class="field">
      <legend>{t("settings.size")}</legend>
      <label class="check">
        <input
          type="checkbox"
          checked={hasSceneSize()}
          onChange={(event) => {
            ownSceneSize(event.currentTarget.checked);
          }}
        />
        {t("scene.size.own")}
      </label>
      <Show
        when={hasSceneSize() && scene()}
        fallback={<p class="faint">{t("scene.size.follow", firstPassSize())}</p>}
      >
        {(shown) => (
          <>
            <SizeFields model={sceneModel()} value={shown()} onChange={changeScene} />
            <ResizeField
              value={shown().resize}
              onChange={(resize) => {
                changeScene({ resize });
              }}
            />
          </>
        )}
      </Show>
    </fieldset>
  );
}

function SceneAdvanced() {
  return (
    <details class="advanced">
      <summary>{t("settings.advanced")}</summary>
      <SamplingFields model={sceneModel()} value={scene()?.sampling} onChange={changeSceneSampling} />
      <SystemPromptField
        model={sceneModel()}
        value={scene()?.systemPrompt}
        onChange={(systemPrompt) => {
          changeScene({ systemPrompt });
        }}
      />
      <button class="link" type="button" onClick={resetScene}>
        {t("settings.reset")}
      </button>
    </details>
  );
}

function SceneModel() {
  const id = createUniqueId();
  // A model that the server no longer has stays chosen, and the server says so.
  const names = createMemo(() => {
    const known = sceneModels().map(({ name }) => name);
    const chosen = scene()?.model ?? "";
    return known.includes(chosen) ? known : [chosen, ...known];
  });
  return (
    <div class="field">
      <label for={id}>{t("scene.model")}</label>
      <select
        id={id}
        onChange={(event) => {
          // Solver, steps and the others are those of a model.
          chooseSceneModel(event.currentTarget.value);
        }}
      >
        <For each={names()}>
          {(name) => (
            <option value={name} selected={name === scene()?.model}>
              {name}
            </option>
          )}
        </For>
      </select>
    </div>
  );
}

function SceneTexts() {
  const id = createUniqueId();
  let prompt!: HTMLTextAreaElement;
  return (
    <>
      <div class="field">
        <label for={id}>{t("scene.prompt")}</label>
        <textarea
          id={id}
          ref={prompt}
          rows="4"
          dir="auto"
          spellcheck={false}
          placeholder={t("scene.prompt.help")}
          value={sceneText()}
          onInput={(event) => {
            changeScene({ prompt: { case: "xml", value: event.currentTarget.value } });
          }}
        />
      </div>
      <TokenMeters of={checkedScene} />
      <Findings
        of={checkedScene}
        onShow={(from, to) => {
          prompt.focus();
          prompt.setSelectionRange(from, to);
        }}
        onFix={fixScene}
      />
      <div class="field">
        <label for={`${id}-negative`}>{t("scene.negative")}</label>
        <textarea
          id={`${id}-negative`}
          rows="2"
          dir="auto"
          spellcheck={false}
          placeholder={t("prompt.negative.help")}
          value={sceneNegative()}
          onInput={(event) => {
            const { value } = event.currentTarget;
            changeScene({ negative: value === "" ? { case: undefined } : { case: "negativeText", value } });
          }}
        />
      </div>
    </>
  );
}

/** What of the first pass is kept, such as the characters. */
function Protected() {
  const [isPainting, setPainting] = createSignal(false);
  const mask = createMemo(() => {
    const file = keptFile();
    if (file === undefined) {
      return undefined;
    }
    const address = URL.createObjectURL(new Blob([file], { type: "image/png" }));
    onCleanup(() => {
      URL.revokeObjectURL(address);
    });
    return address;
  });
  // A finished picture of the same size shows where the characters will be, above all one of the same seed.
  const picture = createMemo(() => {
    const { width, height } = firstPassSize();
    const job = selectedJob();
    const isSameSize = job?.request?.width === width && job.request.height === height;
    return { width, height, address: isSameSize ? job.pictures[0] : undefined };
  });
  return (
    <fieldset class="field">
      <legend>{t("scene.keep")}</legend>
      <Show when={scene()?.protection} fallback={<p class="faint">{t("scene.keep.help")}</p>}>
        {(protection) => (
          <>
            <Show
              when={mask()}
              fallback={<p class="faint">{t("scene.keep.boxes", { n: protection().boxes.length })}</p>}
            >
              {(address) => (
                <div class="start-image">
                  <img src={address()} alt={t("scene.keep.alt")} />
                </div>
              )}
            </Show>
            <NumberField
              label={t("scene.feather")}
              value={protection().feather}
              fallback={8}
              {...LIMITS["mask.feather"]}
              step={1}
              onChange={featherProtection}
            />
          </>
        )}
      </Show>
      <div class="actions">
        <button type="button" onClick={() => setPainting(true)}>
          <Pencil />
          {t(mask() ? "scene.keep.change" : "scene.keep.paint")}
        </button>
        <Show when={scene()?.protection}>
          <button type="button" onClick={() => void protectPainted(undefined)}>
            {t("scene.keep.remove")}
          </button>
        </Show>
      </div>
      <Painter
        title={t("scene.keep.title")}
        accept={t("scene.keep.accept")}
        picture={picture()}
        painted={mask()}
        isOpen={isPainting()}
        onAccept={protectPainted}
        onClose={() => setPainting(false)}
      />
    </fieldset>
  );
}
