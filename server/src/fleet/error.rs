//! Errors of the fleet as those of the server.

use sakuga_fleet::FleetError;

use crate::app::AppError;
use crate::error::ServerError;
use crate::store::StoreError;

/// Why a role could not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// As for the single server.
    #[error(transparent)]
    App(#[from] AppError),
    /// The fleet cannot be used.
    #[error(transparent)]
    Fleet(#[from] FleetError),
}

/// What a client gets to know: NATS and the object store are the store of a fleet.
pub(super) fn to_server(error: FleetError) -> ServerError {
    match error {
        FleetError::Damaged(_) => ServerError::Store(StoreError::Damaged(error.to_string())),
        FleetError::TooLarge { .. } => ServerError::Store(StoreError::Exhausted(error.to_string())),
        _ => ServerError::Store(StoreError::Io(error.to_string())),
    }
}
