//! The services of the server, each with its limits.

use std::sync::Arc;

use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::AppError;
use crate::limits::Limits;
use crate::service::Context;
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::prompt::Prompts;
use crate::service::system::System;

/// Bytes of a message to a service that needs no token.
pub(super) const PUBLIC_BYTES_MAX: usize = 4 * 1024;

/// The services, and what reports the health.
pub(super) fn routes(context: &Arc<Context>) -> Result<(Routes, HealthReporter), AppError> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sakuga_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let generation = GenerationServiceServer::new(Generation::new(context.clone()))
        .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let job_calls = JobServiceServer::new(JobCalls::new(context.clone()))
        .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let prompts = PromptServiceServer::new(Prompts::new(context.clone()))
        .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let system = SystemServiceServer::new(System::new(context.clone()))
        .max_decoding_message_size(Limits::QUESTION_BYTES_MAX)
        .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
    let routes = Routes::new(generation)
        .add_service(job_calls)
        .add_service(prompts)
        .add_service(system)
        .add_service(health_service.max_decoding_message_size(PUBLIC_BYTES_MAX))
        .add_service(reflection().build_v1()?.max_decoding_message_size(PUBLIC_BYTES_MAX))
        .add_service(reflection().build_v1alpha()?.max_decoding_message_size(PUBLIC_BYTES_MAX));
    Ok((routes, health))
}
