//! Canonical protobuf JSON of the messages, through the descriptors that this crate carries.
//!
//! Names are in lowerCamelCase and 64-bit integers are strings, as the protobuf specification says. Any protobuf library
//! reads what is written here, and the reverse.

use std::borrow::Cow;
use std::sync::LazyLock;

use prost::Name;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor};
/// Why a message could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// The compiled-in descriptors lack the message. Impossible for the messages of this crate, which a test checks.
    #[error("there is no descriptor of the message `{0}`")]
    NotDescribed(String),
    /// The message does not have the shape of its descriptor.
    #[error("the message does not fit its descriptor: {0}")]
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

/// A message with its descriptor. It serialises through serde as canonical protobuf JSON.
pub type Message = DynamicMessage;

/// The descriptors of the API, and of the details that a `google.rpc.Status` can carry.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    // A set that cannot be added makes its messages fail with `NotDescribed`.
    let _ = pool.decode_file_descriptor_set(crate::FILE_DESCRIPTOR_SET);
    pool
});

/// Values of `Gender` as they were named at first, and as they are named now: the records in older pictures have the
/// former.
const RENAMED_GENDERS: [(&str, &str); 3] =
    [("GENDER_1GIRL", "GENDER_GIRL"), ("GENDER_1BOY", "GENDER_BOY"), ("GENDER_1OTHER", "GENDER_OTHER")];

/// The JSON with renamed values under their present names. Quotes within a JSON string are escaped, so what is replaced
/// is never a part of a text.
fn with_present_names(json: &str) -> Cow<'_, str> {
    RENAMED_GENDERS.iter().fold(Cow::Borrowed(json), |json, (before, now)| {
        if !json.contains(before) {
            return json;
        }
        let json = json.replace(&format!("\"gender\":\"{before}\""), &format!("\"gender\":\"{now}\""));
        Cow::Owned(json.replace(&format!("\"gender\": \"{before}\""), &format!("\"gender\": \"{now}\"")))
    })
}

/// A message that serialises as canonical protobuf JSON.
///
/// # Errors
///
/// [`JsonError::NotDescribed`] for a message of another crate.
pub fn dynamic<M: Name>(message: &M) -> Result<Message, JsonError> {
    Ok(Message::decode(descriptor::<M>()?, message.encode_to_vec().as_slice())?)
}

/// The message as canonical protobuf JSON on one line.
///
/// # Errors
///
/// [`JsonError::Json`] if it holds a `google.protobuf.Any` of a type without a descriptor.
pub fn to_string<M: Name>(message: &M) -> Result<String, JsonError> {
    Ok(serde_json::to_string(&dynamic(message)?)?)
}

/// The message of canonical protobuf JSON.
///
/// # Errors
///
/// [`JsonError::Json`] with line and column.
pub fn from_str<M: Name + Default>(json: &str, unknown_fields: UnknownFields) -> Result<M, JsonError> {
    let json = with_present_names(json);
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let options = DeserializeOptions::new().deny_unknown_fields(unknown_fields == UnknownFields::Refuse);
    let message = Message::deserialize_with_options(descriptor::<M>()?, &mut deserializer, &options)?;
    deserializer.end()?;
    Ok(message.transcode_to()?)
}

/// The descriptor of a message.
///
/// # Errors
///
/// [`JsonError::NotDescribed`] for a message of another crate.
pub fn descriptor<M: Name>() -> Result<MessageDescriptor, JsonError> {
    POOL.get_message_by_name(&M::full_name()).ok_or_else(|| JsonError::NotDescribed(M::full_name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::v1::generate_request::Prompt;
    use crate::generation::v1::{GenerateEvent, GenerateRequest, ImageMetadata, Sampling, generate_event};
    use crate::prompt::v1::Gender;
    use tonic_types::{ErrorDetails, StatusExt};

    #[test]
    fn messages_have_descriptors_under_their_full_names() {
        assert_eq!(GenerateEvent::full_name(), "sakuga.generation.v1.GenerateEvent");
        for known in [
            descriptor::<GenerateEvent>().is_ok(),
            descriptor::<crate::prompt::v1::Prompt>().is_ok(),
            descriptor::<crate::system::v1::GetServerInfoResponse>().is_ok(),
        ] {
            assert!(known);
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

    #[test]
    fn a_record_keeps_every_character_and_integer() {
        let metadata = ImageMetadata {
            version: 1,
            seed: u64::MAX,
            model_text: "初音ミク \"quoted\" >_<".into(),
            request: Some(GenerateRequest { seed: Some(0), width: 64, ..GenerateRequest::default() }),
            ..ImageMetadata::default()
        };
        let json = to_string(&metadata).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["seed"], "18446744073709551615", "64-bit integers are strings in protobuf JSON");
        assert_eq!(value["modelText"], "初音ミク \"quoted\" >_<");
        assert_eq!(value["request"]["seed"], "0", "an explicit seed of 0 is written");
        assert_eq!(from_str::<ImageMetadata>(&json, UnknownFields::Refuse).unwrap(), metadata);
    }

    #[test]
    fn genders_of_older_records_are_read() {
        let json = r#"{"request":{"typed":{"characters":[{"n":"\"gender\":\"GENDER_1GIRL\"","gender":"GENDER_1GIRL"},
            {"gender": "GENDER_1OTHER"}]}}}"#;
        let metadata = from_str::<ImageMetadata>(json, UnknownFields::Refuse).unwrap();
        let Some(Prompt::Typed(prompt)) = metadata.request.unwrap().prompt else { panic!("a typed prompt") };
        let [girl, other] = prompt.characters.as_slice() else { panic!("two characters") };
        assert_eq!((girl.gender(), other.gender()), (Gender::Girl, Gender::Other));
        assert_eq!(girl.n, r#""gender":"GENDER_1GIRL""#, "a text stays as it is");
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "{", "[]", "{\"version\":1} x", "{\"no_such_field\":1}", "{\"seed\":-1}"] {
            assert!(from_str::<ImageMetadata>(text, UnknownFields::Refuse).is_err(), "{text}");
        }
    }
}
