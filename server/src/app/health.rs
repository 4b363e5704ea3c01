//! What the health service reports: the state of the engines, of each device and of each model, for the server, its services, the
//! devices and the models.

use std::sync::Arc;

use sakuga_proto::asset::v1::asset_service_server::AssetServiceServer;
use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::model::v1::model_service_server::ModelServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::devices::{DeviceState, DeviceStatus};
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

/// The names that the health service knows: the server, each service, `model/NAME` of each model and `device/NAME` of each device.
pub(super) struct HealthNames {
    /// In the order of the configuration.
    models: Vec<String>,
    devices: Vec<String>,
}

impl HealthNames {
    pub(super) fn new(models: &Catalog, devices: &[DeviceStatus]) -> Self {
        Self {
            models: models.iter().map(|model| format!("model/{}", model.name())).collect(),
            devices: devices.iter().map(|device| format!("device/{}", device.info.name)).collect(),
        }
    }

    fn all(&self) -> Vec<&str> {
        let named = self.models.iter().chain(&self.devices).map(String::as_str);
        ALWAYS.into_iter().chain(WITH_ENGINE).chain(named).collect()
    }

    /// Every name with the same status.
    fn all_with(&self, status: ServingStatus) -> Vec<(&str, ServingStatus)> {
        self.all().into_iter().map(|name| (name, status)).collect()
    }

    /// The status of every name that depends on an engine. A model that is not loaded is serving, because its next job loads it.
    /// A model whose load failed and a device that takes no jobs are not serving.
    fn statuses(
        &self,
        engine: &EngineStatus,
        models: &[ModelStatus],
        devices: &[DeviceStatus],
    ) -> Vec<(&str, ServingStatus)> {
        let serving = |is_serving| if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        let has_engine = *engine == EngineStatus::Serving;
        let whole = WITH_ENGINE.into_iter().map(|name| (name, serving(has_engine)));
        let each = self.models.iter().zip(models).map(|(name, model)| {
            let has_failed = matches!(model.state, ModelState::Failed(_));
            (name.as_str(), serving(has_engine && !has_failed))
        });
        let devices = self.devices.iter().zip(devices);
        let devices = devices.map(|(name, device)| (name.as_str(), serving(device.state == DeviceState::Serving)));
        whole.chain(each).chain(devices).collect()
    }
}

/// Reports the state of the engines, the models and the devices, now and whenever it changes, until the handle is dropped.
pub(super) async fn mirror_status(
    scheduler: &Scheduler,
    health: HealthReporter,
    names: Arc<HealthNames>,
) -> AbortOnDropHandle<()> {
    let (mut engine, mut models) = (scheduler.engine_status(), scheduler.model_statuses());
    let mut devices = scheduler.device_statuses();
    report(&health, &names.all_with(ServingStatus::Serving)).await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut reported = Vec::new();
        loop {
            let now =
                names.statuses(&engine.borrow_and_update(), &models.borrow_and_update(), &devices.borrow_and_update());
            // The state of a model changes with every job; its health rarely does.
            let changed = difference(&now, &reported);
            report(&health, &changed).await;
            reported = now;
            let is_changed = tokio::select! {
                changed = engine.changed() => changed.is_ok(),
                changed = models.changed() => changed.is_ok(),
                changed = devices.changed() => changed.is_ok(),
            };
            if !is_changed {
                return;
            }
        }
    }))
}

/// Reports every name as not serving.
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
