//! Work on files apart from the threads that serve calls.

use super::error::AssetError;
use crate::store::StoreError;

/// Runs what reads or writes files on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AssetError> {
    let done = tokio::task::spawn_blocking(work).await;
    Ok(done.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())))?)
}
