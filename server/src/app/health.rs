//! What the health service reports: the state of the engine and of each model, for the server, its services and the models.

use std::sync::Arc;

use sakuga_proto::asset::v1::asset_service_server::AssetServiceServer;
use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::model::v1::model_service_server::ModelServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::models::{Catalog, ModelState, ModelStatus};
use crate::scheduler::{EngineStatus, Scheduler};
use crate::service::assets::AssetCalls;
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::models::Models;
use crate::service::prompt::Prompts;
use crate::service::system::System;

/// Services that answer also while the engine is lost.
const ALWAYS: [&str; 4] = [
    AssetServiceServer::<AssetCalls>::NAME,
    PromptServiceServer::<Prompts>::NAME,
    SystemServiceServer::<System>::NAME,
    ModelServiceServer::<Models>::NAME,
];
/// The server as a whole (the empty name), and the services that need the engine.
const WITH_ENGINE: [&str; 3] = ["", GenerationServiceServer::<Generation>::NAME, JobServiceServer::<JobCalls>::NAME];

/// The names that the health service knows: the server, each service, and `model/NAME` of each model.
pub(super) struct HealthNames {
    /// In the order of the configuration.
    models: Vec<String>,
}

impl HealthNames {
    pub(super) fn new(models: &Catalog) -> Self {
        Self { models: models.iter().map(|model| format!("model/{}", model.name())).collect() }
    }

    fn all(&self) -> Vec<&str> {
        ALWAYS.into_iter().chain(WITH_ENGINE).chain(self.models.iter().map(String::as_str)).collect()
    }

    /// Every name with the same status.
    fn all_with(&self, status: ServingStatus) -> Vec<(&str, ServingStatus)> {
        self.all().into_iter().map(|name| (name, status)).collect()
    }

    /// The status of every name that depends on the engine. A model that is not on the device serves too: it is loaded for
    /// its next job. One that could not be loaded does not.
    fn statuses(&self, engine: &EngineStatus, models: &[ModelStatus]) -> Vec<(&str, ServingStatus)> {
        let serving = |is_serving| if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        let has_engine = *engine == EngineStatus::Serving;
        let whole = WITH_ENGINE.into_iter().map(|name| (name, serving(has_engine)));
        let each = self.models.iter().zip(models).map(|(name, model)| {
            let has_failed = matches!(model.state, ModelState::Failed(_));
            (name.as_str(), serving(has_engine && !has_failed))
        });
        whole.chain(each).collect()
    }
}

/// Reports the state of the engine and the models, now and whenever it changes, until the handle is dropped.
pub(super) async fn mirror_status(
    scheduler: &Scheduler,
    health: HealthReporter,
    names: Arc<HealthNames>,
) -> AbortOnDropHandle<()> {
    let (mut engine, mut models) = (scheduler.engine_status(), scheduler.model_statuses());
    report(&health, &names.all_with(ServingStatus::Serving)).await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut reported = Vec::new();
        loop {
            let now = names.statuses(&engine.borrow_and_update(), &models.borrow_and_update());
            // The state of a model changes with every job; its health rarely does.
            let changed = difference(&now, &reported);
            report(&health, &changed).await;
            reported = now;
            if !either_changed(&mut engine, &mut models).await {
                return;
            }
        }
    }))
}

/// Waits for a change; false if there will be none.
async fn either_changed<A, B>(one: &mut watch::Receiver<A>, other: &mut watch::Receiver<B>) -> bool {
    tokio::select! {
        changed = one.changed() => changed.is_ok(),
        changed = other.changed() => changed.is_ok(),
    }
}

/// Reports that nothing is served any more.
pub(super) async fn report_drain(health: &HealthReporter, names: &HealthNames) {
    report(health, &names.all_with(ServingStatus::NotServing)).await;
}

/// Ends the streams that watch the health.
pub(super) async fn end_watches(health: &HealthReporter, names: &HealthNames) {
    for name in names.all() {
        health.clone().clear_service_status(name).await;
    }
}

/// The statuses of `now` that are not in `before`.
fn difference<'a>(
    now: &[(&'a str, ServingStatus)],
    before: &[(&'a str, ServingStatus)],
) -> Vec<(&'a str, ServingStatus)> {
    now.iter().filter(|status| !before.contains(status)).copied().collect()
}

async fn report(health: &HealthReporter, statuses: &[(&str, ServingStatus)]) {
    for (name, status) in statuses {
        health.set_service_status(*name, *status).await;
    }
}
