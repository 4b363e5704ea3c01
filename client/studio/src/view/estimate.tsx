/** What the server expects of the next picture, next to the button that draws it. */
import { For, Show } from "solid-js";
import { durationMs } from "@bufbuild/protobuf/wkt";

import type { Obstacle } from "../sakuga/gen/sakuga/generation/v1/generation_service_pb.js";
import { estimate, estimateProblem, isCurrent, requestFindings, settingsOf } from "../state/estimate";
import { memoryText, t, timeText } from "../text";

/** The expected time, for the button. */
export function ExpectedTime() {
  const expected = () => estimate()?.time?.expected;
  return (
    <Show when={expected()}>{(time) => <small>{t("draw.estimate", { time: timeText(durationMs(time())) })}</small>}</Show>
  );
}

/** How sure that is, what else the picture takes, and why it would be refused. */
export function EstimateDetails() {
  return (
    <div class="estimate" aria-busy={!isCurrent()}>
      <Show when={estimateProblem()}>
        <p class="problem" role="alert" dir="auto">
          {estimateProblem()}
        </p>
      </Show>
      <p class="faint">{facts().join(" · ")}</p>
      <ul>
        <For each={estimate()?.obstacles}>{(obstacle) => <ObstacleItem obstacle={obstacle} />}</For>
        <For each={requestFindings()}>
          {(found) => (
            <li class="notice">
              <p dir="auto">{found.message}</p>
              <Show when={found.fix}>
                {(fix) => (
                  <p class="faint" dir="auto">
                    {fix().description}
                  </p>
                )}
              </Show>
            </li>
          )}
        </For>
      </ul>
    </div>
  );
}

function ObstacleItem(props: { obstacle: Obstacle }) {
  return (
    <li class="notice">
      <p class="problem" role="alert" dir="auto">
        {props.obstacle.description}
      </p>
      <div class="actions">
        <For each={props.obstacle.changes}>
          {(change) => (
            <Show when={settingsOf(change)} fallback={<span class="faint">{change.description}</span>}>
              {(apply) => (
                <button type="button" onClick={() => apply()()}>
                  {change.description}
                </button>
              )}
            </Show>
          )}
        </For>
      </div>
    </li>
  );
}

function facts(): string[] {
  const known = estimate();
  if (!known) {
    return [];
  }
  const { time, learnedJobs, memoryNeededBytes: needed, memoryAvailableBytes: available, queuePosition, eta } = known;
  const { quality } = known;
  const found: string[] = [];
  if (learnedJobs === 0) {
    found.push(t("estimate.guess"));
  } else if (time?.low && time.high) {
    const [low, high] = [timeText(durationMs(time.low)), timeText(durationMs(time.high))];
    if (low !== high) {
      found.push(t("estimate.range", { low, high }));
    }
  }
  if (quality && quality.computedShare < 1) {
    found.push(t("estimate.computed", { share: Math.round(quality.computedShare * 100) }));
  }
  if (needed > 0n) {
    found.push(
      available === undefined
        ? t("estimate.memory", { needed: memoryText(needed) })
        : t("estimate.memory.of", { needed: memoryText(needed), available: memoryText(available) }),
    );
  }
  if (queuePosition > 0) {
    found.push(t("job.queued.position", { n: queuePosition }));
    if (eta) {
      found.push(t("estimate.start", { time: timeText(durationMs(eta)) }));
    }
  }
  return found;
}
