//! [`StoreWriter`]: the thread that commits. It commits all waiting batches in one transaction, so many jobs share one sync of the
//! disk.
//!
//! Writes of running jobs are retried until the store accepts them. Until then readers do not see the events, and
//! [`StoreWriter::fault`] has the error, which refuses new jobs. A write whose caller waits is tried once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::fault::StoreFault;
use super::{JobStore, StoreError, Write};

/// Time between two attempts while the store fails.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Most batches of one transaction: enough to share a wait, few enough to be done soon.
const GROUP_MAX: usize = 256;

/// Called when a batch is committed, on the writer's thread.
type Committed = Box<dyn FnOnce() + Send>;

enum Batch {
    /// Tried until it is committed.
    Steady { writes: Vec<Write>, committed: Committed },
    /// Tried once.
    Once { writes: Vec<Write>, answer: oneshot::Sender<Result<(), StoreError>> },
}

/// The handle. Dropping it commits what waits, unless the store fails.
pub(crate) struct StoreWriter {
    shared: Arc<Shared>,
    store: Arc<dyn JobStore>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    fault: StoreFault,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Batch>,
    is_closing: bool,
    /// The thread has ended: nothing is committed any more.
    is_closed: bool,
}

impl StoreWriter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system's error if there can be no thread.
    pub(crate) fn start(store: Arc<dyn JobStore>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (own, kept) = (shared.clone(), store.clone());
        let thread = thread::Builder::new().name("sakuga-store".into()).spawn(move || own.work(kept.as_ref()))?;
        Ok(Self { shared, store, thread: Mutex::new(Some(thread)) })
    }

    /// The store, for reading. Writes go through this writer only.
    pub(crate) fn store(&self) -> &Arc<dyn JobStore> {
        &self.store
    }

    /// Commits changes after all earlier ones, and then calls `committed`. Retries without end while the store fails.
    pub(crate) fn write(&self, writes: Vec<Write>, committed: impl FnOnce() + Send + 'static) {
        self.push(Batch::Steady { writes, committed: Box::new(committed) });
    }

    /// Commits changes after all earlier ones. On an error none of them is applied.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn write_once(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.push(Batch::Once { writes, answer });
        answered.await.unwrap_or_else(|_| Err(StoreError::Io("the server is shutting down".into())))
    }

    /// The current error of the store.
    pub(crate) fn fault(&self) -> Option<StoreError> {
        self.shared.fault.get()
    }

    /// Commits the waiting batches, unless the store fails, and ends the thread. Later writes are not committed.
    pub(crate) fn close(&self) {
        self.shared.state.lock().is_closing = true;
        self.shared.wake.notify_one();
        // The thread itself may drop the last handle, in a `committed` callback. It cannot join itself then, and ends once
        // nothing waits.
        if let Some(thread) = self.thread.lock().take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }

    fn push(&self, batch: Batch) {
        let mut state = self.shared.state.lock();
        // Dropped, so that a waiting caller gets an error.
        if !state.is_closed {
            state.waiting.push_back(batch);
            self.shared.wake.notify_one();
        }
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn work(&self, store: &dyn JobStore) {
        while let Some(group) = self.next() {
            self.commit(store, group);
        }
    }

    /// The next batches, in order; `None` when the thread has to end.
    fn next(&self) -> Option<Vec<Batch>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.is_closing {
                state.is_closed = true;
                return None;
            }
            self.wake.wait(&mut state);
        }
        let count = state.waiting.len().min(GROUP_MAX);
        Some(state.waiting.drain(..count).collect())
    }

    fn commit(&self, store: &dyn JobStore, group: Vec<Batch>) {
        let all: Vec<Write> = group.iter().flat_map(Batch::writes).cloned().collect();
        if store.commit(&all).is_ok() {
            self.healthy();
            group.into_iter().for_each(|batch| batch.done(Ok(())));
            return;
        }
        // One by one: a batch that fails must not fail the others.
        let mut group = VecDeque::from(group);
        while let Some(batch) = group.pop_front() {
            match store.commit(batch.writes()) {
                Ok(()) => {
                    self.healthy();
                    batch.done(Ok(()));
                }
                Err(error) if batch.is_steady() => {
                    if !self.pause(&error) {
                        tracing::error!(%error, "the server ends before all writes are stored");
                        return;
                    }
                    // Back to the front: a job's writes stay in order.
                    group.push_front(batch);
                    group = fail_calls(group, &error);
                }
                Err(error) => batch.done(Err(error)),
            }
        }
    }

    fn healthy(&self) {
        if self.fault.clear() {
            tracing::info!("the store works again");
        }
    }

    /// Waits before another attempt, and fails the calls that wait for a commit. Returns whether to try again.
    fn pause(&self, error: &StoreError) -> bool {
        if self.fault.set(error) {
            tracing::error!(%error, "writes of jobs to the store fail; trying again");
        }
        let mut state = self.state.lock();
        let waiting = std::mem::take(&mut state.waiting);
        state.waiting = fail_calls(waiting, error);
        if state.is_closing {
            return false;
        }
        self.wake.wait_for(&mut state, RETRY_PAUSE);
        !state.is_closing
    }
}

/// Fails the batches of waiting callers and returns the others.
fn fail_calls(batches: VecDeque<Batch>, error: &StoreError) -> VecDeque<Batch> {
    let mut kept = VecDeque::with_capacity(batches.len());
    for batch in batches {
        if batch.is_steady() {
            kept.push_back(batch);
        } else {
            batch.done(Err(error.clone()));
        }
    }
    kept
}

impl Batch {
    fn writes(&self) -> &[Write] {
        match self {
            Self::Steady { writes, .. } | Self::Once { writes, .. } => writes,
        }
    }

    fn is_steady(&self) -> bool {
        matches!(self, Self::Steady { .. })
    }

    fn done(self, result: Result<(), StoreError>) {
        match self {
            Self::Steady { committed, .. } => committed(),
            // Ignored by a caller that is gone.
            Self::Once { answer, .. } => _ = answer.send(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redb::RedbStore;

    #[test]
    fn the_thread_itself_may_drop_the_last_handle() {
        let store: Arc<dyn JobStore> = Arc::new(RedbStore::in_memory().expect("room"));
        let writer = Arc::new(StoreWriter::start(store.clone()).expect("a thread"));
        let (gone, dropped) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let held = writer.clone();
        writer.write(Vec::new(), move || {
            may_go.recv().expect("a signal");
            drop(held);
            gone.send(()).expect("waited for");
        });
        let behind = Write::PutJob { job: "behind".into(), record: vec![1] };
        writer.write(vec![behind], || ());
        drop(writer);
        go.send(()).expect("it waits");
        dropped.recv_timeout(Duration::from_secs(20)).expect("the thread continues");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while store.job("behind") != Ok(Some(vec![1])) {
            assert!(std::time::Instant::now() < until, "what waits behind it is committed");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
