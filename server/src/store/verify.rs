//! [`RedbStore::verify`]: reads a whole database once.

use bytes::Bytes;
use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use super::StoreError;
use super::redb::{ASSETS, EVENTS, JOBS, NAMES, RESERVED, RedbStore};
use super::seal::{self, Key};

/// The owner of a value of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOwner {
    /// A job, with its id.
    Job(String),
    /// An asset, with the key of its record.
    Asset(Vec<u8>),
}

/// A value that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedValue {
    /// What it belongs to.
    pub owner: ValueOwner,
    /// What is wrong.
    pub error: StoreError,
}

impl RedbStore {
    /// Reads every key and value, and returns the values that are not what was written: records of jobs, events and records of assets.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if the database cannot be read to its end, so that undamaged jobs may be out of reach.
    pub fn verify(&self) -> Result<Vec<DamagedValue>, StoreError> {
        self.with(|database| {
            let transaction = database.begin_read()?;
            let mut damaged = Vec::new();
            let mut note = |job: &str, error: StoreError| {
                damaged.push(DamagedValue { owner: ValueOwner::Job(job.to_owned()), error })
            };
            let (mut last, mut count) = (String::new(), 0);
            let table = transaction.open_table(JOBS)?;
            for entry in table.iter()? {
                count += 1;
                let (job, record) = entry?;
                let job = job.value();
                in_order(last.as_str() < job, "jobs")?;
                last = job.to_owned();
                if let Err(error) = seal::open(Key::Job(job), record.value()) {
                    note(job, error);
                }
            }
            complete(count, table.len()?, "jobs")?;
            let (mut last, mut count): (Option<(String, u64)>, _) = (None, 0);
            let table = transaction.open_table(EVENTS)?;
            for entry in table.iter()? {
                count += 1;
                let (key, event) = entry?;
                let (job, sequence) = key.value();
                in_order(last.as_ref().is_none_or(|(before, at)| (before.as_str(), *at) < (job, sequence)), "events")?;
                let before = last.as_ref().filter(|(before, _)| before == job).map(|(_, sequence)| *sequence);
                match (seal::open_event(job, sequence, event.value()), before) {
                    (Ok(opened), Some(before)) if !opened.follows(before) => {
                        note(job, StoreError::Damaged(format!("an event between {before} and {sequence} is missing")));
                    }
                    (Ok(_), _) => {}
                    (Err(error), _) => note(job, error),
                }
                last = Some((job.to_owned(), sequence));
            }
            complete(count, table.len()?, "events")?;
            let (table, mut count) = (transaction.open_table(RESERVED)?, 0);
            for entry in table.iter()? {
                count += 1;
                let (job, below) = entry?;
                let _ = (job.value(), below.value());
            }
            complete(count, table.len()?, "reserved")?;
            let (table, mut count) = (transaction.open_table(NAMES)?, 0);
            for entry in table.iter()? {
                count += 1;
                let (name, job) = entry?;
                let _ = (name.value(), job.value());
            }
            complete(count, table.len()?, "names")?;
            let (table, mut count, mut last) = (transaction.open_table(ASSETS)?, 0, Vec::new());
            for entry in table.iter()? {
                count += 1;
                let (key, record) = entry?;
                let key = key.value();
                in_order(last.as_slice() < key, "assets")?;
                last = key.to_vec();
                if let Err(error) = seal::open(Key::Asset(key), record.value()) {
                    damaged.push(DamagedValue { owner: ValueOwner::Asset(key.to_vec()), error });
                }
            }
            complete(count, table.len()?, "assets")?;
            Ok(damaged)
        })
    }

    /// A job's events after the last one that is damaged or missing, and how many are left out, at least.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn undamaged_events(&self, job: &str) -> Result<(Vec<(u64, Bytes)>, usize), StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(EVENTS)?;
            let (mut found, mut left_out): (Vec<(u64, Bytes)>, _) = (Vec::new(), 0);
            for entry in table.range((job, 0)..=(job, u64::MAX))? {
                let (key, event) = entry?;
                let (job, sequence) = key.value();
                let opened = seal::open_event(job, sequence, event.value()).ok();
                let is_next = |before: &(u64, Bytes)| opened.is_some_and(|opened| opened.follows(before.0));
                if opened.is_none() || !found.last().is_none_or(is_next) {
                    left_out += found.len().max(1);
                    found.clear();
                }
                found.extend(opened.map(|opened| (sequence, Bytes::copy_from_slice(opened.event))));
            }
            Ok((found, left_out))
        })
    }
}

/// The keys of a table ascend; damage of a branch page can make them descend or repeat.
fn in_order(is_so: bool, table: &str) -> Result<(), redb::Error> {
    if is_so {
        Ok(())
    } else {
        Err(redb::Error::Corrupted(format!("the keys of the table `{table}` are out of order")))
    }
}

/// A table states the number of its entries; damage of a page can hide some of them.
fn complete(found: u64, expected: u64, table: &str) -> Result<(), redb::Error> {
    if found == expected {
        return Ok(());
    }
    Err(redb::Error::Corrupted(format!("{found} of the {expected} entries of the table `{table}` can be read")))
}
