/** The jobs that the server keeps, the newest first: all of them, or those of a search. */
import { createMemo, createSignal } from "solid-js";
import { type MessageInitShape, create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";

import { JobState } from "../sakuga/web.js";
import type { Job as JobRecord } from "../sakuga/gen/sakuga/generation/v1/job_pb.js";
import { JobFilterSchema } from "../sakuga/gen/sakuga/generation/v1/job_service_pb.js";
import { titleOf } from "../prompt/request";
import { explainFailure, server } from "./connection";

const PAGE = 100;
/** Empty pages that are read one after the other before a person has to ask for more. Each stands for thousands of jobs. */
const EMPTY_PAGES_MAX = 20;
const TYPING_MS = 250;
const ENDED = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED];
/** The label of the jobs that a person likes. */
const FAVOURITE = "favourite";

/** One picture of a job, or a job without pictures. */
export interface Entry {
  readonly key: string;
  readonly job: JobRecord;
  /** Its index, by which the server knows it. */
  readonly image: number;
  readonly title: string;
}

/** What a person looks for. Empty fields match everything. */
export interface Search {
  readonly text: string;
  readonly model: string;
  /** The first and the last day, as `2026-11-30`, by the clock of this machine. */
  readonly from: string;
  readonly until: string;
  readonly isFavourite: boolean;
}

const NOTHING: Search = { text: "", model: "", from: "", until: "", isFavourite: false };

const [records, setRecords] = createSignal<readonly JobRecord[]>([]);
const [isLoading, setLoading] = createSignal(false);
const [historyProblem, setProblem] = createSignal("");
const [nextPage, setNextPage] = createSignal<string>();
const [search, setSearch] = createSignal(NOTHING);
/** Counts the searches: the answer to an older one is dropped. */
let current = 0;
let typing: ReturnType<typeof setTimeout> | undefined;

export { historyProblem, isLoading, search };

/** The entries of a record; it is replaced, and never changed. */
const known = new WeakMap<JobRecord, readonly Entry[]>();

/** Every entry that was loaded. */
export const entries = createMemo(() => records().flatMap(entriesOf));

/** Whether there are older jobs on the server. */
export const hasMore = (): boolean => (nextPage() ?? "") !== "";

/** Whether only some of the jobs are looked for. */
export const isSearching = (): boolean => Object.values(search()).some((value) => value !== "" && value !== false);

export const isFavourite = ({ job }: Pick<Entry, "job">): boolean => job.labels.includes(FAVOURITE);

/** Looks for other jobs: at once, or when the typing stops. */
export function searchFor(change: Partial<Search>): void {
  setSearch({ ...search(), ...change });
  current += 1;
  clearTimeout(typing);
  typing = setTimeout(() => void restart(), "text" in change ? TYPING_MS : 0);
}

/** Looks at all jobs again. */
export function clearSearch(): void {
  searchFor(NOTHING);
}

/** Reads the newest jobs. Those that were read before stay, unless there may be jobs between them and the newest ones. */
export async function refreshHistory(): Promise<void> {
  await read("", (jobs, next) => {
    const newest = new Set(jobs.map(({ jobId }) => jobId));
    const others = records().filter(({ jobId }) => !newest.has(jobId));
    if (others.length < records().length) {
      setRecords([...jobs, ...others]);
    } else {
      setRecords(jobs);
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
    const there = new Set(records().map(({ jobId }) => jobId));
    setRecords([...records(), ...jobs.filter(({ jobId }) => !there.has(jobId))]);
    setNextPage(next === token ? "" : next);
  });
}

/** Marks a job as one that a person likes, or not, on the server. Throws if that is refused. */
export async function setFavourite(jobId: string, isLiked: boolean): Promise<void> {
  const changed = slim(await server().label(jobId, isLiked ? { add: [FAVOURITE] } : { remove: [FAVOURITE] }));
  setRecords(records().map((record) => (record.jobId === changed.jobId ? changed : record)));
}

/** Notes why something that was asked of the history was not done. */
export function noteProblem(error: unknown): void {
  setProblem(explainFailure(error));
}

/** Deletes a job with its pictures on the server. */
export async function deleteJob(id: string): Promise<void> {
  await server().delete(id);
  setRecords(records().filter(({ jobId }) => jobId !== id));
}

/** Begins the list again for another search. What is shown stays until the answer is there. */
async function restart(): Promise<void> {
  setNextPage(undefined);
  await read("", (jobs, next) => {
    setRecords(jobs);
    setNextPage(next);
  });
}

async function read(pageToken: string, take: (jobs: readonly JobRecord[], next: string) => void): Promise<void> {
  const asked = current;
  setLoading(true);
  try {
    let token = pageToken;
    for (let empty = 0; empty < EMPTY_PAGES_MAX; empty += 1) {
      const page = await server().jobs.listJobs({ filter: filterOf(search()), pageSize: PAGE, pageToken: token });
      if (asked !== current) {
        return;
      }
      const isEnd = page.nextPageToken === "" || page.nextPageToken === token;
      token = isEnd ? "" : page.nextPageToken;
      if (page.jobs.length > 0 || isEnd) {
        take(page.jobs.map(slim), token);
        break;
      }
      if (empty + 1 === EMPTY_PAGES_MAX) {
        take([], token);
      }
    }
    setProblem("");
  } catch (error) {
    if (asked === current) {
      setProblem(explainFailure(error));
    }
  } finally {
    if (asked === current) {
      setLoading(false);
    }
  }
}

function filterOf({ text, model, from, until, isFavourite }: Search): MessageInitShape<typeof JobFilterSchema> {
  const [first, last] = [dayOf(from, 0), dayOf(until, 1)];
  return create(JobFilterSchema, {
    states: ENDED,
    text,
    model,
    labels: isFavourite ? [FAVOURITE] : [],
    ...(first ? { createdFrom: timestampFromDate(first) } : {}),
    ...(last ? { createdBefore: timestampFromDate(last) } : {}),
  });
}

/** The beginning of a day, or of one that comes so many days later. */
function dayOf(text: string, later: number): Date | undefined {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text) ?? [];
  return year === undefined ? undefined : new Date(Number(year), Number(month) - 1, Number(day) + later);
}

function entriesOf(job: JobRecord): readonly Entry[] {
  let made = known.get(job);
  if (!made) {
    const title = titleOf(job.request);
    // The index of a picture is that in its batch, of which a job may have drawn a part.
    const drawn = job.images.length === 0 ? [0] : job.images.map(({ metadata }, at) => metadata?.imageIndex ?? at);
    made = drawn.map((image) => ({ key: `${job.jobId}/${image}`, job, image, title }));
    known.set(job, made);
  }
  return made;
}

/** A job without what its pictures repeat of its request: thousands of them stay in memory. */
function slim(job: JobRecord): JobRecord {
  for (const { metadata } of job.images) {
    if (metadata) {
      delete metadata.request;
      metadata.modelText = "";
    }
  }
  return job;
}
