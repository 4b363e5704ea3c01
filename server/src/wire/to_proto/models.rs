//! Where the weights of the models are.

use std::time::Duration;

use sakuga_proto::model::v1 as model;

use super::{duration, model as information, timestamp};
use crate::devices::DeviceStatus;
use crate::models::{ModelState, ModelStatus, ServedModel};

/// A model and where its weights are. The pair is the median time of its steps and the number of measured jobs;
/// `devices` are those of the server.
pub(crate) fn model_status(
    served: &ServedModel,
    status: &ModelStatus,
    (step_time, learned_jobs): (Option<Duration>, u32),
    devices: &[DeviceStatus],
) -> model::ModelStatus {
    let (state, failure) = match &status.state {
        ModelState::Unloaded => (model::ModelState::Unloaded, ""),
        ModelState::OnHost => (model::ModelState::OnHost, ""),
        ModelState::Loading => (model::ModelState::Loading, ""),
        ModelState::Loaded => (model::ModelState::Loaded, ""),
        ModelState::Failed(reason) => (model::ModelState::Failed, reason.as_str()),
    };
    model::ModelStatus {
        name: served.name().to_owned(),
        is_default: served.is_default(),
        state: state.into(),
        failure: failure.to_owned(),
        weight_bytes: served.weight_bytes(),
        host_bytes: status.host_bytes,
        last_used: status.last_used.map(timestamp),
        family: served.info.model.family.to_owned(),
        information: Some(information(served)),
        step_time: step_time.and_then(duration),
        learned_jobs,
        devices: status.devices.iter().map(|id| devices[id.index()].info.name.to_string()).collect(),
    }
}
