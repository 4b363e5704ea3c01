//! [`RedbStore`]: jobs and events in one file, an embedded copy-on-write B-tree whose commits are atomic and checksummed.
//!
//! After an I/O error the database refuses everything. It is then opened again, which restores its last commit.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use redb::backends::InMemoryBackend;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
};

use super::{JobStore, StoreError, Write};

const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
const RESERVED: TableDefinition<'_, &str, u64> = TableDefinition::new("reserved");
const NAMES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("names");
const TABLES: usize = 4;
/// Memory for pages; jobs in work need little.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// Makes the storage that the database lives in, again after it failed.
pub type OpenBackend = Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// Where the database lives.
pub enum Backing {
    /// In a file.
    File(PathBuf),
    /// In whatever the function makes.
    Backend(OpenBackend),
}

impl fmt::Debug for Backing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "File({})", path.display()),
            Self::Backend(_) => formatter.write_str("Backend"),
        }
    }
}

/// The store.
#[derive(Debug)]
pub struct RedbStore {
    backing: Backing,
    /// `None` after an error, until the next use.
    open: Mutex<Option<Arc<Database>>>,
}

impl RedbStore {
    /// Opens the store, or makes an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(backing: Backing) -> Result<Self, StoreError> {
        let database = open(&backing)?;
        Ok(Self { backing, open: Mutex::new(Some(Arc::new(database))) })
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    ///
    /// [`StoreError`], of which a new store in memory has none to tell.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::open(Backing::Backend(Box::new(|| Ok(Box::new(InMemoryBackend::new())))))
    }

    /// Does something with the database; opens it again first if it failed before.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let database = {
            let mut slot = self.open.lock();
            match &*slot {
                Some(database) => database.clone(),
                None => slot.insert(Arc::new(open(&self.backing)?)).clone(),
            }
        };
        work(&database).map_err(|error| {
            let error = store_error(&error);
            let mut slot = self.open.lock();
            if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, &database)) {
                *slot = None;
            }
            // The file is locked until the last user has let go of it; the next call finds that out.
            drop(database);
            error
        })
    }
}

fn open(backing: &Backing) -> Result<Database, StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = match backing {
        Backing::File(path) => builder.create(path),
        Backing::Backend(make) => {
            builder.create_with_backend(Boxed(make().map_err(|error| StoreError::from_io(&error))?))
        }
    };
    let database = database.map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
        other => store_error(&other.into()),
    })?;
    prepare(&database).map_err(|error| store_error(&error))?;
    Ok(database)
}

/// Makes the tables, so that readers find them; writes nothing if they are there.
fn prepare(database: &Database) -> Result<(), redb::Error> {
    let tables = database.begin_read()?.list_tables()?.count();
    if tables == TABLES {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    transaction.open_table(JOBS)?;
    transaction.open_table(EVENTS)?;
    transaction.open_table(RESERVED)?;
    transaction.open_table(NAMES)?;
    transaction.commit()?;
    Ok(())
}

impl JobStore for RedbStore {
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            apply(&transaction, writes)?;
            transaction.commit()?;
            Ok(())
        })
    }

    fn job(&self, job: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(JOBS)?;
            Ok(table.get(job)?.map(|record| record.value().to_vec()))
        })
    }

    fn jobs(&self, before: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(JOBS)?;
            let range = match before {
                Some(before) => table.range::<&str>(..before)?,
                None => table.range::<&str>(..)?,
            };
            let mut found = Vec::new();
            for entry in range.rev().take(limit) {
                let (job, record) = entry?;
                found.push((job.value().to_owned(), record.value().to_vec()));
            }
            Ok(found)
        })
    }

    fn events(&self, job: &str, from: u64) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(EVENTS)?;
            let mut found = Vec::new();
            for entry in table.range((job, from)..=(job, u64::MAX))? {
                let (key, event) = entry?;
                found.push((key.value().1, Bytes::copy_from_slice(event.value())));
            }
            Ok(found)
        })
    }

    fn reserved(&self, job: &str) -> Result<u64, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(RESERVED)?;
            Ok(table.get(job)?.map_or(0, |below| below.value()))
        })
    }

    fn named(&self, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(NAMES)?;
            Ok(table.get(name)?.map(|job| job.value().to_owned()))
        })
    }
}

fn apply(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), redb::Error> {
    let mut jobs = transaction.open_table(JOBS)?;
    let mut events = transaction.open_table(EVENTS)?;
    let mut reserved = transaction.open_table(RESERVED)?;
    let mut names = transaction.open_table(NAMES)?;
    for write in writes {
        match write {
            Write::PutJob { job, record } => _ = jobs.insert(job.as_str(), record.as_slice())?,
            Write::PutEvent { job, sequence, event } => _ = events.insert((job.as_str(), *sequence), event.as_ref())?,
            Write::Reserve { job, below } => _ = reserved.insert(job.as_str(), below)?,
            Write::PutName { name, job } => _ = names.insert(name.as_slice(), job.as_str())?,
            Write::Compact { job, below } => {
                events.retain_in((job.as_str(), 0)..(job.as_str(), *below), |_, _| false)?
            }
            Write::Delete { job, name } => {
                jobs.remove(job.as_str())?;
                reserved.remove(job.as_str())?;
                events.retain_in((job.as_str(), 0)..=(job.as_str(), u64::MAX), |_, _| false)?;
                // The name may have gone to another job since.
                let is_its_own = names.get(name.as_slice())?.is_some_and(|named| named.value() == job);
                if is_its_own {
                    names.remove(name.as_slice())?;
                }
            }
        }
    }
    Ok(())
}

fn store_error(error: &redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => StoreError::from_io(error),
        redb::Error::Corrupted(what) => StoreError::Damaged(what.clone()),
        other => StoreError::Io(other.to_string()),
    }
}

/// A backend behind a pointer.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }

    fn close(&self) -> Result<(), io::Error> {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(job: &str, sequence: u64) -> Write {
        Write::PutEvent { job: job.into(), sequence, event: Bytes::from(sequence.to_string()) }
    }

    #[test]
    fn what_is_committed_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("jobs.redb");
        let store = RedbStore::open(Backing::File(path.clone())).expect("a new store");
        let put = |job: &str| Write::PutJob { job: job.into(), record: job.as_bytes().to_vec() };
        store.commit(&[put("a"), put("b"), put("c"), event("b", 0), event("b", 7), event("c", 1)]).expect("room");
        store.commit(&[Write::PutName { name: b"n".to_vec(), job: "b".into() }]).expect("room");
        store.commit(&[Write::Reserve { job: "b".into(), below: 9 }]).expect("room");
        assert!(matches!(RedbStore::open(Backing::File(path.clone())), Err(StoreError::InUse)));
        drop(store);
        let store = RedbStore::open(Backing::File(path)).expect("the same store");
        let names = |found: Vec<(String, Vec<u8>)>| found.into_iter().map(|(job, _)| job).collect::<Vec<_>>();
        assert_eq!(names(store.jobs(None, 2).expect("readable")), ["c", "b"]);
        assert_eq!(names(store.jobs(Some("b"), 2).expect("readable")), ["a"]);
        let numbers: Vec<u64> = store.events("b", 0).expect("readable").into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 7]);
        assert_eq!(store.events("b", 1).expect("readable").len(), 1);
        assert_eq!((store.reserved("b"), store.reserved("a")), (Ok(9), Ok(0)));
        assert_eq!(store.named(b"n"), Ok(Some("b".into())));
        store.commit(&[Write::Compact { job: "b".into(), below: 7 }]).expect("room");
        assert_eq!(store.events("b", 0).expect("readable").len(), 1);
        store.commit(&[Write::Delete { job: "b".into(), name: b"n".to_vec() }]).expect("room");
        assert_eq!((store.job("b"), store.named(b"n"), store.reserved("b")), (Ok(None), Ok(None), Ok(0)));
        assert_eq!(store.events("b", 0), Ok(vec![]));
        assert_eq!(store.events("c", 0).expect("readable").len(), 1, "the others are left alone");
    }
}
