//! What a gateway asks a worker, and the answer. Both are protobuf messages, so that gateways and workers of different versions
//! understand each other.

use bytes::Bytes;
use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_proto::internal::store::v1::JobRecord;
use tonic_types::pb;

/// The path of the question that creates a job: the message is a `CreateJobRequest`, the answer a [`NewJob`].
pub(super) const DESCRIBE: &str = "describe";

/// The calls that a worker answers for a gateway.
pub(super) const FORWARDED: [&str; 9] = [
    "/sakuga.generation.v1.GenerationService/Estimate",
    "/sakuga.model.v1.ModelService/ListAdapters",
    "/sakuga.model.v1.ModelService/ListModels",
    "/sakuga.prompt.v1.PromptService/FormatPrompt",
    "/sakuga.prompt.v1.PromptService/GetSchema",
    "/sakuga.prompt.v1.PromptService/ParsePrompt",
    "/sakuga.prompt.v1.PromptService/ValidatePrompt",
    "/sakuga.system.v1.SystemService/GetServerInfo",
    "/sakuga.system.v1.SystemService/ListModels",
];

/// What a gateway asks.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Question {
    /// The path of a call, or [`DESCRIBE`].
    #[prost(string, tag = "1")]
    pub(super) path: String,
    /// The message of the call.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) message: Bytes,
    /// The client's name.
    #[prost(string, tag = "3")]
    pub(super) client: String,
    /// The owner of what the call creates.
    #[prost(string, tag = "4")]
    pub(super) owner: String,
    /// For [`DESCRIBE`]: the id of the new job.
    #[prost(string, tag = "5")]
    pub(super) job_id: String,
}

/// What a worker answers.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    /// Why the call is refused; absent if it is not.
    #[prost(message, optional, tag = "1")]
    pub(super) refusal: Option<pb::Status>,
    /// The message of the answer.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) message: Bytes,
}

/// A job as the single server would have stored it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NewJob {
    /// Its record after its first event.
    #[prost(message, optional, tag = "1")]
    pub(super) record: Option<JobRecord>,
    /// Its first event.
    #[prost(message, optional, tag = "2")]
    pub(super) accepted: Option<GenerateEvent>,
    /// Whether files came within the request.
    #[prost(bool, tag = "3")]
    pub(super) has_files: bool,
}
