/** The jobs of this page in a row. */
import { For, type JSX, Show } from "solid-js";

import { titleOf } from "../prompt/request";
import { type ShownJob, dismissJob, isLive, jobs, selectJob, selectedJob } from "../state/jobs";
import { t } from "../text";
import { statusText } from "./canvas";
import { Barred, Clock, Cross, File, Info, Spark } from "./icons";
import { ProgressBar } from "./progress";

/** What stands for a job without any picture. */
const BLANK: Record<ShownJob["status"], () => JSX.Element> = {
  queued: Clock,
  running: Spark,
  completed: File,
  failed: Info,
  cancelled: Barred,
};

export function JobList() {
  return (
    <Show when={jobs().length > 0}>
      <ul class="jobs" aria-label={t("job.list")}>
        <For each={jobs()}>{(job) => <Card job={job} />}</For>
      </ul>
    </Show>
  );
}

function Card(props: { job: ShownJob }) {
  const picture = () =>
    props.job.pictures[0] ?? props.job.frames.at(-1)?.images.find((address) => address !== undefined);
  const title = () => titleOf(props.job.request);
  return (
    <li class={`job ${props.job.status}`}>
      <button
        type="button"
        class="choose"
        aria-pressed={selectedJob()?.id === props.job.id}
        aria-label={`${statusText(props.job)}: ${title().slice(0, 120)}`}
        onClick={() => {
          selectJob(props.job.id);
        }}
      >
        <Show when={picture()} fallback={<span class="blank">{BLANK[props.job.status]()}</span>}>
          {(address) => <img src={address()} alt="" />}
        </Show>
        <ProgressBar job={props.job} />
      </button>
      <Show when={!isLive(props.job)}>
        <button
          type="button"
          class="icon-button dismiss"
          aria-label={t("job.dismiss")}
          onClick={() => {
            dismissJob(props.job.id);
          }}
        >
          <Cross />
        </button>
      </Show>
    </li>
  );
}
