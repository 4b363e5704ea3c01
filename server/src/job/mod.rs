//! A job: one accepted request, from the queue to its terminal event.

mod handle;
mod held_images;
mod live;
mod request;
mod scene;

pub(crate) use handle::JobHandle;
pub(crate) use held_images::HeldImages;
pub(crate) use live::{Job, LiveJobs};
pub(crate) use request::{JobRequest, PictureTexts, Placement, Priority};
pub(crate) use scene::ScenePass;
