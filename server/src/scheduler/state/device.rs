//! [`Device`]: what the scheduler knows of one device.

use std::collections::VecDeque;

use sakuga_model_core::AdapterChoice;

use super::assisting::Assisting;
use super::running::Running;
use crate::devices::{DeviceInfo, DeviceState, DeviceStatus};
use crate::estimate::Seen;
use crate::models::{ModelId, ModelTable};
use crate::scheduler::command::DeviceCommand;
use crate::scheduler::share::AssistTask;
use crate::telemetry::RunningJob;

/// Whether calls let a device take jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::scheduler) enum Service {
    Enabled,
    /// Its models stay in its memory.
    Drained,
    /// Its models are taken out of its memory.
    Disabled,
}

/// Why a device cannot draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::scheduler) struct Loss {
    pub(in crate::scheduler) reason: String,
    /// It will not be opened again.
    pub(in crate::scheduler) is_final: bool,
}

/// What the scheduler knows of one device.
pub(in crate::scheduler) struct Device {
    pub(in crate::scheduler) info: DeviceInfo,
    /// Devices of the same kind share estimators.
    pub(in crate::scheduler) kind: usize,
    /// Where the weights of each model are.
    pub(in crate::scheduler) models: ModelTable,
    /// The adapters that each model has: those of its latest job, none after any model was loaded.
    adapters: Vec<Vec<AdapterChoice>>,
    /// What each model has computed since the device was opened.
    seen: Vec<Seen>,
    /// Done before the next job.
    pub(in crate::scheduler) commands: VecDeque<DeviceCommand>,
    pub(in crate::scheduler) running: Option<Running>,
    /// The job of another device in which it assists.
    pub(in crate::scheduler) assisting: Option<Assisting>,
    /// Its part in that job, until its worker takes it.
    pub(in crate::scheduler) assist_task: Option<AssistTask>,
    /// Whether its worker waits for a job or a command.
    pub(in crate::scheduler) is_idle: bool,
    /// Whether it opens models that no job waits for; the end of that is unknown.
    pub(in crate::scheduler) is_opening: bool,
    pub(in crate::scheduler) service: Service,
    /// `None`: it can draw.
    pub(in crate::scheduler) loss: Option<Loss>,
    /// The models that a call took off it, to be loaded when it is enabled again.
    pub(in crate::scheduler) cleared: Vec<ModelId>,
    /// Grows when the watchdog replaces its worker.
    pub(in crate::scheduler) epoch: u64,
    /// Jobs that it has taken.
    pub(in crate::scheduler) jobs: u64,
    /// How often it was lost.
    pub(in crate::scheduler) losses: u64,
}

impl Device {
    pub(super) fn new(info: DeviceInfo, kind: usize, models: ModelTable) -> Self {
        Self {
            info,
            kind,
            adapters: vec![Vec::new(); models.statuses().len()],
            seen: vec![Seen::default(); models.statuses().len()],
            models,
            commands: VecDeque::new(),
            running: None,
            assisting: None,
            assist_task: None,
            is_idle: false,
            is_opening: false,
            service: Service::Enabled,
            loss: None,
            cleared: Vec::new(),
            epoch: 0,
            jobs: 0,
            losses: 0,
        }
    }

    /// Whether it takes jobs.
    pub(in crate::scheduler) fn is_in_service(&self) -> bool {
        self.service == Service::Enabled && self.loss.is_none()
    }

    /// Whether it will not be opened again.
    pub(in crate::scheduler) fn is_lost_for_good(&self) -> bool {
        self.loss.as_ref().is_some_and(|loss| loss.is_final)
    }

    /// Whether it waits for a job.
    pub(in crate::scheduler) fn is_free(&self) -> bool {
        self.is_idle && self.is_in_service()
    }

    /// The adapters that are applied to a model on this device.
    pub(in crate::scheduler) fn adapters(&self, model: ModelId) -> &[AdapterChoice] {
        &self.adapters[model.index()]
    }

    /// Notes the adapters of the job that a model draws.
    pub(in crate::scheduler) fn set_adapters(&mut self, model: ModelId, adapters: Vec<AdapterChoice>) {
        self.adapters[model.index()] = adapters;
    }

    /// Notes that no model has adapters: before a model is loaded, the open ones take theirs back to make room.
    pub(in crate::scheduler) fn forget_adapters(&mut self) {
        self.adapters.iter_mut().for_each(Vec::clear);
    }

    /// What a model has computed since the device was opened.
    pub(in crate::scheduler) fn seen(&self, model: ModelId) -> &Seen {
        &self.seen[model.index()]
    }

    pub(in crate::scheduler) fn seen_mut(&mut self, model: ModelId) -> &mut Seen {
        &mut self.seen[model.index()]
    }

    /// Notes that the device is opened again: everything is computed for the first time.
    pub(in crate::scheduler) fn forget_seen(&mut self) {
        self.seen.fill(Seen::default());
    }

    /// Its running job, for reports.
    pub(in crate::scheduler) fn running_job(&self) -> Option<RunningJob> {
        let Running { id, stage, step, steps, .. } = self.running.as_ref()?;
        Some(RunningJob { job_id: id.clone(), stage: *stage, step: *step, steps: *steps })
    }

    pub(in crate::scheduler) fn state(&self) -> DeviceState {
        let is_busy = self.running.is_some() || self.assisting.is_some() || !self.commands.is_empty();
        match (&self.loss, self.service) {
            (None, Service::Enabled) => DeviceState::Serving,
            (_, Service::Disabled) if !is_busy => DeviceState::Disabled,
            (Some(loss), _) => DeviceState::Lost(loss.reason.clone()),
            (None, Service::Drained) if !is_busy => DeviceState::Drained,
            (None, _) => DeviceState::Draining,
        }
    }

    pub(in crate::scheduler) fn status(&self) -> DeviceStatus {
        DeviceStatus {
            info: self.info.clone(),
            state: self.state(),
            models: self.models.residents().iter().map(|model| self.models.name(model).clone()).collect(),
            jobs: self.jobs,
            losses: self.losses,
        }
    }
}
