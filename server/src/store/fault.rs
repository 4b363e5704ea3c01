//! [`StoreFault`]: the current error of a store.

use std::sync::Arc;

use parking_lot::Mutex;

use super::StoreError;

/// The current error of a store that cannot write. While there is one, new jobs are refused. Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct StoreFault(Arc<Mutex<Option<StoreError>>>);

impl StoreFault {
    /// The error, while there is one.
    pub fn get(&self) -> Option<StoreError> {
        self.0.lock().clone()
    }

    /// Sets the error; returns whether it differs from the one before.
    pub(crate) fn set(&self, error: &StoreError) -> bool {
        let mut fault = self.0.lock();
        let is_new = fault.as_ref() != Some(error);
        if is_new {
            *fault = Some(error.clone());
        }
        is_new
    }

    /// Removes the error; returns whether there was one.
    pub(crate) fn clear(&self) -> bool {
        self.0.lock().take().is_some()
    }
}
