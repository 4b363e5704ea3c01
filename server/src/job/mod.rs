//! A job: one accepted request, from the queue to its terminal event.

mod handle;
mod held_images;
mod live;
mod request;

pub use handle::JobHandle;
pub use held_images::{HeldImages, HeldRoom};
pub use live::{Job, LiveJobs};
pub use request::{JobRequest, Priority};
