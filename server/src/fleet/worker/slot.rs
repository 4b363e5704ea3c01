//! A slot: takes one job after the other for a device that is free.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sakuga_fleet::{Ask, FleetError, Taken};

use super::Worker;
use crate::fleet::class::CLASSES;
use crate::scheduler::EngineStatus;

/// The pause of a slot for which there is no job.
const IDLE: Duration = Duration::from_millis(100);
/// The pause after an error.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a slot without an offer looks into the queues of its models: items of workers that died wait there, and offers whose answer
/// was lost.
const LOOK: Duration = Duration::from_secs(1);
/// How long it waits for an item that it was offered.
const OFFERED: Duration = Duration::from_secs(1);
/// How long it waits for an item that may be there.
const PERHAPS: Duration = Duration::from_millis(100);

impl Worker {
    /// Takes and draws jobs until the worker stops.
    pub(super) async fn slot(self: Arc<Self>) {
        let mut looked = None;
        while !self.stopping.is_cancelled() {
            let is_serving = *self.scheduler.engine_status().borrow() == EngineStatus::Serving;
            let next = if is_serving { self.next(&mut looked).await } else { Ok(None) };
            let pause = match next {
                Ok(Some(taken)) => {
                    let job = taken.item.job.clone();
                    match self.take(taken).await {
                        Ok(()) => Duration::ZERO,
                        Err(error) => {
                            tracing::warn!(job_id = job, %error, "a job goes to another worker");
                            PAUSE
                        }
                    }
                }
                Ok(None) => IDLE,
                Err(error) => {
                    tracing::warn!(%error, "this worker gets no job");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stopping.cancelled() => {}
            }
        }
    }

    /// The next item for a free device; `None` if there is none at the moment.
    async fn next(&self, looked: &mut Option<Instant>) -> Result<Option<Taken>, FleetError> {
        let ask = Ask {
            worker: self.name.clone(),
            device: String::new(),
            loaded: self.loaded(),
            loadable: self.models.clone(),
        };
        if let Some(offer) = self.fleet.dispatch.ask(&ask).await? {
            return self.fleet.work.source(&offer.model, &offer.class).await?.take(OFFERED).await;
        }
        if looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(None);
        }
        for model in &self.models {
            for class in CLASSES {
                if let Some(taken) = self.fleet.work.source(model, class).await?.take(PERHAPS).await? {
                    return Ok(Some(taken));
                }
            }
        }
        *looked = Some(Instant::now());
        Ok(None)
    }
}
