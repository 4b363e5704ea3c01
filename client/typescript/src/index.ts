/**
 * Client of Sakuga: anime pictures from structured prompts. `connect` of `sakuga/node` or `sakuga/web` makes a `Client`.
 */
export { type ImageLike, type Inpainting, fromImage, uploadedAdapter } from "./assets.js";
export { Client, type Options, type PromptLike } from "./client.js";
export {
  AddressError,
  ConnectionLost,
  DamagedPicture,
  DeadlineExceeded,
  JobCancelled,
  JobFailed,
  ProtocolError,
  RequestRefused,
  SakugaError,
  ServerError,
  type Status,
  type Violation,
} from "./errors.js";
export { Job } from "./job.js";
export type { Picture } from "./pictures.js";
export type { CallLimits } from "./watch.js";
export type { Asset } from "./gen/sakuga/asset/v1/asset_service_pb.js";
export { CancelReason, type GenerateEvent, Stage } from "./gen/sakuga/generation/v1/event_pb.js";
export { JobState, Placement, Priority } from "./gen/sakuga/generation/v1/job_pb.js";
export {
  type GenerateRequest,
  ImageFormat,
  NoiseSchedule,
  PreviewMethod,
  Solver,
} from "./gen/sakuga/generation/v1/request_pb.js";
export { type Diagnostic, Severity } from "./gen/sakuga/prompt/v1/diagnostic_pb.js";
export { Gender, type Prompt, PromptSchema } from "./gen/sakuga/prompt/v1/prompt_pb.js";
