//! What the health service reports: the state of the engine, for the server, its services and the model.

use std::sync::Arc;

use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::scheduler::{EngineStatus, Scheduler};
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::prompt::Prompts;
use crate::service::system::System;

/// The names that the health service knows: the server as a whole (the empty name), each service, and the model.
pub(super) struct HealthNames {
    model: String,
}

impl HealthNames {
    pub(super) fn new(model: &str) -> Self {
        Self { model: format!("model/{model}") }
    }

    fn all(&self) -> [&str; 6] {
        let [whole, generation, jobs, model] = self.that_need_the_engine();
        let [prompts, system] = [PromptServiceServer::<Prompts>::NAME, SystemServiceServer::<System>::NAME];
        [whole, generation, jobs, model, prompts, system]
    }

    fn that_need_the_engine(&self) -> [&str; 4] {
        ["", GenerationServiceServer::<Generation>::NAME, JobServiceServer::<JobCalls>::NAME, &self.model]
    }
}

/// Reports whether the engine is open, now and whenever that changes, until the handle is dropped.
pub(super) async fn mirror_engine_status(
    scheduler: &Scheduler,
    health: HealthReporter,
    names: Arc<HealthNames>,
) -> AbortOnDropHandle<()> {
    let mut status = scheduler.engine_status();
    report(&health, &names.all(), ServingStatus::Serving).await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let now = match *status.borrow_and_update() {
                EngineStatus::Serving => ServingStatus::Serving,
                EngineStatus::Lost(_) => ServingStatus::NotServing,
            };
            report(&health, &names.that_need_the_engine(), now).await;
            if status.changed().await.is_err() {
                return;
            }
        }
    }))
}

/// Reports that nothing is served any more.
pub(super) async fn report_drain(health: &HealthReporter, names: &HealthNames) {
    report(health, &names.all(), ServingStatus::NotServing).await;
}

/// Ends the streams that watch the health.
pub(super) async fn end_watches(health: &HealthReporter, names: &HealthNames) {
    for name in names.all() {
        health.clone().clear_service_status(name).await;
    }
}

async fn report(health: &HealthReporter, names: &[&str], status: ServingStatus) {
    for name in names {
        health.set_service_status(name, status).await;
    }
}
