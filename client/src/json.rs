//! Canonical protobuf JSON of the messages, through the descriptors that the contract ships.
//!
//! Names are in lowerCamelCase and 64-bit integers are strings, as the protobuf specification has it, so that any
//! protobuf library reads what is written here and the other way round.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use sakuga_proto::generation::v1::{GenerateEvent, GenerateRequest, ImageMetadata, Job, Profile};
use sakuga_proto::system::v1::{GetServerInfoResponse, GpuStats, ListModelsResponse};

/// Why a message could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The descriptors that were compiled in do not hold the message. A test makes sure that they do.
    #[error("the message `{0}` is not described")]
    NotDescribed(&'static str),
    /// The message does not have the shape that its descriptor says.
    #[error("the message does not fit its description: {0}")]
    Message(#[from] prost::DecodeError),
    /// The JSON is not well formed, or not of this message.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// What to do with fields that the message does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownFields {
    /// Fail: something that matters could be lost.
    Refuse,
    /// Leave them out.
    Ignore,
}

/// A message with its description: it serialises through serde as canonical protobuf JSON.
pub type Message = DynamicMessage;

/// A message with a name that the descriptors know.
pub trait Described: prost::Message + Default {
    /// The full name, such as `sakuga.generation.v1.GenerateEvent`.
    const FULL_NAME: &'static str;
}

macro_rules! described {
    ($($message:ty => $name:literal),* $(,)?) => {
        $(impl Described for $message {
            const FULL_NAME: &'static str = $name;
        })*

        #[cfg(test)]
        const DESCRIBED: &[&str] = &[$($name),*];
    };
}

described! {
    GenerateEvent => "sakuga.generation.v1.GenerateEvent",
    GenerateRequest => "sakuga.generation.v1.GenerateRequest",
    Job => "sakuga.generation.v1.Job",
    Profile => "sakuga.generation.v1.Profile",
    ImageMetadata => "sakuga.generation.v1.ImageMetadata",
    GetServerInfoResponse => "sakuga.system.v1.GetServerInfoResponse",
    GpuStats => "sakuga.system.v1.GpuStats",
    ListModelsResponse => "sakuga.system.v1.ListModelsResponse",
}

/// The descriptors of the API, and of the standard error details that a `google.rpc.Status` can carry.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    // What cannot be added is missing, and a message that needs it says so.
    let _ = pool.decode_file_descriptor_set(sakuga_proto::FILE_DESCRIPTOR_SET);
    if let Ok(mut details) = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET) {
        // The status itself and the well-known types are in both sets, under names that differ.
        let is_known = |file: &FileDescriptorProto| {
            file.message_type
                .iter()
                .any(|message| pool.get_message_by_name(&format!("{}.{}", file.package(), message.name())).is_some())
        };
        details.file.retain(|file| !is_known(file));
        let _ = pool.add_file_descriptor_set(details);
    }
    pool
});

/// A message that serialises as canonical protobuf JSON.
///
/// # Errors
///
/// [`JsonError::NotDescribed`]; never for the messages of this crate.
pub fn dynamic<M: Described>(message: &M) -> Result<Message, JsonError> {
    Ok(Message::decode(descriptor::<M>()?, message.encode_to_vec().as_slice())?)
}

/// The message as canonical protobuf JSON on one line.
///
/// # Errors
///
/// [`JsonError::Json`] if it holds a `google.protobuf.Any` of a type that is not described.
pub fn to_string<M: Described>(message: &M) -> Result<String, JsonError> {
    Ok(serde_json::to_string(&dynamic(message)?)?)
}

/// The message of canonical protobuf JSON.
///
/// # Errors
///
/// [`JsonError::Json`] with line and column.
pub fn from_str<M: Described>(json: &str, unknown_fields: UnknownFields) -> Result<M, JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let options = DeserializeOptions::new().deny_unknown_fields(unknown_fields == UnknownFields::Refuse);
    let message = Message::deserialize_with_options(descriptor::<M>()?, &mut deserializer, &options)?;
    deserializer.end()?;
    Ok(message.transcode_to()?)
}

fn descriptor<M: Described>() -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(M::FULL_NAME).ok_or(JsonError::NotDescribed(M::FULL_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_proto::generation::v1::{Sampling, generate_event};
    use tonic_types::{ErrorDetails, StatusExt};

    #[test]
    fn every_message_is_described() {
        for name in DESCRIBED {
            assert!(POOL.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn messages_survive_json() {
        let request = GenerateRequest {
            seed: Some(u64::MAX),
            sampling: Some(Sampling { guidance_scale: Some(5.1), ..Sampling::default() }),
            ..GenerateRequest::default()
        };
        let json = to_string(&request).unwrap();
        assert_eq!(json, r#"{"sampling":{"guidanceScale":5.1},"seed":"18446744073709551615"}"#);
        assert_eq!(from_str::<GenerateRequest>(&json, UnknownFields::Refuse).unwrap(), request);
    }

    #[test]
    fn unknown_fields_are_refused_or_ignored() {
        let json = r#"{"seed":"1","mood":"blue"}"#;
        let error = from_str::<GenerateRequest>(json, UnknownFields::Refuse).unwrap_err().to_string();
        assert!(error.contains("mood"), "{error}");
        assert_eq!(from_str::<GenerateRequest>(json, UnknownFields::Ignore).unwrap().seed, Some(1));
    }

    #[test]
    fn error_details_are_written_out() {
        let status = tonic::Status::with_error_details(
            tonic::Code::InvalidArgument,
            "no",
            ErrorDetails::with_bad_request_violation("width", "not a multiple of 16"),
        );
        let failed = <tonic_types::pb::Status as prost::Message>::decode(status.details()).unwrap();
        let event = GenerateEvent { event: Some(generate_event::Event::Failed(failed)), ..GenerateEvent::default() };
        let json = to_string(&event).unwrap();
        assert!(json.contains("not a multiple of 16"), "{json}");
    }
}
