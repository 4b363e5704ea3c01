//! Computes half of the guidance of a job that another device draws.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sakuga_model_core::EngineError;

use super::exchange::AssistingEnd;
use super::share::AssistTask;
use super::worker::{Device, Worker};

impl Worker {
    /// Computes the halves that the leading device hands out, until it needs no more.
    pub(super) fn assist(&mut self, task: AssistTask) -> Device {
        let context = self.context.clone();
        let shared = &context.shared;
        let span = tracing::info_span!("assist", job_id = %task.handle.id);
        let _entered = span.enter();
        let assisted = match self.residents.get_mut(task.model) {
            Some(open) => {
                let mut leader = AssistingEnd { shared, worker: self.id, task: &task, evaluations: 0 };
                let assisted = catch_unwind(AssertUnwindSafe(|| open.model.assist(&task.spec, &mut leader)));
                tracing::info!(evaluations = leader.evaluations, "assisted");
                assisted.unwrap_or_else(|panic| Err(EngineError::panicked(panic.as_ref())))
            }
            None => Err(EngineError::Failed("the model is not on the device".to_owned())),
        };
        let model = task.model;
        // The leading device continues alone.
        drop(task);
        shared.assist_done(self.id);
        match assisted {
            Ok(()) => Device::Usable,
            Err(error) => {
                tracing::error!(%error, "the device cannot assist");
                if error.is_fatal() { Device::Lost(model) } else { Device::Usable }
            }
        }
    }
}
