//! [`Reader`]: reads a job's events from a sequence number on.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::entry::Entry;
use super::phase::JobPhase;
use super::publish::Journal;

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Event(Entry),
    /// The terminal event was read.
    End,
    /// The server shuts down before the job's end.
    Sealed,
}

/// A reader. Dropping the last one of a job that has not ended calls [`JournalHooks::unwatched`](super::JournalHooks).
pub(crate) struct Reader {
    source: Source,
    next_sequence: u64,
}

enum Source {
    /// A job of this process, and the key of this reader in its journal.
    Live { journal: Arc<Journal>, key: usize },
    /// An ended job, as it was stored.
    Stored(Arc<[Entry]>),
}

impl Reader {
    /// Reads a live job from a sequence number on.
    pub(crate) fn of_live(journal: Arc<Journal>, next_sequence: u64) -> Self {
        let key = journal.state().readers.add();
        Self { source: Source::Live { journal, key }, next_sequence }
    }

    /// Reads an ended job from a sequence number on.
    pub(crate) fn of_ended(states: Arc<[Entry]>, next_sequence: u64) -> Self {
        Self { source: Source::Stored(states), next_sequence }
    }

    /// Every event below this sequence number was read, or dropped in favour of a newer one.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The next event. Dropping the future loses nothing.
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Next {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event, or `Pending`: then the task is woken when there may be one.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        let next = match &self.source {
            Source::Stored(states) => {
                let index = states.partition_point(|entry| entry.sequence < self.next_sequence);
                states.get(index).cloned().map_or(Next::End, Next::Event)
            }
            Source::Live { journal, key } => {
                let mut state = journal.state();
                match state.first_from(self.next_sequence) {
                    Some(entry) => Next::Event(entry.clone()),
                    None if state.is_complete() => Next::End,
                    None if state.phase == JobPhase::Sealed => Next::Sealed,
                    None => {
                        let replaced = state.readers.wait(*key, context.waker());
                        // Dropping a waker may drop its task, which may hold a reader of this journal.
                        drop(state);
                        drop(replaced);
                        return Poll::Pending;
                    }
                }
            }
        };
        if let Next::Event(entry) = &next {
            self.next_sequence = entry.sequence + 1;
        }
        Poll::Ready(next)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Source::Live { journal, key } = &self.source else { return };
        let mut state = journal.state();
        let waker = state.readers.remove(*key);
        let is_last = state.readers.is_empty() && state.phase < JobPhase::Ended;
        drop(state);
        drop(waker);
        if is_last {
            journal.unwatched();
        }
    }
}
