import type { Message } from "@bufbuild/protobuf";
import type { GenMessage } from "@bufbuild/protobuf/codegenv2";
import { type Duration, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { Status as WireStatus } from "./gen/google/rpc/status_pb.js";
import { CancelReason } from "./gen/sakuga/generation/v1/event_pb.js";

/** Base class of the errors of this package. */
export class SakugaError extends Error {
  override name = "SakugaError";
}

/** The address of the server, or a token, cannot be used. Nothing was sent. */
export class AddressError extends SakugaError {
  override name = "AddressError";
}

/** The server cannot be reached, or the connection broke while a call was running. */
export class ConnectionLost extends SakugaError {
  override name = "ConnectionLost";
}

/** The deadline that the caller set passed. */
export class DeadlineExceeded extends SakugaError {
  override name = "DeadlineExceeded";
}

/** The server broke its own protocol. */
export class ProtocolError extends SakugaError {
  override name = "ProtocolError";
}

/** A picture arrived, but not as the server sent it. */
export class DamagedPicture extends SakugaError {
  override name = "DamagedPicture";

  constructor(
    readonly imageIndex: number,
    reason: string,
  ) {
    super(`picture ${imageIndex} is damaged: ${reason}`);
  }
}

/** There is no picture because the job was cancelled. */
export class JobCancelled extends SakugaError {
  override name = "JobCancelled";

  constructor(
    readonly atStep: number,
    readonly reason: CancelReason,
  ) {
    super(`the job was cancelled after ${atStep} steps: ${CancelReason[reason] ?? "UNKNOWN"}`);
  }
}

/** One field of a request that is wrong. */
export interface Violation {
  /** The field, such as `sampling.steps`, or a place in the prompt, such as `character_2/appearance`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
  /** The rule that it breaks, such as `unknown-element`. It may be empty. */
  readonly reason: string;
}

/** What a server says of an error: a `google.rpc.Status` with its standard details decoded. */
export interface Status {
  readonly code: Code;
  readonly message: string;
  /** What is wrong field by field (`BadRequest`). */
  readonly violations: readonly Violation[];
  /** The reason as a constant of `domain` (`ErrorInfo`), such as `QUEUE_FULL`. */
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  /** Further facts (`ErrorInfo`), by name. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long to wait before the next try, in milliseconds (`RetryInfo`). */
  readonly retryAfterMs: number | undefined;
}

/** An error of the server. */
export class ServerError extends SakugaError {
  override name = "ServerError";

  constructor(readonly status: Status) {
    const lines = status.violations.map((found) => `\n  ${found.field || "prompt"}: ${found.description}`);
    super(`${status.message} (${Code[status.code]})${lines.join("")}`);
  }

  get code(): Code {
    return this.status.code;
  }

  get reason(): string | undefined {
    return this.status.reason;
  }

  get violations(): readonly Violation[] {
    return this.status.violations;
  }

  get retryAfterMs(): number | undefined {
    return this.status.retryAfterMs;
  }
}

/** The server refused the request. */
export class RequestRefused extends ServerError {
  override name = "RequestRefused";
}

/** The server accepted the request and could not carry it out. */
export class JobFailed extends ServerError {
  override name = "JobFailed";
}

/** The error of a failed call: one of the server, or of the connection. */
export function explain(error: unknown): SakugaError {
  if (error instanceof SakugaError) {
    return error;
  }
  const failure = ConnectError.from(error);
  const status = read(failure.code, failure.rawMessage, (schema) => failure.findDetails(schema)[0]);
  if (status.reason !== undefined) {
    return new RequestRefused(status);
  }
  // Every refusal of the server has an ErrorInfo; what has none comes from the connection, or from a proxy on the way.
  switch (failure.code) {
    case Code.DeadlineExceeded:
      return new DeadlineExceeded("the deadline of the call passed", { cause: error });
    case Code.Unavailable:
    case Code.Aborted:
    case Code.Unknown:
    case Code.Internal:
    case Code.Canceled:
      return new ConnectionLost(`no connection: ${failure.rawMessage}`, { cause: error });
    default:
      return new RequestRefused(status);
  }
}

/** The error of a job that ended with this status. */
export function failed(status: WireStatus): JobFailed {
  const unpacked = <T extends Message>(schema: GenMessage<T>): T | undefined => {
    for (const detail of status.details) {
      const message = anyUnpack(detail, schema);
      if (message !== undefined) {
        return message;
      }
    }
    return undefined;
  };
  return new JobFailed(read(status.code, status.message, unpacked));
}

function read(code: Code, message: string, detail: <T extends Message>(schema: GenMessage<T>) => T | undefined): Status {
  const info = detail(ErrorInfoSchema);
  const delay: Duration | undefined = detail(RetryInfoSchema)?.retryDelay;
  return {
    code,
    message,
    violations: (detail(BadRequestSchema)?.fieldViolations ?? []).map(({ field, description, reason }) => ({
      field,
      description,
      reason,
    })),
    reason: info?.reason || undefined,
    domain: info?.domain || undefined,
    metadata: info?.metadata ?? {},
    retryAfterMs: delay === undefined ? undefined : durationMs(delay),
  };
}
