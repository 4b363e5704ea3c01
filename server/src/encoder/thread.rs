//! [`Encoder`]: the thread and its queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::finish::FinishTask;
use super::preview::PreviewTask;
use super::sink::ArtifactSink;
use crate::event::CancelReason;
use crate::retention::RetentionGate;
use crate::store::{ArtifactStore, StoreFault};

/// Finished jobs that may wait: one in work and one waiting keep the thread busy.
pub(crate) const FINISHED_MAX: usize = 2;

/// The thread. Dropping it cancels the jobs that wait.
pub(crate) struct Encoder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

enum Task {
    Preview(PreviewTask),
    Finish(Box<FinishTask>),
}

#[derive(Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    is_closing: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Signals a new task, or that the thread has to end.
    added: Condvar,
    /// Signals that the thread took a finished job.
    taken: Condvar,
}

impl Encoder {
    /// Starts the thread. Files go to `artifacts` on `runtime`; `fault` is set while they cannot be written.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub(crate) fn start(
        artifacts: Arc<dyn ArtifactStore>,
        gate: Arc<RetentionGate>,
        fault: StoreFault,
        runtime: Handle,
    ) -> std::io::Result<Self> {
        let sink = ArtifactSink { artifacts, gate, fault, runtime };
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = thread::Builder::new().name("sakuga-encode".into()).spawn(move || {
            while let Some(task) = own.next() {
                let run = || match task {
                    Task::Preview(task) => task.run(),
                    Task::Finish(task) => task.run(&sink),
                };
                // The task's job ends as failed when it is dropped; the thread continues.
                if catch_unwind(AssertUnwindSafe(run)).is_err() {
                    tracing::error!("the encoder panicked");
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Adds a preview. It replaces one of the same picture that still waits.
    pub(crate) fn preview(&self, task: PreviewTask) {
        let mut waiting = self.shared.waiting.lock();
        let older = waiting.tasks.iter_mut().find_map(|waiting| match waiting {
            Task::Preview(older) if older.is_replaced_by(&task) => Some(older),
            _ => None,
        });
        match older {
            Some(older) => *older = task,
            None => waiting.tasks.push_back(Task::Preview(task)),
        }
        drop(waiting);
        self.shared.added.notify_one();
    }

    /// Adds a finished job. Blocks while [`FINISHED_MAX`] finished jobs wait.
    pub(crate) fn finish(&self, task: FinishTask) {
        let mut waiting = self.shared.waiting.lock();
        while waiting.finished() >= FINISHED_MAX && !waiting.is_closing {
            self.shared.taken.wait(&mut waiting);
        }
        waiting.tasks.push_back(Task::Finish(Box::new(task)));
        drop(waiting);
        self.shared.added.notify_one();
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.shared.waiting.lock().is_closing = true;
        self.shared.added.notify_one();
        if let Some(thread) = self.thread.take() {
            // Panics of tasks were caught and logged.
            let _ = thread.join();
        }
        for task in std::mem::take(&mut self.shared.waiting.lock().tasks) {
            if let Task::Finish(task) = task {
                task.job.cancelled(task.steps_done, CancelReason::Shutdown);
            }
        }
    }
}

impl Waiting {
    fn finished(&self) -> usize {
        self.tasks.iter().filter(|task| matches!(task, Task::Finish(_))).count()
    }
}

impl Shared {
    /// The next task; `None` when the thread has to end.
    fn next(&self) -> Option<Task> {
        let mut waiting = self.waiting.lock();
        loop {
            if waiting.is_closing {
                return None;
            }
            if let Some(task) = waiting.tasks.pop_front() {
                if matches!(task, Task::Finish(_)) {
                    self.taken.notify_one();
                }
                return Some(task);
            }
            self.added.wait(&mut waiting);
        }
    }
}
