//! One reader of a journal: a number, and what comes behind it.

use std::sync::Arc;

use tokio::sync::watch;

use super::{Entry, Journal, Phase, State};
use crate::sync::lock;

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// An event.
    Event(Entry),
    /// The terminal event was read.
    End,
    /// The server goes down before the job's end.
    Sealed,
}

/// A reader. Dropping the last one of a job that has not ended tells the journal's hooks.
pub struct Reader {
    source: Source,
    next_sequence: u64,
}

enum Source {
    /// A job of this process.
    Live { journal: Arc<Journal>, changed: watch::Receiver<()> },
    /// An ended job, as it was written down.
    Kept(Arc<[Entry]>),
}

impl Reader {
    /// Reads a job that has ended, from a number on.
    pub fn of_ended(states: Arc<[Entry]>, next_sequence: u64) -> Self {
        Self { source: Source::Kept(states), next_sequence }
    }

    /// The number below which everything was read or left out.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The next event. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Next {
        loop {
            let found = match &mut self.source {
                Source::Kept(states) => {
                    let place = states.partition_point(|entry| entry.sequence < self.next_sequence);
                    states.get(place).cloned().map_or(Next::End, Next::Event)
                }
                Source::Live { journal, changed } => {
                    changed.mark_unchanged();
                    let found = journal.state().look(self.next_sequence);
                    let Some(found) = found else {
                        // The sender lives in the journal, which is held here.
                        let _ = changed.changed().await;
                        continue;
                    };
                    found
                }
            };
            if let Next::Event(entry) = &found {
                self.next_sequence = entry.sequence + 1;
            }
            return found;
        }
    }
}

impl Journal {
    /// A reader from a number on.
    pub fn read(self: &Arc<Self>, next_sequence: u64) -> Reader {
        lock(&self.state).readers += 1;
        let changed = self.changed.subscribe();
        Reader { source: Source::Live { journal: self.clone(), changed }, next_sequence }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// What a reader at this number gets now; `None`: nothing yet.
    fn look(&self, from: u64) -> Option<Next> {
        if let Some(entry) = self.find(from) {
            return Some(Next::Event(entry));
        }
        match self.phase {
            Phase::Ended if self.committed == self.states.len() => Some(Next::End),
            Phase::Sealed => Some(Next::Sealed),
            _ => None,
        }
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
            journal.hooks.unwatched(&journal.job);
        }
    }
}
