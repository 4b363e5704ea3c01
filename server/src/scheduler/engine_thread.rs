//! [`EngineThread`]: the thread that owns the models on one device.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sakuga_model_core::ModelSource;
use tokio::sync::oneshot;

use super::context::WorkerContext;
use super::residents::{Residents, Sources};
use super::start::{Ready, start};
use super::worker::Worker;
use super::worker_id::WorkerId;
use crate::models::{MemoryBudget, ModelId, StartError};

/// The thread that owns the models on one device.
pub(crate) struct EngineThread {
    begin: mpsc::Sender<(Arc<WorkerContext>, WorkerId)>,
    thread: JoinHandle<()>,
    sources: Sources,
}

impl EngineThread {
    /// Starts the thread, which opens models until the budget is used up; the receiver gets the result.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub(crate) fn open(
        sources: Vec<Arc<dyn ModelSource>>,
        budget: MemoryBudget,
    ) -> std::io::Result<(Self, oneshot::Receiver<Result<Ready, StartError>>)> {
        let sources: Sources = sources.into();
        let (ready, opened) = oneshot::channel();
        let (begin, context) = mpsc::channel::<(Arc<WorkerContext>, WorkerId)>();
        let own = sources.clone();
        let thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let residents = match start(own, budget) {
                Ok((residents, opened)) => {
                    // Fails if the receiver was dropped, which needs no result.
                    let _ = ready.send(Ok(opened));
                    residents
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            if let Ok((context, id)) = context.recv() {
                Worker { context, residents, id }.work();
            }
        })?;
        Ok((Self { begin, thread, sources }, opened))
    }

    /// Lets the thread run jobs of a scheduler.
    pub(super) fn begin(&self, context: Arc<WorkerContext>, id: WorkerId) {
        // Fails only if no model was opened, and then there is no scheduler.
        let _ = self.begin.send((context, id));
    }

    /// Replaces a thread whose engine hangs in a job of `model` by a new thread that opens the models again.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub(super) fn replace(&mut self, context: Arc<WorkerContext>, id: WorkerId, model: ModelId) -> std::io::Result<()> {
        let residents = Residents::new(self.sources.clone());
        self.thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let mut worker = Worker { context, residents, id };
            if worker.reopen(model) {
                worker.work();
            }
        })?;
        Ok(())
    }

    /// Waits for the thread to end; returns whether it ended in time and without a panic.
    pub(super) fn join_until(self, until: Instant) -> bool {
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.thread.join().is_ok()
    }
}
