//! The models that the server can run, each behind [`sakuga_model_core::ImageModel`].
//!
//! [`scripted`] draws gradients at set times, for tests and for authors of clients. `burn` opens real models; no other file names
//! the model crate.

#[cfg(feature = "burn")]
pub(crate) mod burn;
pub mod scripted;
