import { JobCancelled, JobFailed, ProtocolError, RequestRefused, failed } from "./errors.js";
import type { GenerateEvent } from "./gen/sakuga/generation/v1/event_pb.js";
import { Assembler, type Picture } from "./pictures.js";

/** The events of one job. */
export interface Source {
  /** The next event; `undefined` at the end. */
  receive(): Promise<GenerateEvent | undefined>;
  /** Asks for the end of the job. */
  cancel(): Promise<void>;
  /** Ends the stream. */
  close(): void;
  /** Reads a finished picture, if the server keeps the job. */
  readonly fetch: ((index: number) => Promise<Uint8Array>) | undefined;
}

/**
 * The running job of one request: an async iterable of its events that ends after the terminal one.
 *
 * Closing it before the end cancels a job of `Client.generate`. A job of `Client.create` continues, and `Client.watch`
 * finds it again. Leaving a `for await` does not close it.
 */
export class Job implements AsyncIterable<GenerateEvent> {
  /** How many previews and statistics the server dropped because this side read too slowly. */
  missedEvents = 0n;
  /** The number of the last event, after which `Client.watch` can continue. */
  lastSequence: bigint | undefined;

  private next: bigint;
  private assembler = new Assembler();
  private finished: Picture[] | undefined;
  private failure: Error | undefined;
  private pending: GenerateEvent | undefined;

  private constructor(
    private readonly source: Source,
    /** The identifier of the job. */
    readonly id: string,
    after: bigint | undefined,
  ) {
    this.next = after === undefined ? 0n : after + 1n;
  }

  /** Reads the first event, so that a refusal is an error of the call. */
  static async accepted(source: Source): Promise<Job> {
    const first = await source.receive();
    if (first === undefined) {
      throw new ProtocolError("the stream ended before the request was accepted");
    }
    const job = new Job(source, first.jobId, undefined);
    job.pending = first;
    return job;
  }

  /** The job of this identifier, after this event. */
  static watched(source: Source, id: string, after: bigint | undefined): Job {
    return new Job(source, id, after);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<GenerateEvent, void, undefined> {
    let event: GenerateEvent | undefined;
    while ((event = await this.receive()) !== undefined) {
      yield event;
    }
  }

  /**
   * Waits for the finished pictures and skips the events until then. Throws `JobCancelled` if the job was cancelled, and
   * otherwise the error that ended it.
   */
  async pictures(): Promise<readonly Picture[]> {
    for await (const _ of this);
    if (this.finished === undefined) {
      throw this.failure ?? new ProtocolError("the stream was closed before the end of the job");
    }
    return this.finished;
  }

  /** Waits for the first finished picture. */
  async picture(): Promise<Picture> {
    return (await this.pictures())[0]!;
  }

  /** Cancels the job: at once if it waits, at its next step if it runs. */
  async cancel(): Promise<void> {
    if (this.finished === undefined && this.failure === undefined) {
      await this.source.cancel();
    }
  }

  /** Closes the stream. */
  close(): void {
    this.source.close();
  }

  private async receive(): Promise<GenerateEvent | undefined> {
    if (this.finished !== undefined || this.failure instanceof JobCancelled) {
      return undefined;
    }
    if (this.failure !== undefined) {
      throw this.failure;
    }
    try {
      const event = this.pending ?? (await this.source.receive());
      this.pending = undefined;
      if (event === undefined) {
        throw new ProtocolError("the stream ended without a terminal event");
      }
      await this.read(event);
      this.lastSequence = event.sequence;
      return event;
    } catch (error) {
      // After the acceptance an error is a failure of the job and not a refusal.
      const isRefusal = error instanceof RequestRefused && this.next > 0n;
      this.failure = isRefusal ? new JobFailed(error.status) : (error as Error);
      this.source.close();
      throw this.failure;
    }
  }

  private async read(message: GenerateEvent): Promise<void> {
    if (message.sequence < this.next) {
      throw new ProtocolError(`event ${message.sequence} came after event ${this.next - 1n}`);
    }
    this.missedEvents += message.sequence - this.next;
    this.next = message.sequence + 1n;
    const event = message.event;
    switch (event.case) {
      case "imageChunk":
        return this.assembler.add(event.value, this.source.fetch !== undefined);
      case "requeued":
        // The job starts again, so earlier pieces of pictures are void.
        this.assembler = new Assembler();
        return;
      case "completed":
        this.finished = await this.assembler.finish(event.value.images, this.source.fetch);
        return;
      case "failed":
        throw failed(event.value);
      case "cancelled":
        this.failure = new JobCancelled(event.value.atStep, event.value.reason);
        return;
    }
  }
}
