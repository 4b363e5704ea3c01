//! The encoder thread: encodes pixels to files, so that the engine's thread never waits for a codec or a disk.
//!
//! Tasks run in order, so a job's previews are published before its pictures. A preview that still waits is replaced by a
//! newer one of the same picture. At most [`FINISHED_MAX`] finished jobs wait; then the engine's thread waits too.

mod finish;
mod preview;
mod sink;
mod thread;

pub(crate) use finish::{FinishTask, OnEncoded};
pub(crate) use preview::PreviewTask;
pub(crate) use thread::Encoder;
