//! The state of a journal, without locks and threads.

use std::time::SystemTime;

use super::entry::{Entry, EventEncoder, Piece, StoredJournal};
use super::lossy::{LossyEvents, LossyKind};
use super::phase::JobPhase;
use super::readers::Readers;
use crate::event::{Event, EventBody};
use crate::job_id::JobId;
use crate::store::Write;

/// Sequence numbers that are reserved at once.
pub(super) const RESERVE: u64 = 1024;

/// The events of a job and what readers may see of them.
pub(super) struct State {
    encoder: Box<dyn EventEncoder>,
    pub(super) phase: JobPhase,
    pub(super) next_sequence: u64,
    /// Sequence numbers below it are reserved in the store.
    pub(super) reserved: u64,
    /// The same, including reservations that are not committed yet.
    pub(super) reserve_asked: u64,
    /// State events, of which the first `committed` are committed.
    pub(super) states: Vec<Entry>,
    pub(super) committed: usize,
    /// The job's encoded record as it is committed.
    pub(super) record: Vec<u8>,
    pub(super) lossy: LossyEvents,
    pub(super) readers: Readers,
}

impl State {
    pub(super) fn new(encoder: Box<dyn EventEncoder>, stored: StoredJournal) -> Self {
        let StoredJournal { states, next_sequence, record } = stored;
        Self {
            encoder,
            phase: JobPhase::Waiting,
            next_sequence,
            reserved: next_sequence,
            reserve_asked: next_sequence,
            committed: states.len(),
            states,
            record,
            lossy: LossyEvents::default(),
            readers: Readers::default(),
        }
    }

    /// Takes an event if it is valid at this point, and returns whether it is. What has to be committed is added to
    /// `writes`.
    pub(super) fn push(&mut self, body: EventBody, job: &JobId, writes: &mut Vec<Write>) -> bool {
        if !self.phase.is_valid_transition(&body, self.next_sequence == 0) {
            return false;
        }
        self.phase = self.phase.after(&body);
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.next_sequence + RESERVE / 2 > self.reserve_asked {
            self.reserve_asked = self.next_sequence + RESERVE;
            writes.push(Write::Reserve { job: job.to_string(), below: self.reserve_asked });
        }
        let lossy = LossyKind::of(&body, sequence);
        if lossy.is_some() && sequence >= self.reserved {
            return true;
        }
        let piece = match body {
            EventBody::ImageChunk { image_index, offset, len, .. } => Some(Piece { image_index, offset, len }),
            _ => None,
        };
        let (frame, record) = self.encoder.encode(Event { sequence, time: SystemTime::now(), body });
        let entry = Entry { sequence, frame, is_preview: lossy == Some(LossyKind::Preview), piece };
        match lossy {
            Some(kind) => self.lossy.push(kind, entry),
            None => {
                let previous = self.states.last().map(|entry| entry.sequence);
                let event = entry.frame.event();
                writes.push(Write::PutEvent { job: job.to_string(), sequence, previous, event });
                writes.extend(record.map(|record| Write::PutJob { job: job.to_string(), record }));
                self.states.push(entry);
            }
        }
        true
    }

    /// Replaces the labels of the job. Returns its encoded record, which has to be committed.
    pub(super) fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8> {
        self.encoder.set_labels(labels)
    }

    /// The first event from a sequence number on that readers may see. Events after one that is not committed yet wait for
    /// it.
    pub(super) fn first_from(&self, sequence: u64) -> Option<&Entry> {
        // The usual case: the reader has read everything.
        if sequence >= self.next_sequence {
            return None;
        }
        let committed = &self.states[..self.committed];
        let state = committed.get(committed.partition_point(|entry| entry.sequence < sequence));
        let limit = self.states.get(self.committed).map_or(u64::MAX, |entry| entry.sequence);
        let lossy = self.lossy.first_from(sequence).filter(|entry| entry.sequence < limit);
        match (state, lossy) {
            (Some(state), Some(lossy)) if lossy.sequence < state.sequence => Some(lossy),
            (Some(state), _) => Some(state),
            (None, lossy) => lossy,
        }
    }

    /// Whether the terminal event is committed, so that nothing follows.
    pub(super) fn is_complete(&self) -> bool {
        self.phase == JobPhase::Ended && self.committed == self.states.len()
    }
}
