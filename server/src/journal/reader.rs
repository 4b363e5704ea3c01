//! [`Reader`]: reads a job's events from a sequence number on.

use std::sync::Arc;

use tokio::sync::watch;

use super::entry::Entry;
use super::phase::Phase;
use super::publish::Journal;

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event(Entry),
    /// The terminal event was read.
    End,
    /// The server shuts down before the job's end.
    Sealed,
}

/// A reader. Dropping the last one of a job that has not ended calls [`JournalHooks::unwatched`](super::JournalHooks).
pub struct Reader {
    source: Source,
    next_sequence: u64,
}

enum Source {
    /// A job of this process.
    Live { journal: Arc<Journal>, changed: watch::Receiver<()> },
    /// An ended job, as it was stored.
    Stored(Arc<[Entry]>),
}

impl Reader {
    /// Reads a live job from a sequence number on.
    pub fn of_live(journal: Arc<Journal>, next_sequence: u64) -> Self {
        journal.state().readers += 1;
        let changed = journal.subscribe();
        Self { source: Source::Live { journal, changed }, next_sequence }
    }

    /// Reads an ended job from a sequence number on.
    pub fn of_ended(states: Arc<[Entry]>, next_sequence: u64) -> Self {
        Self { source: Source::Stored(states), next_sequence }
    }

    /// Every event below this sequence number was read, or dropped in favour of a newer one.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        loop {
            if let Some(next) = self.try_next() {
                return next;
            }
            if let Source::Live { changed, .. } = &mut self.source {
                // Never an error: the sender is in the journal, which is held here.
                let _ = changed.changed().await;
            }
        }
    }

    /// The next event if there is one now; `None`: the reader has to wait.
    fn try_next(&mut self) -> Option<Next> {
        let next = match &mut self.source {
            Source::Stored(states) => {
                let index = states.partition_point(|entry| entry.sequence < self.next_sequence);
                states.get(index).cloned().map_or(Next::End, Next::Event)
            }
            Source::Live { journal, changed } => {
                // Before the look at the state, so that a change after it wakes the reader.
                changed.mark_unchanged();
                let state = journal.state();
                match state.first_from(self.next_sequence) {
                    Some(entry) => Next::Event(entry.clone()),
                    None if state.is_complete() => Next::End,
                    None if state.phase == Phase::Sealed => Next::Sealed,
                    None => return None,
                }
            }
        };
        if let Next::Event(entry) = &next {
            self.next_sequence = entry.sequence + 1;
        }
        Some(next)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Source::Live { journal, .. } = &self.source else { return };
        let is_last = {
            let mut state = journal.state();
            state.readers -= 1;
            state.readers == 0 && state.phase < Phase::Ended
        };
        if is_last {
            journal.unwatched();
        }
    }
}
