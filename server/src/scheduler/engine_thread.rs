//! [`EngineThread`]: the thread that owns the engine.

use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sakuga_model_core::{EngineError, EngineInfo, ModelOpener, TokenCounter};
use tokio::sync::oneshot;

use super::context::WorkerContext;
use super::worker::{self, Worker};

/// What is known of an engine once it is open.
pub struct Ready {
    /// What the engine is.
    pub info: EngineInfo,
    /// Its tokenisers.
    pub tokens: Arc<dyn TokenCounter>,
}

/// The thread that owns the engine.
pub struct EngineThread {
    begin: mpsc::Sender<Arc<WorkerContext>>,
    thread: JoinHandle<()>,
    opener: ModelOpener,
}

impl EngineThread {
    /// Starts the thread and opens the engine on it; the receiver gets the result.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub fn open(opener: ModelOpener) -> std::io::Result<(Self, oneshot::Receiver<Result<Ready, EngineError>>)> {
        let (ready, opened) = oneshot::channel();
        let (begin, context) = mpsc::channel::<Arc<WorkerContext>>();
        let own = opener.clone();
        let thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let open = match worker::open(&own) {
                Ok(open) => open,
                Err(error) => {
                    // Ignored by a receiver that was dropped.
                    let _ = ready.send(Err(error));
                    return;
                }
            };
            let _ = ready.send(Ok(Ready { info: open.info.clone(), tokens: open.tokens.clone() }));
            if let Ok(context) = context.recv() {
                context.shared.set_memory_probe(Some(open.memory.clone()));
                Worker { context, opener: own, epoch: 0 }.work(open);
            }
        })?;
        Ok((Self { begin, thread, opener }, opened))
    }

    /// Starts to draw a scheduler's jobs.
    pub(super) fn begin(&self, context: Arc<WorkerContext>) {
        // Fails only if the engine was not opened, and then there is no scheduler.
        let _ = self.begin.send(context);
    }

    /// Replaces a thread whose engine hangs by a new thread with a new engine.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub(super) fn replace(&mut self, context: Arc<WorkerContext>, epoch: u64) -> std::io::Result<()> {
        let opener = self.opener.clone();
        self.thread = thread::Builder::new().name("sakuga-engine".into()).spawn(move || {
            let worker = Worker { context, opener, epoch };
            if let Some(open) = worker.reopen() {
                worker.work(open);
            }
        })?;
        Ok(())
    }

    /// Waits for the thread to end; returns whether it ended in time and without a panic.
    pub(super) fn join_within(self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while !self.thread.is_finished() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.thread.join().is_ok()
    }
}
