//! [`DeviceCommand`]: what a call asks of a device, done by its engine thread between two jobs.

use tokio::sync::oneshot;

use crate::error::ServerError;
use crate::models::ModelId;

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelChange {
    /// Loads the model to the device.
    Load,
    /// Unloads the model and frees its copy in host memory.
    Unload,
}

/// The action of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Model(ModelId, ModelChange),
    /// Nothing: the call waits for the end of the running job.
    Drain,
    /// Unloads all models.
    Clear,
    /// Loads the models that were taken off the device, unless it was disabled again meanwhile.
    Restore,
}

/// What a call asks of a device.
pub(super) struct DeviceCommand {
    pub(super) change: Change,
    pub(super) done: oneshot::Sender<Result<(), ServerError>>,
}

impl DeviceCommand {
    /// A command, and what receives its result.
    pub(super) fn new(change: Change) -> (Self, oneshot::Receiver<Result<(), ServerError>>) {
        let (done, result) = oneshot::channel();
        (Self { change, done }, result)
    }
}

/// The results of the commands of one call. Dropping it cancels those that were not begun.
#[must_use = "dropping it cancels the commands"]
pub(crate) struct Pending(pub(super) Vec<oneshot::Receiver<Result<(), ServerError>>>);

impl Pending {
    /// Waits for all commands.
    ///
    /// # Errors
    ///
    /// The first error, or [`ServerError::ShuttingDown`] if the scheduler was closed before.
    pub(crate) async fn done(self) -> Result<(), ServerError> {
        let mut first = Ok(());
        for result in self.0 {
            let result = result.await.unwrap_or(Err(ServerError::ShuttingDown));
            first = first.and(result);
        }
        first
    }
}
