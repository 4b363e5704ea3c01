//! A job: one accepted request, from the queue to its terminal event.

mod handle;
mod live;
mod request;

pub use handle::JobHandle;
pub use live::{Job, LiveJobs};
pub use request::{JobRequest, Priority};
