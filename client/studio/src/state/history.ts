/** The jobs that the server keeps, the newest first, and small pictures of them. */
import { createMemo, createSignal } from "solid-js";

import { JobState } from "../sakuga/web.js";
import type { Job as JobRecord } from "../sakuga/gen/sakuga/generation/v1/job_pb.js";
import { titleOf } from "../prompt/request";
import { explainFailure, server } from "./connection";

const PAGE = 60;
const ENDED = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED];

/** One picture of a job, or a job without pictures. */
export interface Entry {
  readonly key: string;
  readonly job: JobRecord;
  /** Its index, by which the server knows it. */
  readonly image: number;
  readonly title: string;
}

const [records, setRecords] = createSignal<readonly JobRecord[]>([]);
const [isLoading, setLoading] = createSignal(false);
const [historyProblem, setProblem] = createSignal("");
const [nextPage, setNextPage] = createSignal<string>();
const [query, setQuery] = createSignal("");

export { historyProblem, isLoading, query, setQuery };

/** Every entry that was loaded. */
const entries = createMemo(() =>
  records().flatMap((job): Entry[] => {
    const title = titleOf(job.request);
    // The index of a picture is that in its batch, of which a job may have drawn a part.
    const drawn = job.images.length === 0 ? [0] : job.images.map(({ metadata }, at) => metadata?.imageIndex ?? at);
    return drawn.map((image) => ({ key: `${job.jobId}/${image}`, job, image, title }));
  }),
);

/** The entries with every word of the query in their prompt or model. */
export const foundEntries = createMemo(() => {
  const words = query()
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((word) => word !== "");
  if (words.length === 0) {
    return entries();
  }
  return entries().filter(({ title, job }) => {
    const searched = `${title} ${job.request?.model ?? ""}`.toLowerCase();
    return words.every((word) => searched.includes(word));
  });
});

/** Whether there are older jobs on the server. */
export const hasMore = (): boolean => (nextPage() ?? "") !== "";

/** Reads the newest jobs; those that were read before stay. */
export async function refreshHistory(): Promise<void> {
  await read("", (jobs, next) => {
    const known = new Set(jobs.map(({ jobId }) => jobId));
    const older = records().filter(({ jobId }) => !known.has(jobId));
    setRecords([...jobs, ...older]);
    if (nextPage() === undefined) {
      setNextPage(next);
    }
  });
}

/** Reads older jobs. */
export async function loadMore(): Promise<void> {
  const token = nextPage();
  if (token === undefined || token === "" || isLoading()) {
    return;
  }
  await read(token, (jobs, next) => {
    const known = new Set(records().map(({ jobId }) => jobId));
    setRecords([...records(), ...jobs.filter(({ jobId }) => !known.has(jobId))]);
    setNextPage(next === token ? "" : next);
  });
}

/** Deletes a job with its pictures on the server. */
export async function deleteJob(id: string): Promise<void> {
  await server().delete(id);
  setRecords(records().filter(({ jobId }) => jobId !== id));
}

async function read(pageToken: string, take: (jobs: readonly JobRecord[], next: string) => void): Promise<void> {
  setLoading(true);
  try {
    const page = await server().jobs.listJobs({ filter: { states: ENDED }, pageSize: PAGE, pageToken });
    setProblem("");
    take(page.jobs, page.nextPageToken);
  } catch (error) {
    setProblem(explainFailure(error));
  } finally {
    setLoading(false);
  }
}
