//! Detects an engine that hangs: fails the job that it draws, abandons its thread and opens a new engine on a new thread. The engines of other
//! devices go on.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use sakuga_model_core::EngineError;

use super::context::WorkerContext;
use super::engine_thread::EngineThread;
use super::shared::Silent;
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::LiveJobs;

/// Longest time between two checks.
const CHECK_PERIOD: Duration = Duration::from_secs(1);

/// Starts to watch a scheduler's workers, whose threads are in the order of the devices. The watchdog ends with the scheduler.
pub(super) fn start(
    silence_max: Duration,
    context: Weak<WorkerContext>,
    live: Arc<LiveJobs>,
    threads: Arc<Mutex<Vec<EngineThread>>>,
) {
    let watch = move || {
        loop {
            thread::sleep(CHECK_PERIOD.min(silence_max / 4));
            let Some(context) = context.upgrade() else { return };
            if context.shared.state().is_closing {
                return;
            }
            while let Some((silent, worker)) = context.shared.take_from_silent_worker(silence_max) {
                let (device, silence_s) = (context.shared.device_name(worker.device), silence_max.as_secs());
                let (job_id, model) = match &silent {
                    Silent::Drawing(running) => (&running.id, running.model),
                    Silent::Assisting(assisting) => (&assisting.job, assisting.model),
                };
                tracing::error!(
                    device = &*device,
                    %job_id,
                    silence_s,
                    "the engine hangs; its thread is abandoned"
                );
                // A job in which the device only assisted continues without it.
                if let Silent::Drawing(running) = &silent {
                    running.journal.publish(EventBody::Failed(ServerError::Engine(EngineError::Hung(silence_max))));
                    live.remove(&running.id);
                }
                // There is no thread once the scheduler is closed.
                let mut threads = threads.lock();
                let Some(thread) = threads.get_mut(worker.device.index()) else { return };
                if let Err(error) = thread.replace(context.clone(), worker, model) {
                    context.shared.device_lost(worker.device, &format!("the system provides no thread: {error}"));
                }
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("sakuga-watchdog".into()).spawn(watch) {
        tracing::error!(%error, "there is no thread for the watchdog: an engine that hangs is not noticed");
    }
}
