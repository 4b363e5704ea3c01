//! What a job has told so far: numbers events, keeps their order lawful, has them written down before anybody sees them,
//! and serves any number of readers from one buffer.
//!
//! Writers never wait. State events are kept until the job is forgotten: they are bounded by a job's steps and pieces,
//! and the pieces' bytes lie in the artifact store. Of the lossy events only the newest are kept, one sample and one place
//! in the queue, previews up to [`PREVIEWS_MAX`] and [`PREVIEW_BYTES_MAX`]; a reader holds nothing but its number, so a
//! slow one costs nothing and sees the hole.
//!
//! Lossy events are not written down, but their numbers must not come again after a restart: numbers are reserved in the
//! store in advance, and a lossy event beyond the reserve is dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::watch;

use crate::event::{Event, EventBody, EventClass};
use crate::job_id::JobId;
use crate::store::Write;
use crate::store::writer::StoreWriter;
use crate::sync::lock;

mod reader;
#[cfg(test)]
mod tests;

pub use reader::{Next, Reader};

/// Most previews that wait for readers: two for each picture of a large batch.
pub const PREVIEWS_MAX: usize = 32;
/// Most bytes of previews that wait for readers; a single larger one is kept all the same.
pub const PREVIEW_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Numbers that are reserved at once.
const RESERVE: u64 = 1024;

/// Turns events into what is written down, and keeps the job's record by them.
pub trait EventEncoder: Send {
    /// The event as bytes, and the job's record if the event changed it.
    fn write(&mut self, event: Event) -> (Bytes, Option<Vec<u8>>);
}

/// Hears of a job's turns; called while nothing is locked.
pub trait JournalHooks: Send + Sync {
    /// The last reader has gone and the job has not ended.
    fn unwatched(&self, job: &JobId);
    /// The terminal event is written down.
    fn ended(&self, job: &JobId);
}

/// What was written down of a job in an earlier run.
#[derive(Clone, Debug, Default)]
pub struct StoredJournal {
    /// Its state events.
    pub states: Vec<Entry>,
    /// The first number that nobody has seen.
    pub next_sequence: u64,
    /// Its record.
    pub record: Vec<u8>,
}

/// An event that is written down or, being lossy, need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub sequence: u64,
    /// What the encoder made of it.
    pub message: Bytes,
    /// The piece of a picture that belongs to it.
    pub piece: Option<Piece>,
}

/// A piece of a finished picture in the artifact store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which picture.
    pub image_index: u32,
    /// Bytes before it.
    pub offset: u64,
    /// Its bytes.
    pub len: u64,
}

/// Where a job is, as far as the order of its events goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
enum Phase {
    #[default]
    Waiting,
    Running,
    Sending,
    /// The terminal event was published.
    Ended,
    /// The server goes down, or never accepted the job: nothing more comes from this process.
    Sealed,
}

/// The journal of one job.
pub struct Journal {
    job: JobId,
    writer: Arc<StoreWriter>,
    hooks: Arc<dyn JournalHooks>,
    state: Mutex<State>,
    /// Told when readers have something new.
    changed: watch::Sender<()>,
}

struct State {
    encoder: Box<dyn EventEncoder>,
    phase: Phase,
    next_sequence: u64,
    /// Numbers below it are reserved in the store, and those that were asked for.
    reserved: u64,
    reserve_asked: u64,
    /// State events, of which the first `committed` are written down.
    states: Vec<Entry>,
    committed: usize,
    /// The job's record as it is written down.
    record: Vec<u8>,
    lossy: VecDeque<(Lossy, Entry)>,
    preview_bytes: usize,
    readers: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lossy {
    Place,
    Sample,
    Preview,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Journal({})", self.job)
    }
}

impl Journal {
    /// An empty journal.
    pub fn new(
        job: JobId,
        encoder: Box<dyn EventEncoder>,
        writer: Arc<StoreWriter>,
        hooks: Arc<dyn JournalHooks>,
    ) -> Self {
        Self::resume(job, encoder, writer, hooks, StoredJournal::default())
    }

    /// The journal of a job that waits again, with what was written down of it.
    pub fn resume(
        job: JobId,
        encoder: Box<dyn EventEncoder>,
        writer: Arc<StoreWriter>,
        hooks: Arc<dyn JournalHooks>,
        stored: StoredJournal,
    ) -> Self {
        let StoredJournal { states, next_sequence, record } = stored;
        let state = State {
            encoder,
            phase: Phase::Waiting,
            next_sequence,
            reserved: next_sequence,
            reserve_asked: next_sequence,
            committed: states.len(),
            states,
            record,
            lossy: VecDeque::new(),
            preview_bytes: 0,
            readers: 0,
        };
        Self { job, writer, hooks, state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// The job.
    pub fn job(&self) -> &JobId {
        &self.job
    }

    /// Numbers the first events and returns what has to be committed before [`Journal::opened`].
    pub fn open(&self, bodies: Vec<EventBody>) -> Vec<Write> {
        let mut state = lock(&self.state);
        let mut writes = Vec::new();
        for body in bodies {
            let _lawful = state.push(body, &self.job, &mut writes);
        }
        state.record = last_record(&writes).unwrap_or_default();
        writes
    }

    /// Shows the first events.
    pub fn opened(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.committed = state.states.len();
        state.reserved = state.reserve_asked;
        drop(state);
        self.changed.send_replace(());
    }

    /// Numbers an event and hands it to the readers as soon as it is written down. Returns whether it was lawful at this
    /// point: after the terminal event nothing is, and statistics and previews only between `started` and the first piece
    /// of a picture.
    pub fn publish(self: &Arc<Self>, body: EventBody) -> bool {
        let is_terminal = body.class() == EventClass::Terminal;
        let mut writes = Vec::new();
        let mut state = lock(&self.state);
        if !state.push(body, &self.job, &mut writes) {
            return false;
        }
        let is_shown = state.states.len() == state.committed;
        if !writes.is_empty() {
            let (count, reserved, journal) = (state.states.len(), state.reserve_asked, self.clone());
            let record = last_record(&writes);
            // Under the lock, so that a job's writes reach the store in the order of their numbers.
            self.writer.write(writes, move || journal.written(count, reserved, record, is_terminal));
        }
        drop(state);
        if is_shown {
            self.changed.send_replace(());
        }
        true
    }

    fn written(&self, count: usize, reserved: u64, record: Option<Vec<u8>>, is_terminal: bool) {
        let mut state = lock(&self.state);
        if let Some(record) = record {
            state.record = record;
        }
        state.committed = state.committed.max(count);
        state.reserved = state.reserved.max(reserved);
        drop(state);
        self.changed.send_replace(());
        if is_terminal {
            self.hooks.ended(&self.job);
        }
    }

    /// Ends the readers' streams without a terminal event; nothing is published any more.
    pub fn seal(&self) {
        let mut state = lock(&self.state);
        if state.phase < Phase::Ended {
            state.phase = Phase::Sealed;
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Whether the terminal event was published.
    pub fn is_ended(&self) -> bool {
        lock(&self.state).phase == Phase::Ended
    }

    /// The job's record as it is written down.
    pub fn record(&self) -> Vec<u8> {
        lock(&self.state).record.clone()
    }

    /// Whether anybody reads.
    pub fn is_watched(&self) -> bool {
        lock(&self.state).readers > 0
    }

    /// The number of the next event.
    pub fn next_sequence(&self) -> u64 {
        lock(&self.state).next_sequence
    }
}

/// The job's record as a batch leaves it, if it changes it.
fn last_record(writes: &[Write]) -> Option<Vec<u8>> {
    writes.iter().rev().find_map(|write| match write {
        Write::PutJob { record, .. } => Some(record.clone()),
        _ => None,
    })
}

/// Whether an event may be given up for a newer one: also a place in the queue, but for the one behind `accepted`.
fn is_lossy(body: &EventBody, sequence: u64) -> bool {
    body.class() == EventClass::Lossy || (sequence > 1 && matches!(body, EventBody::Queued { .. }))
}

impl State {
    /// Takes an event if it is lawful; `writes` gets what has to be written down.
    fn push(&mut self, body: EventBody, job: &JobId, writes: &mut Vec<Write>) -> bool {
        if !self.is_valid_transition(&body) {
            return false;
        }
        match body {
            EventBody::Started => self.phase = Phase::Running,
            EventBody::ImageChunk { .. } => self.phase = Phase::Sending,
            EventBody::Requeued { .. } => self.phase = Phase::Waiting,
            _ if body.class() == EventClass::Terminal => self.phase = Phase::Ended,
            _ => {}
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.next_sequence + RESERVE / 2 > self.reserve_asked {
            self.reserve_asked = self.next_sequence + RESERVE;
            writes.push(Write::Reserve { job: job.to_string(), below: self.reserve_asked });
        }
        let is_lossy = is_lossy(&body, sequence);
        if is_lossy && sequence >= self.reserved {
            return true;
        }
        let piece = match body {
            EventBody::ImageChunk { image_index, offset, len, .. } => Some(Piece { image_index, offset, len }),
            _ => None,
        };
        let kind = match body {
            EventBody::Preview(_) => Lossy::Preview,
            EventBody::Queued { .. } => Lossy::Place,
            _ => Lossy::Sample,
        };
        let (message, record) = self.encoder.write(Event { sequence, time: SystemTime::now(), body });
        if is_lossy {
            self.keep_lossy(kind, Entry { sequence, message, piece });
        } else {
            writes.push(Write::PutEvent { job: job.to_string(), sequence, event: message.clone() });
            writes.extend(record.map(|record| Write::PutJob { job: job.to_string(), record }));
            self.states.push(Entry { sequence, message, piece });
        }
        true
    }

    fn is_valid_transition(&self, body: &EventBody) -> bool {
        match (body, body.class()) {
            (_, EventClass::Terminal) | (EventBody::Requeued { .. }, _) => self.phase < Phase::Ended,
            (_, EventClass::Lossy) | (EventBody::Step { .. } | EventBody::Stage(_) | EventBody::Profile(_), _) => {
                self.phase == Phase::Running
            }
            (EventBody::Accepted { .. }, _) => self.next_sequence == 0,
            (EventBody::Queued { .. } | EventBody::Started, _) => self.phase == Phase::Waiting,
            (_, EventClass::State) => matches!(self.phase, Phase::Running | Phase::Sending),
        }
    }

    /// Keeps a lossy event in the place of older ones.
    fn keep_lossy(&mut self, kind: Lossy, entry: Entry) {
        if kind == Lossy::Preview {
            let bytes = entry.message.len();
            let mut previews = self.lossy.iter().filter(|(kind, _)| *kind == Lossy::Preview).count();
            while previews > 0 && (previews >= PREVIEWS_MAX || self.preview_bytes + bytes > PREVIEW_BYTES_MAX) {
                let Some(oldest) = self.lossy.iter().position(|(kind, _)| *kind == Lossy::Preview) else { break };
                if let Some((_, dropped)) = self.lossy.remove(oldest) {
                    self.preview_bytes -= dropped.message.len();
                }
                previews -= 1;
            }
            self.preview_bytes += bytes;
        } else {
            self.lossy.retain(|(kept, _)| *kept != kind);
        }
        self.lossy.push_back((kind, entry));
    }

    /// The first event from a number on that may be shown.
    fn find(&self, from: u64) -> Option<Entry> {
        let committed = &self.states[..self.committed];
        // What lies behind an event that is not written down yet has to wait for it.
        let limit = self.states.get(self.committed).map_or(u64::MAX, |entry| entry.sequence);
        let state = committed.get(committed.partition_point(|entry| entry.sequence < from));
        let place = self.lossy.partition_point(|(_, entry)| entry.sequence < from);
        let lossy = self.lossy.get(place).map(|(_, entry)| entry).filter(|entry| entry.sequence < limit);
        match (state, lossy) {
            (Some(state), Some(lossy)) if lossy.sequence < state.sequence => Some(lossy.clone()),
            (Some(state), _) => Some(state.clone()),
            (None, lossy) => lossy.cloned(),
        }
    }
}
