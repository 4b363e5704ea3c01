import { Code, type Client as Stub } from "@connectrpc/connect";

import {
  ConnectionLost,
  DamagedPicture,
  ProtocolError,
  RequestRefused,
  type SakugaError,
  explain,
} from "./errors.js";
import type { GenerateEvent } from "./gen/sakuga/generation/v1/event_pb.js";
import type { GenerationService } from "./gen/sakuga/generation/v1/generation_service_pb.js";
import type { JobService, WatchJobResponse } from "./gen/sakuga/generation/v1/job_service_pb.js";
import type { GenerateRequest } from "./gen/sakuga/generation/v1/request_pb.js";
import type { Source } from "./job.js";
import { MAX_PICTURE_BYTES, Pieces } from "./pictures.js";

/** Together with the waits half a minute to a minute, longer than most servers take to restart. */
const MAX_ATTEMPTS = 12;
const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 10_000;

/** Waits between attempts, longer each time, and throws the error after the last. */
export class Retry {
  private failures = 0;

  /** Waits if another attempt can help, and otherwise throws the error. */
  async after(error: SakugaError): Promise<void> {
    this.failures += 1;
    const passes =
      error instanceof ConnectionLost || (error instanceof RequestRefused && error.code === Code.Unavailable);
    if (this.failures >= MAX_ATTEMPTS || !passes) {
      throw error;
    }
    // Jitter, so that not all clients of a restarted server reconnect at one moment.
    const wait = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.5 + Math.random() / 2);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }

  /** Resets the count of failures. */
  succeeded(): void {
    this.failures = 0;
  }

  /** A call that may be repeated until it is answered. */
  async ask<T>(call: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        await this.after(explain(error));
      }
    }
  }
}

/** Limits of one call. */
export interface CallLimits {
  /** Ends the call. */
  readonly signal?: AbortSignal;
  /** The deadline of everything up to the last picture, in milliseconds. */
  readonly timeoutMs?: number;
}

/** One call of `Generate`. The job ends with the call. */
export function generateCall(stub: Stub<typeof GenerationService>, request: GenerateRequest, limits: CallLimits): Source {
  const end = new AbortController();
  limits.signal?.addEventListener("abort", () => end.abort(limits.signal?.reason), { once: true });
  const options = limits.timeoutMs === undefined ? {} : { timeoutMs: limits.timeoutMs };
  const stream = stub.generate(request, { signal: end.signal, ...options })[Symbol.asyncIterator]();
  return {
    fetch: undefined,
    async receive(): Promise<GenerateEvent | undefined> {
      let result: Awaited<ReturnType<typeof stream.next>>;
      try {
        result = await stream.next();
      } catch (error) {
        throw explain(error);
      }
      if (result.done === true) {
        return undefined;
      }
      if (result.value.event === undefined) {
        throw new ProtocolError("a message has no event");
      }
      return result.value.event;
    },
    async cancel(): Promise<void> {
      end.abort();
    },
    close(): void {
      end.abort();
    },
  };
}

/** The events of a kept job after a known one. After a lost connection they continue, without loss or repetition. */
export class WatchCall implements Source {
  readonly fetch = (index: number): Promise<Uint8Array> => fetchArtifact(this.stub, this.jobId, index);
  private readonly retry = new Retry();
  private readonly end = new AbortController();
  private stream: AsyncIterator<WatchJobResponse> | undefined;

  constructor(
    private readonly stub: Stub<typeof JobService>,
    private readonly jobId: string,
    private after: bigint | undefined,
  ) {}

  async receive(): Promise<GenerateEvent | undefined> {
    while (!this.end.signal.aborted) {
      const request = this.after === undefined ? {} : { afterSequence: this.after };
      this.stream ??= this.stub
        .watchJob({ jobId: this.jobId, ...request }, { signal: this.end.signal })
        [Symbol.asyncIterator]();
      let result: IteratorResult<WatchJobResponse>;
      try {
        result = await this.stream.next();
      } catch (error) {
        this.stream = undefined;
        if (!this.end.signal.aborted) {
          await this.retry.after(explain(error));
        }
        continue;
      }
      if (result.done === true) {
        return undefined;
      }
      this.retry.succeeded();
      // The other messages say that the stream is open, or that the connection is alive.
      if (result.value.message.case === "event") {
        const event = result.value.message.value;
        this.after = event.sequence;
        return event;
      }
    }
    return undefined;
  }

  async cancel(): Promise<void> {
    await new Retry().ask(() => this.stub.cancelJob({ jobId: this.jobId }));
  }

  close(): void {
    this.end.abort();
  }
}

/** Reads a picture of a completed job, or a smaller version of it. After a lost connection it continues at the next byte. */
export async function fetchArtifact(
  stub: Stub<typeof JobService>,
  jobId: string,
  imageIndex: number,
  maxEdge = 0,
): Promise<Uint8Array> {
  const retry = new Retry();
  let pieces: Pieces | undefined;
  while (pieces === undefined || pieces.received < pieces.total) {
    try {
      const offset = BigInt(pieces?.received ?? 0);
      for await (const { chunk } of stub.getArtifact({ jobId, imageIndex, offset, maxEdge })) {
        if (chunk === undefined || chunk.totalSize > BigInt(MAX_PICTURE_BYTES)) {
          throw new DamagedPicture(imageIndex, `the server sent more than the ${MAX_PICTURE_BYTES} bytes allowed`);
        }
        pieces ??= new Pieces(imageIndex, Number(chunk.totalSize));
        pieces.add(chunk);
        retry.succeeded();
      }
    } catch (error) {
      await retry.after(explain(error));
      continue;
    }
    if (pieces === undefined || pieces.received !== pieces.total) {
      throw new ProtocolError(`picture ${imageIndex} ended after ${pieces?.received ?? 0} bytes`);
    }
  }
  return pieces.bytes();
}
