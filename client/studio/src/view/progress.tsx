/** How far a job is. */
import { Show } from "solid-js";

import { type ShownJob, isLive } from "../state/jobs";
import { t } from "../text";

/** The computed steps of a job that has not ended. */
export function ProgressBar(props: { job: ShownJob }) {
  return (
    <Show when={isLive(props.job)}>
      <progress
        max={Math.max(1, props.job.steps)}
        value={props.job.status === "queued" ? 0 : props.job.step}
        aria-label={t("job.progress")}
      />
    </Show>
  );
}
