//! Notices an engine that hangs: fails its job, leaves its thread behind and has the engine opened anew.

use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use sakuga_model_core::EngineError;

use super::worker::{EngineThread, Parts};
use super::{Running, Shared};
use crate::error::ServerError;
use crate::event::EventBody;
use crate::job::LiveJobs;
use crate::sync::lock;

/// Time between two looks, at the most.
const LOOK: Duration = Duration::from_secs(1);

/// Starts to watch a scheduler's worker; the watch ends with the scheduler.
pub(super) fn start(
    silence_max: Duration,
    parts: Weak<Parts>,
    live: Arc<LiveJobs>,
    thread: Arc<Mutex<Option<EngineThread>>>,
) {
    let watch = move || {
        loop {
            thread::sleep(LOOK.min(silence_max / 4));
            let Some(parts) = parts.upgrade() else { return };
            if lock(&parts.shared.state).is_closing {
                return;
            }
            let Some((running, epoch)) = parts.shared.take_from_silent_worker(silence_max) else { continue };
            tracing::error!(job_id = %running.id, silence_s = silence_max.as_secs(), "the engine hangs; leaving it behind");
            running.journal.publish(EventBody::Failed(ServerError::Engine(EngineError::Hung(silence_max))));
            live.remove(&running.id);
            let Some(thread) = &mut *lock(&thread) else { return };
            if let Err(error) = thread.replace(parts.clone(), epoch) {
                parts.shared.engine_lost(&format!("the system gives no thread: {error}"));
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("sakuga-watchdog".into()).spawn(watch) {
        tracing::error!(%error, "nobody watches the engine");
    }
}

impl Shared {
    /// Takes the device from a worker whose engine has said nothing for so long, and begins a new epoch.
    fn take_from_silent_worker(&self, silence_max: Duration) -> Option<(Running, u64)> {
        let mut state = lock(&self.state);
        let running = state.running.take_if(|running| running.heard.elapsed() > silence_max)?;
        state.epoch += 1;
        Some((running, state.epoch))
    }
}
