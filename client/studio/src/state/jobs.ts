/** The jobs of this page: their progress, their previews and their pictures. */
import { batch, createEffect, createMemo, createSignal, onCleanup, untrack } from "solid-js";
import { createStore, produce } from "solid-js/store";
import { create } from "@bufbuild/protobuf";
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";

import { ConnectionLost, type GenerateEvent, JobCancelled, JobState, RequestRefused, Stage } from "../sakuga/web.js";
import type { Job as JobRecord } from "../sakuga/gen/sakuga/generation/v1/job_pb.js";
import { type GenerateRequest, GenerateRequestSchema } from "../sakuga/gen/sakuga/generation/v1/request_pb.js";
import { explainFailure, phase, server } from "./connection";
import { noteSample } from "./device";
import { isFavourite, setFavourite } from "./history";
import { type Frame, Pictures } from "./pictures";
import { isRecord, isString, load, save } from "./storage";
import { isVisible } from "./visibility";

/** Jobs whose events are followed at once; the others are asked for from time to time. See `visibility`. */
const FOLLOWED_MAX = 2;
/** Jobs that stay on the page; older ones are in the history. */
const SHOWN_MAX = 12;
const ASK_MS = 1500;
/** Jobs of which the number of the last event is kept. */
const REMEMBERED_MAX = 50;
/** Where the names of the jobs on the page are kept, so that a reload shows the same ones. */
const ON_PAGE = "jobs";

export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";

/** A job on the page. */
export interface ShownJob {
  readonly id: string;
  status: Status;
  request: GenerateRequest | undefined;
  images: number;
  /** Jobs before this one. */
  position: number | undefined;
  /** When it starts or ends, in milliseconds since 1970. */
  due: number | undefined;
  stage: Stage;
  /** The pass that is drawn, from 1; 0: none has begun. */
  pass: number;
  step: number;
  steps: number;
  /** The previews of each step that came, in the order of the steps. */
  frames: readonly Frame[];
  /** Addresses of the finished pictures. */
  pictures: readonly string[];
  seeds: readonly bigint[];
  /** The name of the device that draws or drew it, with its make; empty while it waits. */
  device: string;
  problem: string;
  notice: string;
  isCancelling: boolean;
  /** Whether a person likes it. */
  isLiked: boolean;
}

const [state, setState] = createStore<{ jobs: ShownJob[]; selected: string | undefined }>({
  jobs: [],
  selected: undefined,
});
/** Whether the jobs of before a reload are on the page. */
const [isRestored, setRestored] = createSignal(false);
const pictures = new Map<string, Pictures>();
/** The number of the last event of each job, so that a reload continues behind it. */
const lastEvents = new Map(Object.entries(load("session", "events", isRecord) ?? {}).map(([id, n]) => [id, String(n)]));

export const jobs = (): readonly ShownJob[] => state.jobs;
export const isLive = (job: ShownJob): boolean => job.status === "queued" || job.status === "running";
export const liveJobs = createMemo(() => state.jobs.filter(isLive));
/** The job in the middle of the page. */
export const selectedJob = createMemo(() => state.jobs.find(({ id }) => id === state.selected) ?? state.jobs[0]);

export function selectJob(id: string): void {
  setState("selected", id);
}

/** Submits a request as a job that the server keeps. */
export async function draw(request: GenerateRequest): Promise<void> {
  const named = create(GenerateRequestSchema, { ...request, requestId: randomId() });
  const { job } = await server().jobs.createJob({ request: named });
  if (job) {
    show(job);
    selectJob(job.jobId);
  }
}

export async function cancelJob(id: string): Promise<void> {
  change(id, { isCancelling: true });
  try {
    apply(await server().cancel(id));
  } catch (error) {
    change(id, { isCancelling: false, problem: explainFailure(error) });
  }
}

/** Marks a job as one that a person likes, or not, on the server. */
export async function likeJob(id: string, isLiked: boolean): Promise<void> {
  try {
    await setFavourite(id, isLiked);
    change(id, { isLiked });
  } catch (error) {
    change(id, { problem: explainFailure(error) });
  }
}

/** Takes an ended job off the page; it stays in the history. */
export function dismissJob(id: string): void {
  setState("jobs", (all) => all.filter((job) => job.id !== id));
  pictures.get(id)?.release();
  pictures.delete(id);
}

/** Shows the jobs of before a reload and those that wait or run, and follows them. Called once. `onEnd` is called when one has ended. */
export function followJobs(onEnd: (id: string) => void): void {
  createEffect(() => {
    if (phase() === "ready") {
      void untrack(restore);
    }
  });
  createEffect(() => {
    const onPage = { selected: state.selected, jobs: state.jobs.map(({ id }) => id) };
    // Before that the page is empty because it was loaded just now.
    if (isRestored()) {
      save("session", ON_PAGE, onPage);
    }
  });
  const followed = createMemo(
    () => {
      // The running ones first, then the ones that wait for the shortest time.
      const live = [...liveJobs()].sort((a, b) => rank(a) - rank(b));
      return phase() === "ready" && isVisible() ? live.slice(0, FOLLOWED_MAX).map(({ id }) => id) : [];
    },
    [],
    { equals: (a, b) => a.join() === b.join() },
  );
  const open = new Map<string, { close(): void }>();
  createEffect(() => {
    const wanted = followed();
    for (const [id, stream] of open) {
      if (!wanted.includes(id)) {
        stream.close();
        open.delete(id);
      }
    }
    for (const id of wanted) {
      if (!open.has(id)) {
        open.set(
          id,
          follow(id, onEnd, () => open.delete(id)),
        );
      }
    }
  });
  const asking = setInterval(() => {
    if (phase() === "ready" && isVisible() && liveJobs().length > followed().length) {
      void ask(onEnd);
    }
  }, ASK_MS);
  onCleanup(() => {
    clearInterval(asking);
    for (const stream of open.values()) {
      stream.close();
    }
  });
}

function rank(job: ShownJob): number {
  return job.status === "running" ? -1 : (job.position ?? 0);
}

async function restore(): Promise<void> {
  try {
    const found = isRestored() ? [] : await keptJobs();
    const ended = new Set(found.map(({ jobId }) => jobId));
    for await (const job of server().listJobs({ states: [JobState.QUEUED, JobState.RUNNING] })) {
      if (!ended.has(job.jobId)) {
        found.push(job);
      }
    }
    batch(() => {
      // Each is put before the others, so the newest comes last.
      for (const job of found.sort((a, b) => createdAt(a) - createdAt(b))) {
        if (state.jobs.some(({ id }) => id === job.jobId)) {
          apply(job);
        } else {
          show(job);
        }
      }
      setRestored(true);
    });
  } catch (error) {
    explainFailure(error);
  }
}

/** The ended jobs that were on the page before it was loaded again. */
async function keptJobs(): Promise<JobRecord[]> {
  const kept = load("session", ON_PAGE, isRecord);
  const ids = Array.isArray(kept?.["jobs"]) ? kept["jobs"].filter(isString) : [];
  if (isString(kept?.["selected"]) && state.selected === undefined) {
    selectJob(kept["selected"]);
  }
  const found: JobRecord[] = [];
  for (const id of ids) {
    try {
      const job = await server().job(id);
      if (job.state > JobState.RUNNING) {
        found.push(job);
      }
    } catch (error) {
      // It was deleted.
      if (!(error instanceof RequestRefused && error.code === Code.NotFound)) {
        throw error;
      }
    }
  }
  return found;
}

function createdAt({ createTime }: JobRecord): number {
  return createTime ? timestampMs(createTime) : 0;
}

/** Asks for the state of live jobs whose events are not followed. */
async function ask(onEnd: (id: string) => void): Promise<void> {
  for (const { id } of liveJobs()) {
    try {
      const job = await server().job(id);
      apply(job);
      if (job.state > JobState.RUNNING) {
        onEnd(id);
      }
    } catch (error) {
      explainFailure(error);
      return;
    }
  }
}

/** Follows the events of a job until its end or until it is closed. */
function follow(id: string, onEnd: (id: string) => void, ended: () => void): { close(): void } {
  const after = lastEvents.get(id);
  const stream = server().watch(id, after !== undefined && /^\d+$/.test(after) ? BigInt(after) : undefined);
  let isClosed = false;
  const run = async (): Promise<void> => {
    try {
      for await (const event of stream) {
        handle(id, event);
        remember(id, event.sequence);
      }
      const finished = await stream.pictures();
      const kept = picturesOf(id);
      kept.finish(finished.map(({ data }) => data));
      // After a reload the event with the seeds is not repeated.
      const seeds = finished.flatMap(({ info }) => info.metadata?.seed ?? []);
      change(id, { status: "completed", pictures: kept.finished, seeds, due: undefined });
    } catch (error) {
      if (isClosed) {
        return;
      }
      await settle(id, error);
    }
    ended();
    onEnd(id);
  };
  void run();
  return {
    close() {
      isClosed = true;
      stream.close();
    },
  };
}

/** Notes why the events of a job ended without pictures. */
async function settle(id: string, error: unknown): Promise<void> {
  if (error instanceof JobCancelled) {
    change(id, { status: "cancelled", step: error.atStep, due: undefined });
    return;
  }
  if (error instanceof RequestRefused && error.code === Code.OutOfRange) {
    // The events after the last known one are no longer kept. The job itself says how it is.
    lastEvents.delete(id);
  }
  const problem = explainFailure(error);
  if (error instanceof ConnectionLost) {
    // The events continue when the connection is there again.
    return;
  }
  try {
    const job = await server().job(id);
    apply(job);
    if (job.state === JobState.FAILED) {
      change(id, { problem: job.error?.message ?? problem });
    }
  } catch (unreachable) {
    change(id, { status: "failed", problem: explainFailure(unreachable) });
  }
}

function handle(id: string, { event }: GenerateEvent): void {
  switch (event.case) {
    case "queued":
      change(id, { status: "queued", position: event.value.position, due: dueAfter(event.value.eta) });
      break;
    case "started": {
      const { resolved, seeds, modelNotice: notice, device } = event.value;
      change(id, { status: "running", position: undefined, due: undefined, notice, seeds, device });
      if (resolved) {
        change(id, { request: resolved, images: resolved.images || 1, steps: resolved.sampling?.steps ?? 0 });
      }
      break;
    }
    case "stage":
      change(id, { status: "running", stage: event.value.stage, pass: event.value.passNumber });
      break;
    case "step":
      change(id, {
        status: "running",
        stage: Stage.DENOISE,
        pass: event.value.passNumber,
        step: event.value.index,
        steps: event.value.total,
        due: dueAfter(event.value.eta),
      });
      break;
    case "preview": {
      const kept = picturesOf(id);
      const pass = state.jobs.find((job) => job.id === id)?.pass ?? 0;
      kept.preview(pass, event.value.step, event.value.imageIndex, event.value.data);
      change(id, { frames: kept.frames });
      break;
    }
    case "gpuStats":
      noteSample(event.value);
      break;
    case "requeued":
      pictures.get(id)?.release();
      pictures.delete(id);
      change(id, { status: "queued", frames: [], step: 0, pass: 0, stage: Stage.UNSPECIFIED });
      break;
    default:
  }
}

/** Puts a job on the page. */
function show(job: JobRecord): void {
  setState(
    produce((all) => {
      all.jobs.unshift({
        id: job.jobId,
        status: "queued",
        request: job.request,
        images: job.request?.images || 1,
        position: undefined,
        due: undefined,
        stage: Stage.UNSPECIFIED,
        pass: 0,
        step: 0,
        steps: job.request?.sampling?.steps ?? 0,
        frames: [],
        pictures: [],
        seeds: [],
        device: "",
        problem: "",
        notice: "",
        isCancelling: false,
        isLiked: isFavourite({ job }),
      });
    }),
  );
  apply(job);
  for (const old of state.jobs.filter((shown) => !isLive(shown)).slice(SHOWN_MAX)) {
    dismissJob(old.id);
  }
}

/** Takes over the state of a job. */
function apply(job: JobRecord): void {
  const statuses: Partial<Record<JobState, Status>> = {
    [JobState.QUEUED]: "queued",
    [JobState.RUNNING]: "running",
    [JobState.COMPLETED]: "completed",
    [JobState.FAILED]: "failed",
    [JobState.CANCELLED]: "cancelled",
  };
  const status = statuses[job.state];
  if (status === undefined) {
    return;
  }
  change(job.jobId, {
    status,
    device: job.device,
    position: job.queuePosition,
    due: dueAfter(job.eta),
    ...(job.step === undefined ? {} : { step: job.step }),
    ...(job.stepTotal === undefined ? {} : { steps: job.stepTotal }),
    ...(job.error === undefined ? {} : { problem: job.error.message }),
  });
  if (status === "completed") {
    change(job.jobId, { seeds: job.images.flatMap(({ metadata }) => (metadata ? [metadata.seed] : [])) });
    // One after the other: after a reload there may be many, and a browser has few connections.
    fetching = fetching.then(() => fetchPictures(job));
  }
}

let fetching = Promise.resolve();

/** Reads the pictures of a job that ended while its events were not followed. */
async function fetchPictures(job: JobRecord): Promise<void> {
  const shown = state.jobs.find(({ id }) => id === job.jobId);
  if (!shown || shown.pictures.length > 0) {
    return;
  }
  try {
    const data: Uint8Array[] = [];
    for (const [at, { metadata }] of job.images.entries()) {
      data.push(await server().artifact(job.jobId, metadata?.imageIndex ?? at));
    }
    const kept = picturesOf(job.jobId);
    kept.finish(data);
    change(job.jobId, { pictures: kept.finished });
  } catch (error) {
    change(job.jobId, { problem: explainFailure(error) });
  }
}

function change(id: string, fields: Partial<ShownJob>): void {
  setState("jobs", (job) => job.id === id, fields);
}

function picturesOf(id: string): Pictures {
  let kept = pictures.get(id);
  if (!kept) {
    kept = new Pictures();
    pictures.set(id, kept);
  }
  return kept;
}

function remember(id: string, sequence: bigint): void {
  // The newest are at the end.
  lastEvents.delete(id);
  lastEvents.set(id, String(sequence));
  for (const old of [...lastEvents.keys()].slice(0, -REMEMBERED_MAX)) {
    lastEvents.delete(old);
  }
  save("session", "events", Object.fromEntries(lastEvents));
}

function dueAfter(eta: Parameters<typeof durationMs>[0] | undefined): number | undefined {
  return eta === undefined ? undefined : Date.now() + durationMs(eta);
}

/** `crypto.randomUUID` is missing on pages without TLS on other machines. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
