/** A finished picture of the history as an address that `<img>` shows, for as long as it is shown. */
import { type Accessor, createEffect, createResource, on, onCleanup } from "solid-js";

import { JobState } from "../sakuga/web.js";
import { explainFailure, server } from "../state/connection";
import type { Entry } from "../state/history";

/** The address; `undefined` until the picture is loaded, or if the job has no picture. */
export function artifactAddress(entry: Accessor<Entry>): Accessor<string | undefined> {
  const [address] = createResource(
    () => (entry().job.state === JobState.COMPLETED ? entry() : undefined),
    async ({ job, image }) => {
      try {
        const data = await server().artifact(job.jobId, image);
        return URL.createObjectURL(new Blob([data.slice()], { type: "image/png" }));
      } catch (error) {
        explainFailure(error);
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
  return address;
}
