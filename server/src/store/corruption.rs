//! [`Corruption`]: the signal that a database was found to be damaged while it was in use.

use std::sync::Arc;

use tokio::sync::watch;

/// Set once, when a database is found to be damaged. Clones share the state.
#[derive(Clone, Debug)]
pub struct Corruption(Arc<watch::Sender<Option<String>>>);

impl Default for Corruption {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Corruption {
    /// What was found, if anything was.
    pub fn found(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until damage is found, and returns what was found. Never completes for an undamaged database.
    pub async fn wait(&self) -> String {
        let mut found = self.0.subscribe();
        loop {
            if let Some(what) = found.borrow_and_update().clone() {
                return what;
            }
            // The sender is alive as long as `self`.
            if found.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Records what was found and returns true. Keeps an earlier finding and returns false.
    pub(super) fn set(&self, what: &str) -> bool {
        self.0.send_if_modified(|found| {
            let is_first = found.is_none();
            found.get_or_insert_with(|| what.to_owned());
            is_first
        })
    }
}
