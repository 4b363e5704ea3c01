//! Converts the records that an older server wrote.

use super::record::Record;
use crate::store::{JobStore, StoreError, Write};

/// Records that are converted in one commit.
const BATCH: usize = 256;

/// Rewrites every record of an older version in the present one, and returns how many there were. Damaged records are
/// left as they are.
///
/// # Errors
///
/// [`StoreError`] if the store cannot be read or written, and [`StoreError::Newer`] if a newer server wrote a record. What
/// was committed before stays converted; a second call converts the rest.
pub(crate) fn migrate(store: &dyn JobStore) -> Result<usize, StoreError> {
    let mut count = 0;
    let mut before: Option<String> = None;
    loop {
        let scanned = store.jobs(before.as_deref(), BATCH)?;
        let Some((last, _)) = scanned.last() else { return Ok(count) };
        before = Some(last.clone());
        let mut writes = Vec::new();
        for (job, bytes) in scanned {
            let Ok(bytes) = bytes else { continue };
            match Record::of(&job, &bytes) {
                Ok(record) if Record::is_outdated(&bytes) => {
                    writes.push(Write::PutJob { job, record: record.encode() });
                }
                Err(newer @ StoreError::Newer(_)) => return Err(newer),
                Ok(_) | Err(_) => {}
            }
        }
        if !writes.is_empty() {
            count += writes.len();
            store.commit(&writes)?;
        }
    }
}
