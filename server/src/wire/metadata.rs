//! What a finished file says of itself, as protobuf JSON for machines and as a few lines for people.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use sakuga_model_core::EngineInfo;
use sakuga_proto::generation::v1::{GenerateRequest, ImageMetadata};

use crate::picture::{DESCRIPTION_KEYWORD, METADATA_KEYWORD, TextChunk};
use crate::request::Request;

/// Version of the record.
const VERSION: u32 = 1;
const SOFTWARE: &str = concat!("sakuga-server ", env!("CARGO_PKG_VERSION"));

/// The descriptor of [`ImageMetadata`]; `None` only if the generated descriptor set were broken, which a test rules out.
static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(sakuga_proto::FILE_DESCRIPTOR_SET).ok()?;
    pool.get_message_by_name("sakuga.generation.v1.ImageMetadata")
});

/// Why metadata could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The descriptor set lacks the message.
    #[error("the descriptor set does not hold sakuga.generation.v1.ImageMetadata")]
    Descriptor,
    /// The message is not what its descriptor says.
    #[error("the metadata cannot be decoded: {0}")]
    Decode(#[from] prost::DecodeError),
    /// The text is not the message's JSON.
    #[error("the metadata is not protobuf JSON of sakuga.generation.v1.ImageMetadata: {0}")]
    Json(#[from] serde_json::Error),
}

/// What the file of one picture says. What changes no pixel and is asked anew each time is left out, the caller's name for
/// the request and the wish to be told where the time goes, so that the same request makes the same file.
pub fn image_metadata(
    request: &Request,
    resolved: &GenerateRequest,
    engine: &EngineInfo,
    image_index: u32,
) -> ImageMetadata {
    ImageMetadata {
        version: VERSION,
        software: SOFTWARE.into(),
        request: Some(GenerateRequest { request_id: String::new(), profile: false, ..resolved.clone() }),
        image_index,
        seed: request.spec().seed,
        device: engine.device.clone(),
        model: format!("{}@{}", engine.model.name, engine.model.fingerprint),
        model_text: request.spec().text.clone(),
    }
}

/// The text chunks of one picture's file.
///
/// # Errors
///
/// [`MetadataError`] if the descriptor set is broken.
pub fn text_chunks(metadata: &ImageMetadata, request: &Request) -> Result<Vec<TextChunk>, MetadataError> {
    Ok(vec![
        TextChunk { keyword: METADATA_KEYWORD, text: to_json(metadata)? },
        TextChunk { keyword: DESCRIPTION_KEYWORD, text: description(metadata, request) },
    ])
}

/// The record as canonical protobuf JSON.
///
/// # Errors
///
/// [`MetadataError`] if the descriptor set is broken.
pub fn to_json(metadata: &ImageMetadata) -> Result<String, MetadataError> {
    let descriptor = DESCRIPTOR.clone().ok_or(MetadataError::Descriptor)?;
    let dynamic = DynamicMessage::decode(descriptor, metadata.encode_to_vec().as_slice())?;
    Ok(serde_json::to_string(&dynamic)?)
}

/// The record from its JSON.
///
/// # Errors
///
/// [`MetadataError`] if the text is something else.
pub fn from_json(text: &str) -> Result<ImageMetadata, MetadataError> {
    let descriptor = DESCRIPTOR.clone().ok_or(MetadataError::Descriptor)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let dynamic = DynamicMessage::deserialize(descriptor, &mut json)?;
    json.end()?;
    Ok(ImageMetadata::decode(dynamic.encode_to_vec().as_slice())?)
}

fn description(metadata: &ImageMetadata, request: &Request) -> String {
    let spec = request.spec();
    format!(
        "{}\n\n{}, {}x{}, picture {} of {}, seed {}, {} {} steps, guidance {}, shift {}, model {}, device {}",
        spec.text,
        metadata.software,
        spec.width_px,
        spec.height_px,
        metadata.image_index + 1,
        spec.images,
        spec.seed,
        spec.sampling.steps,
        spec.sampling.solver.title(),
        spec.sampling.guidance.scale,
        spec.sampling.shift,
        metadata.model,
        metadata.device,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_canonical_and_comes_back() {
        let metadata = ImageMetadata {
            version: 1,
            seed: u64::MAX,
            model_text: "初音ミク \"quoted\" >_<".into(),
            request: Some(GenerateRequest { seed: Some(0), width: 64, ..GenerateRequest::default() }),
            ..ImageMetadata::default()
        };
        let json = to_json(&metadata).expect("the descriptor is there");
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["seed"], "18446744073709551615", "64-bit integers are strings in protobuf JSON");
        assert_eq!(value["modelText"], "初音ミク \"quoted\" >_<");
        assert_eq!(value["request"]["seed"], "0", "a seed of 0 is said");
        assert_eq!(from_json(&json).expect("its own JSON"), metadata);
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["", "{", "[]", "{\"version\":1} x", "{\"no_such_field\":1}", "{\"seed\":-1}"] {
            assert!(from_json(text).is_err(), "{text}");
        }
    }
}
