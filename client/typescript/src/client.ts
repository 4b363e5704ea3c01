import { type MessageInitShape, create } from "@bufbuild/protobuf";
import { type Client as Stub, type Interceptor, type Transport, createClient } from "@connectrpc/connect";

import { uploadAsset } from "./assets.js";
import { explain } from "./errors.js";
import { type Asset, AssetService } from "./gen/sakuga/asset/v1/asset_service_pb.js";
import { GenerationService } from "./gen/sakuga/generation/v1/generation_service_pb.js";
import type { JobOptionsSchema, Job as JobState } from "./gen/sakuga/generation/v1/job_pb.js";
import {
  type GetJobTelemetryResponse,
  type JobFilterSchema,
  JobService,
} from "./gen/sakuga/generation/v1/job_service_pb.js";
import { type GenerateRequest, GenerateRequestSchema } from "./gen/sakuga/generation/v1/request_pb.js";
import type { Prompt } from "./gen/sakuga/prompt/v1/prompt_pb.js";
import { PromptService, Strictness, type ValidatePromptResponse } from "./gen/sakuga/prompt/v1/prompt_service_pb.js";
import type { Activity } from "./gen/sakuga/system/v1/activity_pb.js";
import type { GpuStats } from "./gen/sakuga/system/v1/gpu_stats_pb.js";
import {
  type GetServerInfoResponse,
  type Model,
  SystemService,
  type WatchActivityRequestSchema,
  type WatchGpuStatsRequestSchema,
} from "./gen/sakuga/system/v1/system_service_pb.js";
import { Job } from "./job.js";
import { type CallLimits, Retry, WatchCall, fetchArtifact, generateCall } from "./watch.js";

/** Empty pages one after the other after which a list ends. */
const EMPTY_PAGES_MAX = 100;

/** The text of a prompt, or its typed form. */
export type PromptLike = string | Prompt;

/** The fields of a request besides the prompt. Those that are left out are chosen by the server and the model. */
export type Options = Omit<MessageInitShape<typeof GenerateRequestSchema>, "prompt" | "$typeName">;

/** A connection to a server. `sakuga/node` and `sakuga/web` make one. */
export class Client {
  /** `sakuga.asset.v1.AssetService`, as generated. */
  readonly assets: Stub<typeof AssetService>;
  /** `sakuga.prompt.v1.PromptService`, as generated. */
  readonly prompts: Stub<typeof PromptService>;
  /** `sakuga.generation.v1.GenerationService`, as generated. */
  readonly generations: Stub<typeof GenerationService>;
  /** `sakuga.generation.v1.JobService`, as generated. */
  readonly jobs: Stub<typeof JobService>;
  /** `sakuga.system.v1.SystemService`, as generated. */
  readonly system: Stub<typeof SystemService>;

  /**
   * A client over any transport of Connect that speaks gRPC or gRPC-Web. `close` ends its connections, if it has any of its
   * own.
   */
  constructor(
    transport: Transport,
    private readonly end: () => void = () => {},
  ) {
    this.assets = createClient(AssetService, transport);
    this.prompts = createClient(PromptService, transport);
    this.generations = createClient(GenerationService, transport);
    this.jobs = createClient(JobService, transport);
    this.system = createClient(SystemService, transport);
  }

  /** Closes the connection. Calls that still run are cancelled. */
  close(): void {
    this.end();
  }

  /** Checks a prompt: every finding, the canonical form, and what each text encoder reads and cuts. */
  async validate(prompt: PromptLike, options: { strict?: boolean; model?: string } = {}): Promise<ValidatePromptResponse> {
    const strictness = options.strict === true ? Strictness.STRICT : Strictness.UNSPECIFIED;
    return ask(() => this.prompts.validatePrompt({ prompt: promptOf(prompt), strictness, model: options.model ?? "" }));
  }

  /** Turns text in any known envelope into the typed prompt. Throws `RequestRefused` if it holds errors. */
  async parse(text: string): Promise<Prompt> {
    return (await ask(() => this.prompts.parsePrompt({ xml: text }))).prompt!;
  }

  /** Writes a typed prompt as canonical XML. */
  async format(prompt: Prompt): Promise<string> {
    return (await ask(() => this.prompts.formatPrompt({ prompt }))).canonicalXml;
  }

  /**
   * Draws a prompt. Resolves once the server has accepted it; the job has its events and then its pictures. Throws
   * `RequestRefused`, which names the fields that are wrong.
   */
  async generate(prompt: PromptLike, options: Options = {}, limits: CallLimits = {}): Promise<Job> {
    return this.submit(requestOf(prompt, options), limits);
  }

  /** Draws a request, such as the one in a picture. */
  async submit(request: GenerateRequest, limits: CallLimits = {}): Promise<Job> {
    return Job.accepted(generateCall(this.generations, request, limits));
  }

  /**
   * Draws a prompt as a job that the server keeps, so that a lost connection loses nothing. The call is repeated until it
   * is answered, under one `requestId`, so it creates one job.
   */
  async create(
    prompt: PromptLike,
    options: Options = {},
    jobOptions: Omit<MessageInitShape<typeof JobOptionsSchema>, "$typeName"> = {},
  ): Promise<Job> {
    const request = requestOf(prompt, options);
    request.requestId ||= randomId();
    const answer = await new Retry().ask(() => this.jobs.createJob({ request, options: jobOptions }));
    return this.watch(answer.job!.jobId);
  }

  /** Watches a kept job from its first event, or after the last known one, `Job.lastSequence`. */
  watch(jobId: string, afterSequence?: bigint): Job {
    return Job.watched(new WatchCall(this.jobs, jobId, afterSequence), jobId, afterSequence);
  }

  /** The state of a kept job. */
  async job(jobId: string): Promise<JobState> {
    return (await ask(() => this.jobs.getJob({ jobId }))).job!;
  }

  /** Kept jobs, the newest first. Pages are fetched as they are needed. */
  async *listJobs(
    filter?: Omit<MessageInitShape<typeof JobFilterSchema>, "$typeName">,
  ): AsyncGenerator<JobState, void, undefined> {
    let pageToken = "";
    let emptyPages = 0;
    for (;;) {
      const page = await ask(() => this.jobs.listJobs(filter === undefined ? { pageToken } : { filter, pageToken }));
      yield* page.jobs;
      emptyPages = page.jobs.length === 0 ? emptyPages + 1 : 0;
      // A search has empty pages. A server could send them, or the same token, for ever.
      if (emptyPages === EMPTY_PAGES_MAX || page.nextPageToken === "" || page.nextPageToken === pageToken) {
        return;
      }
      pageToken = page.nextPageToken;
    }
  }

  /** Adds and removes labels of a kept job, by which `JobFilter.labels` and `JobFilter.text` find it. */
  async label(jobId: string, change: { add?: string[]; remove?: string[] }): Promise<JobState> {
    return (await new Retry().ask(() => this.jobs.labelJob({ jobId, ...change }))).job!;
  }

  /** Cancels a kept job: at once if it waits, at its next step if it runs. */
  async cancel(jobId: string): Promise<JobState> {
    return (await new Retry().ask(() => this.jobs.cancelJob({ jobId }))).job!;
  }

  /** A picture of a completed job, as a PNG file; with `maxEdge`, a JPEG whose longer edge has at most so many pixels. */
  async artifact(jobId: string, imageIndex = 0, { maxEdge = 0 } = {}): Promise<Uint8Array> {
    return fetchArtifact(this.jobs, jobId, imageIndex, maxEdge);
  }

  /** Samples of the device while a job ran, for the newest jobs since the start of the server. */
  async telemetry(jobId: string): Promise<GetJobTelemetryResponse> {
    return ask(() => this.jobs.getJobTelemetry({ jobId }));
  }

  /** Deletes an ended job with its pictures. */
  async delete(jobId: string): Promise<void> {
    await ask(() => this.jobs.deleteJob({ jobId }));
  }

  /**
   * Uploads a picture (PNG, JPEG, WebP) or an adapter (safetensors). Requests name it: see `fromImage` and `uploadedAdapter`.
   * After a lost connection it continues where it was. A file that the server has as an asset of this client is not sent again.
   * Browsers cannot send a stream, so this is for Node.
   */
  async uploadAsset(file: Uint8Array): Promise<Asset> {
    return uploadAsset(this.assets, file);
  }

  /** Deletes an asset of this client. */
  async deleteAsset(sha256: string): Promise<void> {
    await ask(() => this.assets.deleteAsset({ sha256 }));
  }

  /** Version, device, limits and queue of the server. */
  async info(): Promise<GetServerInfoResponse> {
    return ask(() => this.system.getServerInfo({}));
  }

  /** The models of the server; the first is the default. */
  async models(): Promise<Model[]> {
    return (await ask(() => this.system.listModels({}))).models;
  }

  /** Samples of the device until the loop is left. */
  async *watchDevice(
    request: Omit<MessageInitShape<typeof WatchGpuStatsRequestSchema>, "$typeName"> = {},
  ): AsyncGenerator<GpuStats, void, undefined> {
    for await (const response of explained((signal) => this.system.watchGpuStats(request, { signal }))) {
      if (response.stats !== undefined) {
        yield response.stats;
      }
    }
  }

  /** What the server does and which processes hold the device's memory, until the loop is left. */
  async *watchActivity(
    request: Omit<MessageInitShape<typeof WatchActivityRequestSchema>, "$typeName"> = {},
  ): AsyncGenerator<Activity, void, undefined> {
    for await (const response of explained((signal) => this.system.watchActivity(request, { signal }))) {
      if (response.activity !== undefined) {
        yield response.activity;
      }
    }
  }
}

/** Adds the token to every call. */
export function authorization(token: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}

function promptOf(prompt: PromptLike): { case: "xml"; value: string } | { case: "typed"; value: Prompt } {
  return typeof prompt === "string" ? { case: "xml", value: prompt } : { case: "typed", value: prompt };
}

function requestOf(prompt: PromptLike, options: Options): GenerateRequest {
  return create(GenerateRequestSchema, { ...options, prompt: promptOf(prompt) });
}

async function ask<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw explain(error);
  }
}

async function* explained<T>(call: (signal: AbortSignal) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const end = new AbortController();
  try {
    yield* call(end.signal);
  } catch (error) {
    throw explain(error);
  } finally {
    end.abort();
  }
}

/** A random identifier; `crypto.randomUUID` is missing on pages without TLS. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
