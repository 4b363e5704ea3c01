//! The services of the server, each with its limits.

use std::sync::Arc;

use sakuga_proto::asset::v1::asset_service_server::AssetServiceServer;
use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::model::v1::model_service_server::ModelServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tonic_reflection::pb::v1alpha::server_reflection_server::ServerReflectionServer as OlderReflectionServer;

use super::AppError;
use crate::limits::Limits;
use crate::service::Context;
use crate::service::assets::AssetCalls;
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::models::Models;
use crate::service::prompt::Prompts;
use crate::service::reflection::{Descriptors, Reflection};
use crate::service::system::System;

/// Bytes of a message to a service that needs no token.
pub(super) const PUBLIC_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a message with a piece of a file: 256 KiB, and what announces the file in front of it.
pub(super) const PIECE_BYTES_MAX: usize = Limits::CHUNK_BYTES_MAX + 128;

/// The services, and what reports the health. The transport bounds the messages to them; see [`super::methods`].
pub(crate) fn routes(context: &Arc<Context>) -> Result<(Routes, HealthReporter), AppError> {
    // Compressed requests are decompressed before they come here. Answers are compressed if the client accepts that, but
    // those of events and pictures are not: what is large in them is a compressed picture already.
    let generation = GenerationServiceServer::new(Generation::new(context.clone()))
        .max_decoding_message_size(Limits::IMAGES_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let job_calls = JobServiceServer::new(JobCalls::new(context.clone()))
        .max_decoding_message_size(Limits::IMAGES_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let assets = AssetServiceServer::new(AssetCalls::new(context.clone()))
        .max_decoding_message_size(PIECE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let prompts = PromptServiceServer::new(Prompts::new(context.clone()))
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let system = SystemServiceServer::new(System::new(context.clone()))
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let models = ModelServiceServer::new(Models::new(context.clone()))
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let routes = Routes::new(generation)
        .add_service(job_calls)
        .add_service(assets)
        .add_service(prompts)
        .add_service(system)
        .add_service(models);
    with_public(routes)
}

/// Adds the services that need no token, health and reflection, and returns what reports the health.
pub(crate) fn with_public(routes: Routes) -> Result<(Routes, HealthReporter), AppError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let descriptors = Arc::new(Descriptors::new(&[
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    ])?);
    let reflection = ServerReflectionServer::new(Reflection::new(descriptors.clone()))
        .max_decoding_message_size(PUBLIC_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let older_reflection = OlderReflectionServer::new(Reflection::new(descriptors))
        .max_decoding_message_size(PUBLIC_BYTES_MAX)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
    let routes = routes
        .add_service(health_service.max_decoding_message_size(PUBLIC_BYTES_MAX))
        .add_service(reflection)
        .add_service(older_reflection);
    Ok((routes, health))
}
