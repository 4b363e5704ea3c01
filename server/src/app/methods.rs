//! The methods of the server, from the descriptors of its services, and the limits of their messages.

use prost_reflect::{DescriptorPool, MethodDescriptor};

use super::routes::{PIECE_BYTES_MAX, PUBLIC_BYTES_MAX};
use crate::limits::Limits;
use crate::transport::TransportConfig;
use crate::transport::message::{MessageLimits, Messages};

const PROMPT: MessageLimits = MessageLimits { bytes_max: Limits::PROMPT_MESSAGE_BYTES_MAX, fields_max: 4096 };
/// For messages with a prompt and the files of two images.
const PROMPT_AND_IMAGES: MessageLimits =
    MessageLimits { bytes_max: Limits::IMAGES_MESSAGE_BYTES_MAX, fields_max: PROMPT.fields_max };
/// For messages with names and numbers.
const QUESTION: MessageLimits = MessageLimits { bytes_max: 16 * 1024, fields_max: 256 };
/// For messages of services that need no token.
const PUBLIC: MessageLimits = MessageLimits { bytes_max: PUBLIC_BYTES_MAX, fields_max: 64 };

/// For messages with a piece of a file.
const PIECE: MessageLimits = MessageLimits { bytes_max: PIECE_BYTES_MAX, fields_max: 256 };

/// The methods whose messages have a piece of a file.
const WITH_PIECE: &[&str] =
    &["sakuga.asset.v1.AssetService/UploadAsset", "sakuga.asset.v1.AssetService/UploadAssetPart"];
/// The methods whose messages have a prompt and may have images.
const WITH_IMAGES: &[&str] = &[
    "sakuga.generation.v1.GenerationService/Estimate",
    "sakuga.generation.v1.GenerationService/Generate",
    "sakuga.generation.v1.JobService/CreateJob",
];
/// The methods whose messages have a prompt.
const WITH_PROMPT: &[&str] = &[
    "sakuga.prompt.v1.PromptService/FormatPrompt",
    "sakuga.prompt.v1.PromptService/ParsePrompt",
    "sakuga.prompt.v1.PromptService/ValidatePrompt",
];

pub(super) fn all() -> Vec<MethodDescriptor> {
    let sets = [
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let pools = sets.iter().filter_map(|set| DescriptorPool::decode(*set).ok());
    let services = pools.flat_map(|pool| pool.services().collect::<Vec<_>>());
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

/// The names of all methods.
pub(crate) fn names() -> impl Iterator<Item = String> {
    all().into_iter().map(|method| name(&method))
}

/// The method as `package.Service/Method`.
pub(super) fn name(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

/// The limits of a method's messages; those of [`PUBLIC`] for health checks and reflection.
pub(super) fn limits(method: &MethodDescriptor) -> MessageLimits {
    let name = name(method);
    if name.starts_with("grpc.") {
        return PUBLIC;
    }
    match name.as_str() {
        name if WITH_PIECE.contains(&name) => PIECE,
        name if WITH_IMAGES.contains(&name) => PROMPT_AND_IMAGES,
        name if WITH_PROMPT.contains(&name) => PROMPT,
        _ => QUESTION,
    }
}

/// The limits of the messages of every method.
pub(crate) fn messages(transport: &TransportConfig) -> Messages {
    let methods = all().into_iter().map(|method| {
        let limits = limits(&method);
        (method, limits)
    });
    Messages::new(methods, transport.handshake_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::access::rule;

    #[test]
    fn every_method_has_an_access_rule() {
        let methods: Vec<String> = all().iter().map(name).collect();
        assert!(methods.len() >= 10, "{methods:?}");
        for method in methods {
            assert!(rule(&format!("/{method}")).is_some(), "say in auth::access who may call {method}");
        }
    }

    #[test]
    fn messages_with_prompts_are_those_of_existing_methods() {
        let methods: Vec<String> = all().iter().map(name).collect();
        for named in WITH_PROMPT.iter().chain(WITH_IMAGES).chain(WITH_PIECE) {
            assert!(methods.iter().any(|method| method == named), "there is no {named}");
        }
    }
}
