//! The journal of a job: numbers its events, keeps them in a valid order, has them committed before any reader sees them,
//! and serves any number of readers from one buffer.
//!
//! Publishing never waits. State events stay until the job is deleted; a job's steps and chunks bound their number, and the
//! bytes of the chunks are in the artifact store. Of the lossy events only the newest are kept: one sample, one queue
//! position, and previews up to [`PREVIEWS_MAX`] and [`PREVIEW_BYTES_MAX`]. A reader holds only its sequence number, so a
//! slow reader costs nothing; gaps in the numbers show it what it missed.
//!
//! Lossy events are not stored, but their numbers must not be used again after a restart. Numbers are therefore reserved
//! in the store in advance; a lossy event beyond the reservation is dropped.

mod entry;
mod lossy;
mod phase;
mod publish;
mod reader;
mod readers;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use entry::{Entry, EventEncoder, JournalHooks, Piece, StoredJournal};
pub(crate) use publish::Journal;
pub(crate) use reader::{Next, Reader};
