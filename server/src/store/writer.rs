//! The thread that commits: whatever waits when it is free becomes one transaction, so that many jobs share one wait for
//! the disk.
//!
//! What a running job writes must not be lost, so it is tried again until the store works; meanwhile nobody sees it and
//! [`StoreWriter::fault`] says why new jobs are refused. What a call waits for is tried once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::{JobStore, StoreError, Write};
use crate::sync::lock;

/// Time between two attempts while the store fails.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// Batches that become one transaction at the most: enough to share a wait, few enough to end soon.
const GROUP_MAX: usize = 256;

/// Told when a batch is committed, from the writer's thread.
type Committed = Box<dyn FnOnce() + Send>;

enum Batch {
    /// Tried until it works.
    Steady { writes: Vec<Write>, committed: Committed },
    /// Tried once.
    Once { writes: Vec<Write>, answer: oneshot::Sender<Result<(), StoreError>> },
}

/// The handle. Dropping it commits what waits, if the store lets it.
pub struct StoreWriter {
    shared: Arc<Shared>,
    store: Arc<dyn JobStore>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Batch>,
    fault: Option<StoreError>,
    is_closing: bool,
}

impl StoreWriter {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub fn start(store: Arc<dyn JobStore>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (own, kept) = (shared.clone(), store.clone());
        let thread = thread::Builder::new().name("sakuga-store".into()).spawn(move || own.work(kept.as_ref()))?;
        Ok(Self { shared, store, thread: Some(thread) })
    }

    /// What the thread writes to, for reading.
    pub fn store(&self) -> &Arc<dyn JobStore> {
        &self.store
    }

    /// Commits changes, after all that were handed over before, and tells; never gives up.
    pub fn write(&self, writes: Vec<Write>, committed: impl FnOnce() + Send + 'static) {
        self.push(Batch::Steady { writes, committed: Box::new(committed) });
    }

    /// Commits changes or says why not; then none of them is applied.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn write_once(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.push(Batch::Once { writes, answer });
        answered.await.unwrap_or_else(|_| Err(StoreError::Io("the server is going down".into())))
    }

    /// Why the store does not take what jobs write, if it does not.
    pub fn fault(&self) -> Option<StoreError> {
        lock(&self.shared.state).fault.clone()
    }

    fn push(&self, batch: Batch) {
        lock(&self.shared.state).waiting.push_back(batch);
        self.shared.wake.notify_one();
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        lock(&self.shared.state).is_closing = true;
        self.shared.wake.notify_one();
        // The last handle may go with what the thread itself has just committed; it cannot wait for its own end, and ends
        // when nothing waits any more.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl Shared {
    fn work(&self, store: &dyn JobStore) {
        while let Some(group) = self.next() {
            self.commit(store, group);
        }
    }

    /// What waits, first to last; `None` at the end.
    fn next(&self) -> Option<Vec<Batch>> {
        let mut state = lock(&self.state);
        while state.waiting.is_empty() {
            if state.is_closing {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
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
        // One that cannot be written must not keep the others from it.
        let mut group = VecDeque::from(group);
        while let Some(batch) = group.pop_front() {
            match store.commit(batch.writes()) {
                Ok(()) => {
                    self.healthy();
                    batch.done(Ok(()));
                }
                Err(error) if batch.is_steady() => {
                    if !self.pause(&error) {
                        tracing::error!(%error, "the server ends before the store has taken everything");
                        return;
                    }
                    // In its place: what a job writes stays in order.
                    group.push_front(batch);
                    group = fail_calls(group, &error);
                }
                Err(error) => batch.done(Err(error)),
            }
        }
    }

    fn healthy(&self) {
        if lock(&self.state).fault.take().is_some() {
            tracing::info!("the store works again");
        }
    }

    /// Waits before another attempt, and refuses meanwhile those who wait for an answer. Returns whether to try again.
    fn pause(&self, error: &StoreError) -> bool {
        let mut state = lock(&self.state);
        if state.fault.as_ref() != Some(error) {
            tracing::error!(%error, "the store does not take what jobs write; trying again");
            state.fault = Some(error.clone());
        }
        let waiting = std::mem::take(&mut state.waiting);
        state.waiting = fail_calls(waiting, error);
        if state.is_closing {
            return false;
        }
        let (state, _) = self.wake.wait_timeout(state, RETRY_PAUSE).unwrap_or_else(PoisonError::into_inner);
        !state.is_closing
    }
}

/// Answers those that are tried once; the others stay.
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
            // A call that has gone has no use for the answer.
            Self::Once { answer, .. } => _ = answer.send(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redb::RedbStore;

    #[test]
    fn the_last_handle_may_go_on_the_thread_itself() {
        let store: Arc<dyn JobStore> = Arc::new(RedbStore::in_memory().expect("room"));
        let writer = Arc::new(StoreWriter::start(store.clone()).expect("a thread"));
        let (gone, told) = std::sync::mpsc::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let held = writer.clone();
        writer.write(Vec::new(), move || {
            may_go.recv().expect("told to");
            drop(held);
            gone.send(()).expect("waited for");
        });
        let behind = Write::PutJob { job: "behind".into(), record: vec![1] };
        writer.write(vec![behind], || ());
        drop(writer);
        go.send(()).expect("it waits");
        told.recv_timeout(Duration::from_secs(20)).expect("the thread goes on");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while store.job("behind") != Ok(Some(vec![1])) {
            assert!(std::time::Instant::now() < until, "what waits behind it is committed");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
