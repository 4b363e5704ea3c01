/** A finished picture of the history as an address that `<img>` shows, for as long as it is shown. */
import { type Accessor, createEffect, createResource, createSignal, on, onCleanup } from "solid-js";

import { JobState } from "../sakuga/web.js";
import { explainFailure, server } from "../state/connection";
import type { Entry } from "../state/history";

/** A picture that is shown. */
export interface ShownArtifact {
  /** The address. `undefined` until the picture is loaded, and for a job without a picture. */
  readonly address: Accessor<string | undefined>;
  readonly isLoading: Accessor<boolean>;
  /** Why it cannot be loaded; empty if nothing is wrong. */
  readonly problem: Accessor<string>;
}

/** Loads the picture of an entry. */
export function shownArtifact(entry: Accessor<Entry>): ShownArtifact {
  const [problem, setProblem] = createSignal("");
  const [address] = createResource(
    () => (entry().job.state === JobState.COMPLETED ? entry() : undefined),
    async ({ job, image }) => {
      setProblem("");
      try {
        const data = await server().artifact(job.jobId, image);
        return URL.createObjectURL(new Blob([data.slice()], { type: "image/png" }));
      } catch (error) {
        setProblem(explainFailure(error));
        return undefined;
      }
    },
  );
  createEffect(
    on(address, (shown) => {
      onCleanup(() => {
        if (shown !== undefined) {
          URL.revokeObjectURL(shown);
        }
      });
    }),
  );
  return { address, isLoading: () => address.loading, problem };
}

/** Why an entry has no picture. */
export function noPictureKey({ job }: Entry): "job.failed" | "job.cancelled" | "picture.none" {
  switch (job.state) {
    case JobState.FAILED:
      return "job.failed";
    case JobState.CANCELLED:
      return "job.cancelled";
    default:
      return "picture.none";
  }
}
