//! The entries of a journal, and the traits that it uses.

use crate::event::Event;
use crate::event_frame::EventFrame;
use crate::job_id::JobId;

/// Encodes a job's events once, for the store and for all readers, and keeps the job's record up to date.
pub(crate) trait EventEncoder: Send {
    /// The encoded event, and the job's encoded record if the event changed it.
    fn encode(&mut self, event: Event) -> (EventFrame, Option<Vec<u8>>);
    /// Replaces the labels in the job's record, and returns the encoded record.
    fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8>;
}

/// Called by the journal when a job loses its readers or ends. No lock is held during the calls.
pub(crate) trait JournalHooks: Send + Sync {
    /// The last reader was dropped and the job has not ended.
    fn unwatched(&self, job: &JobId);
    /// The terminal event is committed. Runs before the next commit, so later admissions see this job as ended.
    fn ended(&self, job: &JobId);
}

/// A job as an earlier run of the server stored it.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredJournal {
    /// The state events.
    pub states: Vec<Entry>,
    /// The first sequence number that no reader can have seen.
    pub next_sequence: u64,
    /// The job's encoded record.
    pub record: Vec<u8>,
}

/// An event that readers may see: it is committed, or it is lossy and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its sequence number.
    pub sequence: u64,
    /// The encoded event. Clones share the bytes.
    pub frame: EventFrame,
    /// Whether it is a preview, which streams leave out when their clients do not keep up.
    pub is_preview: bool,
    /// The piece of a picture that belongs to the event; its bytes are in the artifact store.
    pub piece: Option<Piece>,
}

/// A piece of a finished picture in the artifact store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which picture of the job.
    pub image_index: u32,
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
}
