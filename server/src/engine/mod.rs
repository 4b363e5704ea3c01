//! The models that the server can run, each behind [`sakuga_model_core::ImageModel`].
//!
//! [`scripted`] is always there and draws gradients on a timetable, for tests and for those who write clients. `burn` opens
//! the real model and is the only file that names the model crate.

#[cfg(feature = "burn")]
pub(crate) mod burn;
pub mod scripted;
