/** The picture in the middle of the page: its previews while it is drawn, then the finished one. */
import { For, Index, Show, createEffect, createMemo, createSignal, on, onCleanup } from "solid-js";

import { Stage } from "../sakuga/web.js";
import { beginFromArtifact, redraw, usePrompt, vary } from "../state/actions";
import { hasSeveral } from "../state/device";
import { canBegin } from "../state/image";
import { type ShownJob, cancelJob, isLive, likeJob, selectedJob } from "../state/jobs";
import { titleOf } from "../prompt/request";
import { passesOf } from "../prompt/scene";
import { type Key, t, timeText } from "../text";
import { download } from "./download";
import { FavouriteButton } from "./favourite";
import { Cross, Dice, Download, Halves, Pencil, Repeat } from "./icons";
import { ProgressBar } from "./progress";

const STAGES: Partial<Record<Stage, Key>> = {
  [Stage.LOAD_MODEL]: "job.load",
  [Stage.LOAD_ADAPTERS]: "job.adapters",
  [Stage.TEXT_ENCODE]: "job.text",
  [Stage.VAE_ENCODE]: "job.image-read",
  [Stage.DECODE]: "job.decode",
  [Stage.ENCODE_IMAGE]: "job.encode",
};

export function Canvas() {
  return (
    <section class="canvas" id="picture" tabindex="-1" aria-label={t("nav.draw")}>
      <Show when={selectedJob()} fallback={<Empty />}>
        {(job) => <Sheet job={job()} />}
      </Show>
    </section>
  );
}

function Empty() {
  return (
    <div class="sheet empty">
      <Pegs />
      <div class="hint">
        <p class="large">{t("job.empty")}</p>
        <p class="faint">{t("job.empty.help")}</p>
      </div>
    </div>
  );
}

/** The holes of animation paper. */
function Pegs() {
  return (
    <div class="pegs" aria-hidden="true">
      <i />
      <i />
      <i />
    </div>
  );
}

function Sheet(props: { job: ShownJob }) {
  // The step whose previews are shown; none: the newest.
  const [step, setStep] = createSignal<number>();
  createEffect(
    on(
      () => [props.job.id, props.job.status],
      () => setStep(undefined),
      { defer: true },
    ),
  );
  const images = createMemo(() =>
    Array.from({ length: props.job.images }, (_, index) =>
      step() === undefined
        ? (props.job.pictures[index] ?? latest(props.job, index, Infinity))
        : latest(props.job, index, step() ?? 0),
    ),
  );
  const size = () => {
    const { request } = props.job;
    return { width: request?.scene?.width || request?.width || 1, height: request?.scene?.height || request?.height || 1 };
  };
  return (
    <>
      <div class="sheet" data-status={props.job.status}>
        <Pegs />
        <div class="images" data-count={Math.min(props.job.images, 9)}>
          <Index each={images()}>
            {(address, index) => (
              <Show
                when={address()}
                fallback={<svg class="blank" viewBox={`0 0 ${size().width} ${size().height}`} aria-hidden="true" />}
              >
                <img
                  src={address()}
                  width={size().width}
                  height={size().height}
                  alt={t("job.image", { n: index + 1 })}
                  data-final={step() === undefined && props.job.pictures[index] !== undefined}
                />
              </Show>
            )}
          </Index>
        </div>
      </div>
      <Frames job={props.job} step={step()} onStep={setStep} />
      <Progress job={props.job} />
    </>
  );
}

/** The newest preview of an image up to a step: a scene draws one image after the other. */
function latest(job: ShownJob, image: number, step: number): string | undefined {
  return job.frames.findLast((frame) => frame.step <= step && frame.images[image] !== undefined)?.images[image];
}

/** The previews of the steps in a row, like frames of a film. */
function Frames(props: { job: ShownJob; step: number | undefined; onStep: (step: number | undefined) => void }) {
  let row: HTMLOListElement | undefined;
  // The newest frame stays in sight, unless a person looks at an older one.
  createEffect(
    on(
      () => [props.job.frames.length, props.job.pictures.length],
      () => {
        if (props.step === undefined) {
          row?.scrollTo({ left: row.scrollWidth });
        }
      },
    ),
  );
  return (
    <Show when={props.job.frames.length > 0}>
      <ol class="frames" aria-label={t("job.frames")} ref={(element) => (row = element)}>
        <For each={props.job.frames}>
          {(frame, index) => (
            <li>
              <Show when={frame.pass !== (props.job.frames[index() - 1]?.pass ?? 1) && passName(props.job, frame.pass)}>
                {(name) => <em>{name()}</em>}
              </Show>
              <button
                type="button"
                aria-label={t("job.frame", { step: frame.step })}
                aria-pressed={props.step === frame.step}
                onClick={() => props.onStep(props.step === frame.step ? undefined : frame.step)}
              >
                <img src={frame.images.find((address) => address !== undefined)} alt="" loading="lazy" />
                <span aria-hidden="true">{frame.step}</span>
              </button>
            </li>
          )}
        </For>
        <Show when={props.job.pictures[0]}>
          {(address) => (
            <li class="final">
              <button
                type="button"
                aria-label={t("job.frame.final")}
                aria-pressed={props.step === undefined}
                onClick={() => props.onStep(undefined)}
              >
                <img src={address()} alt="" />
                <span aria-hidden="true">★</span>
              </button>
            </li>
          )}
        </Show>
      </ol>
    </Show>
  );
}

function Progress(props: { job: ShownJob }) {
  const [now, setNow] = createSignal(Date.now());
  const clock = setInterval(() => setNow(Date.now()), 500);
  onCleanup(() => {
    clearInterval(clock);
  });
  const left = () => (props.job.due === undefined ? undefined : props.job.due - now());
  // What changes rarely, so that a screen reader is not interrupted at every step.
  const status = () => statusText(props.job);
  return (
    <div class="status">
      <ProgressBar job={props.job} />
      <div class="line">
        <p role="status">
          <strong class={props.job.status}>{status()}</strong>
        </p>
        <p class="faint">
          <Show when={props.job.status === "queued" && props.job.position}>
            {(position) => t("job.queued.position", { n: position() })}
          </Show>
          <Show when={props.job.status === "running" && props.job.step > 0}>
            <span data-step={props.job.step}>{t("job.step", { step: props.job.step, steps: props.job.steps })}</span>
          </Show>
          <Show when={props.job.status === "running" && passName(props.job, props.job.pass)}>
            {(name) => <span class="pass"> · {name()}</span>}
          </Show>
          <Show when={isLive(props.job) && (left() ?? 0) > 0}> · {t("job.left", { time: timeText(left() ?? 0) })}</Show>
        </p>
        <div class="actions">
          <Show when={isLive(props.job)} fallback={<Actions job={props.job} />}>
            <button
              type="button"
              class="cancel"
              disabled={props.job.isCancelling}
              onClick={() => void cancelJob(props.job.id)}
            >
              <Cross />
              {t(props.job.isCancelling ? "job.cancelling" : "job.cancel")}
            </button>
          </Show>
        </div>
      </div>
      <Show when={props.job.status === "completed" && props.job.seeds.length > 0}>
        <p class="faint seeds">
          {t("picture.seed")}: {[...new Set(props.job.seeds)].join(", ")}
        </p>
      </Show>
      <Show when={hasSeveral() && props.job.device}>
        <p class="faint" dir="auto">
          {t("job.device", { name: props.job.device })}
        </p>
      </Show>
      <Show when={props.job.problem}>
        <p class="problem" role="alert" dir="auto">
          {props.job.problem}
        </p>
      </Show>
      <Show when={props.job.notice}>
        <p class="faint" dir="auto">
          {props.job.notice}
        </p>
      </Show>
    </div>
  );
}

function Actions(props: { job: ShownJob }) {
  return (
    <Show when={props.job.request}>
      {(request) => (
        <>
          <For each={props.job.pictures}>
            {(address, index) => (
              <button
                type="button"
                onClick={() => {
                  download(address, props.job.id, index());
                }}
              >
                <Download />
                {t("picture.download")}
                <Show when={props.job.pictures.length > 1}> {index() + 1}</Show>
              </button>
            )}
          </For>
          <Show when={props.job.pictures.length > 0}>
            <FavouriteButton isLiked={props.job.isLiked} onLike={(isLiked) => likeJob(props.job.id, isLiked)} />
          </Show>
          <button type="button" onClick={() => void vary(request())}>
            <Dice />
            {t("picture.vary")}
          </button>
          <button type="button" onClick={() => void redraw(request())}>
            <Repeat />
            {t("picture.redraw")}
          </button>
          <Show when={canBegin() && props.job.pictures.length > 0}>
            <button type="button" onClick={() => void beginFromArtifact(props.job.id, 0).then(showStartImage)}>
              <Halves />
              {t("image.use")}
            </button>
          </Show>
          <button type="button" title={titleOf(request())} onClick={() => void usePrompt(request())}>
            <Pencil />
            {t("picture.use")}
          </button>
        </>
      )}
    </Show>
  );
}

/** Brings the image of the settings into view. It grows when its file is decoded. */
function showStartImage(): void {
  requestAnimationFrame(() => document.getElementById("start-image")?.scrollIntoView({ block: "center" }));
}

/** The name of a pass of a job that has several. */
function passName(job: ShownJob, pass: number): string | undefined {
  const passes = job.request ? passesOf(job.request) : [];
  const name = passes.length > 1 ? passes[pass - 1] : undefined;
  return name && t(`job.pass.${name}`);
}

export function statusText(job: ShownJob): string {
  const stage = job.status === "running" ? STAGES[job.stage] : undefined;
  return stage ? t(stage) : t(`job.${job.status}`);
}
