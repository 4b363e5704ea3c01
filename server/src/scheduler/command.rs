//! [`ModelCommand`]: a change of where a model is, asked for by a call and made by the engine's thread between two jobs.

use tokio::sync::oneshot;

use crate::error::ServerError;
use crate::models::ModelId;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelChange {
    /// Puts the model on the device.
    Load,
    /// Takes the model off the device and frees its copy in host memory.
    Unload,
}

/// A change of where a model is.
pub(super) struct ModelCommand {
    pub(super) model: ModelId,
    pub(super) change: ModelChange,
    pub(super) done: oneshot::Sender<Result<(), ServerError>>,
}
