/** One picture of the history, with its request and what can be done with it. */
import { Show, createResource, createSignal } from "solid-js";
import { timestampDate } from "@bufbuild/protobuf/wkt";

import type { GenerateRequest, Scene } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { negativeText, promptText } from "../prompt/request";
import { SCHEDULES, SOLVERS } from "../prompt/sampling";
import { beginFromArtifact, redraw, usePrompt, vary } from "../state/actions";
import { statusOf } from "../state/adapters";
import { explainFailure, server } from "../state/connection";
import { type Entry, deleteJob, isFavourite, setFavourite } from "../state/history";
import { canBegin } from "../state/image";
import { dismissJob } from "../state/jobs";
import { language, t } from "../text";
import { noPictureKey, shownArtifact } from "./artifact";
import { FramedDialog } from "./dialog";
import { FavouriteButton } from "./favourite";
import { download } from "./download";
import { Bin, Dice, Download, Halves, Pencil, Repeat } from "./icons";
import { qualityFacts } from "./quality";

export function Detail(props: {
  entry: Entry | undefined;
  /** What gets the focus after the dialog if its opener is not on the page any more. */
  next: () => HTMLElement | null;
  onClose: () => void;
  onUse: () => void;
}) {
  return (
    <FramedDialog
      title={t("picture.details")}
      isOpen={props.entry !== undefined}
      next={props.next}
      onClose={props.onClose}
    >
      <Show when={props.entry}>
        {(entry) => <Content entry={entry()} onClose={props.onClose} onUse={props.onUse} />}
      </Show>
    </FramedDialog>
  );
}

/** What a request and its scene have in common. */
function PassFacts(props: { of: GenerateRequest | Scene }) {
  const sampling = () => props.of.sampling;
  const solver = () => {
    const title = SOLVERS.find(({ solver }) => solver === sampling()?.solver)?.title;
    const schedule = SCHEDULES.find(({ schedule }) => schedule === sampling()?.schedule)?.name;
    return [title, schedule && t(`settings.schedule.${schedule}`)].filter(Boolean).join(" · ");
  };
  const adapters = () =>
    props.of.adapters.map((adapter) => {
      const name = statusOf(adapter)?.name ?? adapter.source.value?.slice(0, 16) ?? "";
      return `${name} ${Number((adapter.scale ?? 1).toFixed(2))}`;
    });
  return (
    <>
      <dt>{t("settings.model")}</dt>
      <dd dir="auto">{props.of.model}</dd>
      <dt>{t("settings.size")}</dt>
      <dd>
        {props.of.width} × {props.of.height}
      </dd>
      <dt>{t("settings.steps")}</dt>
      <dd>{sampling()?.steps}</dd>
      <dt>{t("settings.guidance")}</dt>
      <dd>{sampling()?.guidanceScale?.toFixed(2)}</dd>
      <Show when={solver()}>
        {(title) => (
          <>
            <dt>{t("settings.solver")}</dt>
            <dd>{title()}</dd>
          </>
        )}
      </Show>
      <Show when={adapters().length > 0}>
        <dt>{t("adapters.title")}</dt>
        <dd dir="auto">{adapters().join(", ")}</dd>
      </Show>
    </>
  );
}

/** The scene of a picture. */
function SceneDetail(props: { scene: Scene }) {
  const [text] = createResource(
    () => props.scene,
    (scene) => promptText(scene, server()),
  );
  return (
    <>
      <h3>{t("job.pass.scene")}</h3>
      <pre tabindex="0" dir="auto">
        {text.error ? "" : text()}
      </pre>
      <Show when={negativeText(props.scene)}>
        {(negative) => (
          <pre tabindex="0" dir="auto" aria-label={t("picture.negative")}>
            {negative()}
          </pre>
        )}
      </Show>
      <dl>
        <PassFacts of={props.scene} />
        <dt>{t("image.strength")}</dt>
        <dd>{props.scene.strength?.toFixed(2)}</dd>
        <dt>{t("picture.seed")}</dt>
        <dd>{String(props.scene.seed ?? "")}</dd>
      </dl>
    </>
  );
}

function Content(props: { entry: Entry; onClose: () => void; onUse: () => void }) {
  let deleteButton: HTMLButtonElement | undefined;
  const [isAsking, setAsking] = createSignal(false);
  const [problem, setProblem] = createSignal("");
  const { address, isLoading, problem: missing } = shownArtifact(() => props.entry);
  const [text] = createResource(
    () => props.entry.job.request,
    (request) => promptText(request, server()),
  );
  const request = () => props.entry.job.request;
  const info = () => props.entry.job.images.find(({ metadata }) => metadata?.imageIndex === props.entry.image);
  const hasPicture = () => props.entry.job.images.length > 0;
  const quality = () => {
    const level = request()?.sampling?.quality;
    return level === undefined ? undefined : qualityFacts(level, info()?.reuse, info()?.metadata?.quality);
  };
  const negative = () => {
    const given = request();
    return given ? negativeText(given) : "";
  };
  const created = () => {
    const time = props.entry.job.createTime;
    return time ? timestampDate(time).toLocaleString(language()) : "";
  };
  const act = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action();
      props.onUse();
      props.onClose();
    } catch (error) {
      setProblem(explainFailure(error));
    }
  };
  const like = async (isLiked: boolean): Promise<void> => {
    try {
      await setFavourite(props.entry.job.jobId, isLiked);
      setProblem("");
    } catch (error) {
      setProblem(explainFailure(error));
    }
  };
  const remove = async (): Promise<void> => {
    try {
      await deleteJob(props.entry.job.jobId);
      dismissJob(props.entry.job.jobId);
      props.onClose();
    } catch (error) {
      setProblem(explainFailure(error));
    }
  };
  return (
    <>
      <div class="detail">
        <div class="detail-picture">
          <Show
            when={address()}
            fallback={
              <p class="faint" role="status" dir="auto">
                {isLoading()
                  ? t("picture.loading")
                  : missing() || props.entry.job.error?.message || t(noPictureKey(props.entry))}
              </p>
            }
          >
            {(source) => <img src={source()} alt={props.entry.title} />}
          </Show>
        </div>
        <div class="detail-text">
          <h3>{t("picture.prompt")}</h3>
          <pre tabindex="0" dir="auto">
            {text.error ? props.entry.title : text()}
          </pre>
          <Show when={negative()}>
            <h3>{t("picture.negative")}</h3>
            <pre tabindex="0" dir="auto">
              {negative()}
            </pre>
          </Show>
          <dl>
            <Show when={request()}>{(given) => <PassFacts of={given()} />}</Show>
            <Show when={quality()}>
              {(facts) => (
                <>
                  <dt>{t("quality.title")}</dt>
                  <dd>{facts().join(" · ")}</dd>
                </>
              )}
            </Show>
            <dt>{t("picture.seed")}</dt>
            <dd>{String(info()?.metadata?.seed ?? request()?.seed ?? "")}</dd>
            <Show when={props.entry.job.device}>
              <dt>{t("device.title")}</dt>
              <dd dir="auto">{props.entry.job.device}</dd>
            </Show>
            <dt>{t(hasPicture() ? "picture.created" : "picture.submitted")}</dt>
            <dd>{created()}</dd>
          </dl>
          <Show when={request()?.scene}>{(scene) => <SceneDetail scene={scene()} />}</Show>
          <Show when={problem()}>
            <p class="problem" role="alert">
              {problem()}
            </p>
          </Show>
          <Show when={request()}>
            {(given) => (
              <div class="actions">
                <Show when={address()}>
                  {(source) => (
                    <button
                      type="button"
                      onClick={() => {
                        download(source(), props.entry.job.jobId, props.entry.image);
                      }}
                    >
                      <Download />
                      {t("picture.download")}
                    </button>
                  )}
                </Show>
                <Show when={hasPicture()}>
                  <FavouriteButton isLiked={isFavourite(props.entry)} onLike={like} />
                </Show>
                <button type="button" onClick={() => void act(() => vary(given()))}>
                  <Dice />
                  {t("picture.vary")}
                </button>
                <button type="button" onClick={() => void act(() => redraw(given()))}>
                  <Repeat />
                  {t("picture.redraw")}
                </button>
                <Show when={canBegin() && hasPicture()}>
                  <button
                    type="button"
                    onClick={() => void act(() => beginFromArtifact(props.entry.job.jobId, props.entry.image))}
                  >
                    <Halves />
                    {t("image.use")}
                  </button>
                </Show>
                <button type="button" onClick={() => void act(() => usePrompt(given()))}>
                  <Pencil />
                  {t("picture.use")}
                </button>
                <button
                  ref={(element) => (deleteButton = element)}
                  type="button"
                  class="cancel"
                  aria-expanded={isAsking()}
                  onClick={() => setAsking(!isAsking())}
                >
                  <Bin />
                  {t("picture.delete")}
                </button>
              </div>
            )}
          </Show>
          <Show when={isAsking()}>
            <div
              class="notice"
              role="group"
              aria-label={t("picture.delete")}
              ref={(element) => requestAnimationFrame(() => element.scrollIntoView({ block: "nearest" }))}
            >
              <p>{t("picture.delete.ask")}</p>
              <div class="actions">
                <button type="button" class="danger" onClick={() => void remove()}>
                  {t("picture.delete.yes")}
                </button>
                <button
                  type="button"
                  onClick={() => {
                    deleteButton?.focus();
                    setAsking(false);
                  }}
                >
                  {t("picture.keep")}
                </button>
              </div>
            </div>
          </Show>
        </div>
      </div>
    </>
  );
}
