//! [`Journal`]: publishes a job's events.

use std::fmt;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::entry::{EventEncoder, JournalHooks, StoredJournal};
use super::phase::JobPhase;
use super::state::State;
use crate::event::{EventBody, EventClass};
use crate::job_id::JobId;
use crate::store::Write;
use crate::store::writer::StoreWriter;

/// The journal of one job.
pub(crate) struct Journal {
    job: JobId,
    writer: Arc<StoreWriter>,
    hooks: Arc<dyn JournalHooks>,
    state: Mutex<State>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Journal({})", self.job)
    }
}

impl Journal {
    /// An empty journal.
    pub(crate) fn new(
        job: JobId,
        encoder: Box<dyn EventEncoder>,
        writer: Arc<StoreWriter>,
        hooks: Arc<dyn JournalHooks>,
    ) -> Self {
        Self::resume(job, encoder, writer, hooks, StoredJournal::default())
    }

    /// The journal of a job that waits again after a restart, with what was stored of it.
    pub(crate) fn resume(
        job: JobId,
        encoder: Box<dyn EventEncoder>,
        writer: Arc<StoreWriter>,
        hooks: Arc<dyn JournalHooks>,
        stored: StoredJournal,
    ) -> Self {
        let state = Mutex::new(State::new(encoder, stored));
        Self { job, writer, hooks, state }
    }

    #[cfg(test)]
    pub(crate) fn job(&self) -> &JobId {
        &self.job
    }

    /// Numbers the first events and returns the writes that have to be committed before [`Journal::opened`].
    pub(crate) fn open(&self, bodies: Vec<EventBody>) -> Vec<Write> {
        let mut state = self.state.lock();
        let mut writes = Vec::new();
        for body in bodies {
            let _is_valid = state.push(body, &self.job, &mut writes);
        }
        state.record = last_record(&writes).unwrap_or_default();
        writes
    }

    /// Shows the first events to readers: they are committed.
    pub(crate) fn opened(&self) {
        let mut state = self.state.lock();
        state.committed = state.states.len();
        state.reserved = state.reserve_asked;
        state.readers.wake();
    }

    /// Numbers an event and shows it to readers as soon as it is committed. Returns false, and does nothing, if the event
    /// is not valid at this point of the job, such as any event after the terminal one.
    pub(crate) fn publish(self: &Arc<Self>, body: EventBody) -> bool {
        let is_terminal = body.class() == EventClass::Terminal;
        let mut writes = Vec::new();
        let mut state = self.state.lock();
        if !state.push(body, &self.job, &mut writes) {
            return false;
        }
        let is_visible = state.states.len() == state.committed;
        if !writes.is_empty() {
            let (count, reserved, journal) = (state.states.len(), state.reserve_asked, self.clone());
            let record = last_record(&writes);
            // The lock is held so that a job's writes reach the store in the order of their sequence numbers.
            self.writer.write(writes, move || journal.committed(count, reserved, record, is_terminal));
        }
        if is_visible {
            state.readers.wake();
        }
        true
    }

    /// Replaces the labels of the job, which is no event. They are committed after everything that was published before.
    pub(crate) fn set_labels(self: &Arc<Self>, labels: Vec<String>) {
        let mut state = self.state.lock();
        let record = state.set_labels(labels);
        let (count, reserved, journal) = (state.states.len(), state.reserve_asked, self.clone());
        let writes = vec![Write::PutJob { job: self.job.to_string(), record: record.clone() }];
        // The lock is held, as in `publish`.
        self.writer.write(writes, move || journal.committed(count, reserved, Some(record), false));
    }

    fn committed(&self, count: usize, reserved: u64, record: Option<Vec<u8>>, is_terminal: bool) {
        let mut state = self.state.lock();
        if let Some(record) = record {
            state.record = record;
        }
        state.committed = state.committed.max(count);
        state.reserved = state.reserved.max(reserved);
        state.readers.wake();
        drop(state);
        if is_terminal {
            self.hooks.ended(&self.job);
        }
    }

    /// Ends the readers' streams without a terminal event and refuses all further events, at a shutdown of the server.
    pub(crate) fn seal(&self) {
        let mut state = self.state.lock();
        if state.phase < JobPhase::Ended {
            state.phase = JobPhase::Sealed;
        }
        state.readers.wake();
    }

    /// Whether the terminal event was published.
    #[cfg(test)]
    pub(crate) fn is_ended(&self) -> bool {
        self.state.lock().phase == JobPhase::Ended
    }

    /// The job's encoded record as it is committed.
    pub(crate) fn record(&self) -> Vec<u8> {
        self.state.lock().record.clone()
    }

    /// Whether the job has readers.
    pub(crate) fn is_watched(&self) -> bool {
        !self.state.lock().readers.is_empty()
    }

    /// The sequence number of the next event.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.state.lock().next_sequence
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Calls the hook for a job that lost its last reader.
    pub(super) fn unwatched(&self) {
        self.hooks.unwatched(&self.job);
    }
}

/// The job's record as a batch of writes leaves it, if the batch changes it.
fn last_record(writes: &[Write]) -> Option<Vec<u8>> {
    writes.iter().rev().find_map(|write| match write {
        Write::PutJob { record, .. } => Some(record.clone()),
        _ => None,
    })
}
