//! Jobs that two devices draw: what connects the leading worker with the assisting one.
//!
//! A job that asks for it, or that would miss its deadline on one device, gets a second device if one is free when it starts. If the
//! assisting device is lost, the leading one computes both halves; if the leading one is lost, the job fails as on one device.

use std::sync::mpsc::{self, Receiver, Sender};

use parking_lot::{Mutex, MutexGuard};
use sakuga_model_core::{GenerationSpec, HalfPrediction, HalfTask};

use super::worker_id::WorkerId;
use crate::devices::DeviceId;
use crate::job::{Job, JobHandle};
use crate::models::ModelId;

/// The leading worker's directions of the exchange.
pub(super) type Ends = (Sender<HalfTask>, Receiver<HalfPrediction>);

/// The assisting device's part in a job.
pub(super) struct AssistTask {
    /// The job.
    pub(super) handle: JobHandle,
    pub(super) model: ModelId,
    /// The request of the leading device.
    pub(super) spec: GenerationSpec,
    /// The leading worker.
    pub(super) leader: WorkerId,
    pub(super) tasks: Receiver<HalfTask>,
    pub(super) halves: Sender<HalfPrediction>,
}

/// The leading device's end of the exchange.
pub(super) struct AssistingDevice {
    /// The assisting worker.
    worker: WorkerId,
    /// `None` once the assisting device was released.
    ends: Mutex<Option<Ends>>,
}

/// Connects the worker that draws a job with the one that assists it.
pub(super) fn connect(job: &Job, leader: WorkerId, assistant: WorkerId) -> (AssistingDevice, AssistTask) {
    let (task, tasks) = mpsc::channel();
    let (halves, half) = mpsc::channel();
    let spec = GenerationSpec { profile: false, ..job.request.spec.clone() };
    let assisting = AssistingDevice { worker: assistant, ends: Mutex::new(Some((task, half))) };
    (assisting, AssistTask { handle: job.handle.clone(), model: job.request.model, spec, leader, tasks, halves })
}

impl AssistingDevice {
    /// The assisting device.
    pub(super) fn device(&self) -> DeviceId {
        self.worker.device
    }

    /// Releases the assisting device.
    pub(super) fn release(&self) {
        self.ends.lock().take();
    }

    /// The assisting worker.
    pub(super) fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Both directions of the exchange; `None` once the assisting device was released.
    pub(super) fn ends(&self) -> MutexGuard<'_, Option<Ends>> {
        self.ends.lock()
    }
}
