//! Converts errors to gRPC statuses: one match determines code, reason and details of every [`ServerError`]. Refusals of
//! authentication and quotas are in [`crate::auth::refusal`].
//!
//! Details are sent in HTTP/2 headers. Many implementations accept 8 KiB of headers, which leaves [`DETAILS_BYTES_MAX`] after base64.

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use prost_types::Any;
use sakuga_model_core::{EngineError, SmallerRequest, truncated};
use tonic::{Code, Status};
use tonic_types::pb;

use crate::assets::AssetError;
use crate::error::{ServerError, Violation};
use crate::grpc::ERROR_DOMAIN;
use crate::store::StoreError;

/// Most violations in one status; ValidatePrompt has them all.
pub(crate) const VIOLATIONS_MAX: usize = 20;
/// Most bytes of a status with its details.
pub(crate) const DETAILS_BYTES_MAX: usize = 6 * 1024;
/// Most bytes of the message and of each description.
const TEXT_BYTES_MAX: usize = 480;
/// When to try again after the engine was lost: it is being opened meanwhile.
const REOPEN_RETRY: Duration = Duration::from_secs(10);
/// When to try again after the memory limit of images was reached.
const IMAGES_RETRY: Duration = Duration::from_secs(5);
/// When to try again after jobs could not be stored.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// The error as a gRPC status with details.
pub(crate) fn to_status(error: &ServerError) -> Status {
    let rpc = to_rpc(error);
    let details = rpc.encode_to_vec().into();
    Status::with_details(Code::from_i32(rpc.code), rpc.message, details)
}

/// The error as `google.rpc.Status`, for the event `failed`.
pub(crate) fn to_rpc(error: &ServerError) -> pb::Status {
    let (code, reason, retry_after) = classify(error);
    let mut metadata = HashMap::new();
    let mut violations: &[Violation] = &[];
    match error {
        ServerError::InvalidRequest(found) => {
            metadata.insert("violations".into(), found.len().to_string());
            violations = found;
        }
        ServerError::UnknownModel { field, known, .. } => {
            metadata.insert("field".into(), (*field).into());
            metadata.insert("models".into(), cut(&known.join(",")));
        }
        ServerError::UnknownDevice { known, .. } => {
            metadata.insert("devices".into(), cut(&known.join(",")));
        }
        ServerError::ModelUnusable { model, .. } => {
            metadata.insert("model".into(), cut(model));
        }
        ServerError::QueueFull { waiting, .. } => {
            metadata.insert("waiting".into(), waiting.to_string());
        }
        ServerError::TooManyStreams { limit } => {
            metadata.insert("limit".into(), limit.to_string());
        }
        ServerError::ClientJobs { jobs, .. } => {
            metadata.insert("jobs".into(), jobs.to_string());
        }
        ServerError::ClientRate { rate, .. } => {
            metadata.insert("jobs_per_minute".into(), rate.to_string());
        }
        ServerError::Memory { needed, limit } => {
            metadata.insert("needed_bytes".into(), needed.to_string());
            metadata.insert("limit_bytes".into(), limit.to_string());
        }
        ServerError::OutOfMemory { shortage, needed, smaller } => {
            metadata.insert("needed_bytes".into(), needed.to_string());
            metadata.extend(shortage.requested_bytes.map(|bytes| ("allocation_bytes".into(), bytes.to_string())));
            if let Some(SmallerRequest { images, width_px, height_px }) = smaller {
                metadata.insert("try_images".into(), images.to_string());
                metadata.insert("try_width".into(), width_px.to_string());
                metadata.insert("try_height".into(), height_px.to_string());
            }
        }
        ServerError::DeadlineTooShort { needed, given } => {
            metadata.insert("needed_ms".into(), needed.as_millis().to_string());
            metadata.insert("given_ms".into(), given.as_millis().to_string());
        }
        ServerError::NameTaken { job_id, .. }
        | ServerError::NotEnded(job_id)
        | ServerError::NoTelemetry(job_id)
        | ServerError::NoPicture { job_id, .. } => {
            metadata.insert("job_id".into(), cut(job_id));
        }
        ServerError::SequenceRange { oldest, next, .. } => {
            metadata.insert("oldest_sequence".into(), oldest.to_string());
            metadata.insert("next_sequence".into(), next.to_string());
        }
        ServerError::Interrupted { attempts } => {
            metadata.insert("attempts".into(), attempts.to_string());
        }
        ServerError::Asset(error) => asset_facts(error, &mut metadata),
        ServerError::UnknownJob(_)
        | ServerError::Cancelled(_)
        | ServerError::Store(_)
        | ServerError::ShuttingDown
        | ServerError::EngineUnavailable(_)
        | ServerError::ImagesFull
        | ServerError::Engine(_)
        | ServerError::Internal(_) => {}
        #[cfg(feature = "fleet")]
        ServerError::NotInFleet { .. } => {}
    }
    let info = pb::ErrorInfo { reason: reason.into(), domain: ERROR_DOMAIN.into(), metadata };
    let mut status = pb::Status { code: code as i32, message: cut(&error.to_string()), details: Vec::new() };
    status.details.push(any("google.rpc.ErrorInfo", &info));
    if let Some(retry_after) = retry_after {
        let retry_delay = prost_types::Duration::try_from(retry_after).ok();
        status.details.push(any("google.rpc.RetryInfo", &pb::RetryInfo { retry_delay }));
    }
    if !violations.is_empty() {
        let left = DETAILS_BYTES_MAX.saturating_sub(status.encoded_len());
        status.details.push(bad_request(violations, left));
    }
    status
}

/// The facts of a refusal of assets.
fn asset_facts(error: &AssetError, facts: &mut HashMap<String, String>) {
    let mut state = |name: &str, value: String| _ = facts.insert(name.into(), value);
    match error {
        AssetError::Offset { offset, size } => {
            state("offset", offset.to_string());
            state("size", size.to_string());
        }
        AssetError::Quota { used, quota, .. } => {
            state("used_bytes", used.to_string());
            state("quota_bytes", quota.to_string());
        }
        AssetError::TooManyAssets { limit } | AssetError::TooManyUploads { limit } => state("limit", limit.to_string()),
        AssetError::Idle { limit, offset } => {
            state("limit_ms", limit.as_millis().to_string());
            state("offset", offset.to_string());
        }
        AssetError::HashMismatch { found, .. } => state("sha256", found.to_string()),
        AssetError::Unknown(_)
        | AssetError::Superseded
        | AssetError::TooLong { .. }
        | AssetError::OtherSize { .. }
        | AssetError::Unusable(_)
        | AssetError::Store(_) => {}
    }
}

/// The reason in `ErrorInfo`.
#[cfg(feature = "otlp")]
pub(crate) fn reason(error: &ServerError) -> &'static str {
    classify(error).1
}

/// Code, reason and, where trying again helps, when.
fn classify(error: &ServerError) -> (Code, &'static str, Option<Duration>) {
    match error {
        ServerError::InvalidRequest(_) => (Code::InvalidArgument, "INVALID_REQUEST", None),
        ServerError::UnknownModel { .. } => (Code::NotFound, "MODEL_NOT_FOUND", None),
        ServerError::UnknownDevice { .. } => (Code::NotFound, "DEVICE_NOT_FOUND", None),
        ServerError::ModelUnusable { .. } => (Code::FailedPrecondition, "MODEL_UNUSABLE", None),
        ServerError::QueueFull { retry_after, .. } => (Code::ResourceExhausted, "QUEUE_FULL", Some(*retry_after)),
        ServerError::ImagesFull => (Code::ResourceExhausted, "IMAGES_FULL", Some(IMAGES_RETRY)),
        ServerError::TooManyStreams { .. } => {
            (Code::ResourceExhausted, "TOO_MANY_STREAMS", Some(Duration::from_secs(1)))
        }
        ServerError::ClientJobs { retry_after, .. } => (Code::ResourceExhausted, "CLIENT_JOBS", Some(*retry_after)),
        ServerError::ClientRate { retry_after, .. } => (Code::ResourceExhausted, "CLIENT_RATE", Some(*retry_after)),
        ServerError::Memory { .. } => (Code::FailedPrecondition, "NOT_ENOUGH_MEMORY", None),
        ServerError::OutOfMemory { .. } | ServerError::Engine(EngineError::OutOfMemory(_)) => {
            (Code::ResourceExhausted, "DEVICE_OUT_OF_MEMORY", None)
        }
        ServerError::DeadlineTooShort { .. } => (Code::DeadlineExceeded, "DEADLINE_TOO_SHORT", None),
        ServerError::NameTaken { .. } => (Code::AlreadyExists, "REQUEST_ID_TAKEN", None),
        ServerError::UnknownJob(_) => (Code::NotFound, "JOB_NOT_FOUND", None),
        ServerError::NoPicture { .. } => (Code::NotFound, "PICTURE_NOT_FOUND", None),
        ServerError::NoTelemetry(_) => (Code::NotFound, "TELEMETRY_NOT_KEPT", None),
        ServerError::SequenceRange { .. } => (Code::OutOfRange, "SEQUENCE_NOT_KEPT", None),
        ServerError::Cancelled(_) => (Code::Cancelled, "JOB_CANCELLED", None),
        ServerError::NotEnded(_) => (Code::FailedPrecondition, "JOB_NOT_ENDED", None),
        ServerError::Interrupted { .. } => (Code::Aborted, "INTERRUPTED_TOO_OFTEN", None),
        ServerError::Asset(AssetError::Unknown(_)) => (Code::NotFound, "ASSET_NOT_FOUND", None),
        ServerError::Asset(AssetError::Offset { .. }) => (Code::OutOfRange, "UPLOAD_OFFSET", None),
        ServerError::Asset(AssetError::Quota { .. }) => (Code::ResourceExhausted, "ASSET_QUOTA", None),
        ServerError::Asset(AssetError::TooManyAssets { .. }) => (Code::ResourceExhausted, "TOO_MANY_ASSETS", None),
        ServerError::Asset(AssetError::TooManyUploads { .. }) => {
            (Code::ResourceExhausted, "TOO_MANY_UPLOADS", Some(Duration::from_secs(1)))
        }
        ServerError::Asset(AssetError::Idle { .. }) => (Code::DeadlineExceeded, "UPLOAD_IDLE", None),
        ServerError::Asset(AssetError::Superseded) => (Code::Aborted, "UPLOAD_SUPERSEDED", None),
        ServerError::Asset(AssetError::HashMismatch { .. }) => (Code::InvalidArgument, "ASSET_HASH_MISMATCH", None),
        ServerError::Asset(AssetError::Unusable(_)) => (Code::InvalidArgument, "ASSET_UNUSABLE", None),
        // Errors of the store and of single fields are other variants.
        ServerError::Asset(AssetError::TooLong { .. } | AssetError::OtherSize { .. }) => {
            (Code::InvalidArgument, "INVALID_REQUEST", None)
        }
        ServerError::Asset(AssetError::Store(_)) => (Code::Unavailable, "STORE_UNAVAILABLE", Some(STORE_RETRY)),
        ServerError::Store(StoreError::Full(_)) => (Code::ResourceExhausted, "DISK_FULL", Some(STORE_RETRY)),
        ServerError::Store(StoreError::Exhausted(_)) => (Code::ResourceExhausted, "HOST_EXHAUSTED", Some(STORE_RETRY)),
        ServerError::Store(StoreError::Damaged(_)) => (Code::DataLoss, "DATA_LOST", None),
        ServerError::Store(StoreError::Corrupt(_)) => (Code::Unavailable, "STORE_DAMAGED", None),
        ServerError::Store(_) => (Code::Unavailable, "STORE_UNAVAILABLE", Some(STORE_RETRY)),
        ServerError::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN", None),
        ServerError::EngineUnavailable(_) => (Code::Unavailable, "ENGINE_UNAVAILABLE", Some(REOPEN_RETRY)),
        ServerError::Engine(EngineError::DeviceLost(_)) => (Code::Unavailable, "DEVICE_LOST", Some(REOPEN_RETRY)),
        ServerError::Engine(EngineError::Device(_)) => (Code::FailedPrecondition, "NO_DEVICE", None),
        ServerError::Engine(EngineError::Model(_)) => (Code::FailedPrecondition, "MODEL_UNUSABLE", None),
        ServerError::Engine(EngineError::NotFinite { .. }) => (Code::Internal, "NOT_FINITE", None),
        ServerError::Engine(EngineError::Failed(_) | EngineError::Spec(_)) => (Code::Internal, "ENGINE_FAILED", None),
        ServerError::Engine(EngineError::Hung(_)) => (Code::Unavailable, "ENGINE_HUNG", Some(REOPEN_RETRY)),
        ServerError::Engine(EngineError::Panicked(_)) => (Code::Internal, "ENGINE_PANICKED", None),
        #[cfg(feature = "fleet")]
        ServerError::NotInFleet { .. } => (Code::Unimplemented, "NOT_IN_FLEET", None),
        ServerError::Internal(_) => (Code::Internal, "INTERNAL", None),
    }
}

/// The first violations, as many as are allowed and fit.
fn bad_request(violations: &[Violation], bytes_max: usize) -> Any {
    let mut details = pb::BadRequest::default();
    for violation in violations.iter().take(VIOLATIONS_MAX) {
        details.field_violations.push(pb::bad_request::FieldViolation {
            field: cut(&violation.field),
            description: cut(&violation.description),
            reason: violation.reason.into(),
            localized_message: None,
        });
        let packed = any("google.rpc.BadRequest", &details);
        // Tag and length of the detail itself.
        if packed.encoded_len() + 4 > bytes_max {
            details.field_violations.pop();
            break;
        }
    }
    any("google.rpc.BadRequest", &details)
}

fn any(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: message.encode_to_vec() }
}

fn cut(text: &str) -> String {
    truncated(text, TEXT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tonic_types::StatusExt as _;

    use super::*;

    #[test]
    fn many_long_violations_fit_into_the_headers() {
        let violations: Vec<Violation> = (0..100)
            .map(|number| Violation::new(format!("character_{number}/appearance"), "unknown-element", "é".repeat(5000)))
            .collect();
        let status = to_status(&ServerError::InvalidRequest(violations));
        assert!(status.details().len() <= DETAILS_BYTES_MAX, "{}", status.details().len());
        let sent = status.get_details_bad_request().expect("decodes").field_violations;
        assert!((5..=VIOLATIONS_MAX).contains(&sent.len()), "{}", sent.len());
        let info = status.get_details_error_info().expect("decodes");
        assert_eq!(info.metadata["violations"], "100");
    }

    /// `ALREADY_EXISTS` for `AlreadyExists`.
    fn wire_name(code: &str) -> String {
        code.char_indices().fold(String::new(), |mut name, (place, letter)| {
            if place > 0 && letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
            name
        })
    }

    #[test]
    fn the_table_lists_every_reason_with_its_code_and_no_other() {
        let table = include_str!("../../../proto/ERRORS.md");
        let listed: BTreeSet<(String, String)> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
            .map(|(reason, rest)| (reason.into(), rest.split(" |").next().unwrap_or_default().into()))
            .collect();
        let code = |file: &'static str| file.split("mod tests").next().expect("the code before the tests");
        let stated: BTreeSet<(String, String)> =
            [include_str!("status.rs"), include_str!("../auth/refusal.rs"), include_str!("../transport/refusal.rs")]
                .into_iter()
                .flat_map(|file| code(file).split("(Code::"))
                .filter_map(|text| text.split_once(", \"")?.0.chars().all(char::is_alphanumeric).then_some(text))
                .filter_map(|text| {
                    let (code, rest) = text.split_once(", \"")?;
                    Some((rest.split('"').next()?.into(), wire_name(code)))
                })
                .collect();
        assert!(stated.len() > 20, "{stated:?}");
        assert_eq!(listed, stated);
    }

    #[test]
    fn at_most_twenty_short_violations_are_sent() {
        let violations = (0..30).map(|number| Violation::new(format!("f{number}"), "required", "x")).collect();
        let status = to_status(&ServerError::InvalidRequest(violations));
        let sent = status.get_details_bad_request().expect("decodes").field_violations;
        assert_eq!(sent.len(), VIOLATIONS_MAX);
        assert_eq!((sent[0].field.as_str(), sent[0].description.as_str()), ("f0", "x"));
        assert_eq!(status.code(), Code::InvalidArgument);
    }

    #[test]
    fn a_full_queue_says_when_to_come_again() {
        let status = to_status(&ServerError::QueueFull { waiting: 3, retry_after: Duration::from_secs(7) });
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.get_details_retry_info().expect("decodes").retry_delay, Some(Duration::from_secs(7)));
        let info = status.get_details_error_info().expect("decodes");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("QUEUE_FULL", ERROR_DOMAIN));
    }
}
