//! [`RedbStore`]: jobs, events and records of assets in one file, an embedded copy-on-write B-tree whose commits are atomic and checksummed.
//!
//! After an I/O error the database refuses everything. It is then opened again, which restores its last commit. Where its file
//! was damaged the database panics or reports corruption: then the store refuses everything, notes that next to the file, and
//! signals a [`Corruption`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, WriteTransaction,
};
use sakuga_model_core::read_regular_file;

use super::bounded::Bounded;
use super::guard::caught;
use super::overlay::Overlay;
use super::seal::{self, Key};
use super::slots;
use super::{Corruption, JobStore, StoreError, StoredAsset, StoredRecord, Write};

pub(super) const JOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("jobs");
pub(super) const EVENTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("events");
pub(super) const RESERVED: TableDefinition<'_, &str, u64> = TableDefinition::new("reserved");
pub(super) const NAMES: TableDefinition<'_, &[u8], &str> = TableDefinition::new("names");
pub(super) const ASSETS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("assets");
const TABLES: usize = 5;
/// Memory for pages; jobs in work need little.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of records after which a scan of jobs ends early.
const SCAN_BYTES: usize = 1024 * 1024;
/// Upper bound of sequence numbers. A larger number in the store is damage.
const SEQUENCE_MAX: u64 = 1 << 53;

/// Opens the storage of the database; called again after it failed.
pub type OpenBackend = Box<dyn Fn() -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// The storage of the database.
pub enum Backing {
    /// In a file, which one process locks.
    File(PathBuf),
    /// In a file that is read and not changed: what is written stays in memory.
    ReadOnly(PathBuf),
    /// In the storage that the function returns.
    Backend(OpenBackend),
}

impl fmt::Debug for Backing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "File({})", path.display()),
            Self::ReadOnly(path) => write!(formatter, "ReadOnly({})", path.display()),
            Self::Backend(_) => formatter.write_str("Backend"),
        }
    }
}

impl Backing {
    /// The file; `None` if the database is in other storage.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::ReadOnly(path) => Some(path),
            Self::Backend(_) => None,
        }
    }
}

/// Bytes that are read of the file of noted damage.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// The file in which a store notes that its database was found to be damaged.
pub fn damage_note(database: &Path) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_owned();
    name.push(".damage.txt");
    database.with_file_name(name)
}

/// The content of that file, if it is there.
pub fn noted_damage(database: &Path) -> Option<String> {
    let noted = read_regular_file(&damage_note(database), NOTE_BYTES_MAX).ok()?;
    Some(String::from_utf8_lossy(&noted).trim().to_owned())
}

/// Jobs, events and asset records in a database of redb.
#[derive(Debug)]
pub struct RedbStore {
    backing: Backing,
    /// `None` after an error, until the next use.
    open: Mutex<Option<Arc<Database>>>,
    /// Which file it is, by the system's numbers.
    identity: Option<(u64, u64)>,
    /// Length of the file after the last commit: nobody else makes it shorter.
    len: AtomicU64,
    corruption: Corruption,
    /// Whether the last commit could not be read when the store was opened, so that it has the state before it.
    lacks_last_commit: bool,
    is_closed: AtomicBool,
}

impl RedbStore {
    /// Opens the store, or makes an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(backing: Backing) -> Result<Self, StoreError> {
        let (database, lacks_last_commit) = open(&backing)?;
        let (identity, len) = backing.file().and_then(identity).unzip();
        let (open, len) = (Mutex::new(Some(Arc::new(database))), AtomicU64::new(len.unwrap_or(0)));
        let corruption = Corruption::default();
        Ok(Self { backing, open, identity, len, corruption, lacks_last_commit, is_closed: AtomicBool::new(false) })
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if a thread's memory is exhausted.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::open(Backing::Backend(Box::new(|| Ok(Box::new(InMemoryBackend::new())))))
    }

    /// Whether the last commit could not be read when the store was opened, so that it has the state before it: the power failed
    /// while it was written, or the file is damaged.
    pub fn lacks_last_commit(&self) -> bool {
        self.lacks_last_commit
    }

    /// Calls a function with the database; opens it again first if it failed before.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        if let Some(found) = self.corruption.found() {
            return Err(StoreError::Corrupt(found));
        }
        let database = self.database()?;
        let error = match caught(|| work(&database)) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => self.classify(&error),
            Err(panic) => StoreError::Corrupt(self.located(&panic)),
        };
        let mut slot = self.open.lock();
        let current = slot.take_if(|current| Arc::ptr_eq(current, &database));
        drop(slot);
        // The file stays locked until the last reference is dropped; the next call tries again.
        close((current, database));
        Err(self.note(error))
    }

    fn database(&self) -> Result<Arc<Database>, StoreError> {
        let mut slot = self.open.lock();
        if self.is_closed.load(Ordering::Acquire) {
            return Err(StoreError::Io("it is closed: the server is shutting down".into()));
        }
        if let Some(database) = &*slot {
            return Ok(database.clone());
        }
        // An empty file would be made a new store, without the jobs of this one.
        if let Some(path) = self.backing.file()
            && std::fs::metadata(path).map_or(0, |file| file.len()) == 0
        {
            return Err(self.note(StoreError::Corrupt(self.located("the file was deleted or emptied"))));
        }
        let (database, _) = open(&self.backing).map_err(|error| self.note(error))?;
        Ok(slot.insert(Arc::new(database)).clone())
    }

    fn classify(&self, error: &redb::Error) -> StoreError {
        match store_error(error) {
            StoreError::Corrupt(what) => StoreError::Corrupt(self.located(&what)),
            other => other,
        }
    }

    /// The text with the name of the file.
    fn located(&self, what: &str) -> String {
        self.backing.file().map_or_else(|| what.to_owned(), |path| format!("{}: {what}", path.display()))
    }

    /// Notes and signals damage, once.
    fn note(&self, error: StoreError) -> StoreError {
        if let StoreError::Corrupt(what) = &error
            && self.corruption.set(what)
            && let Backing::File(path) = &self.backing
            && let Err(failed) = std::fs::write(damage_note(path), format!("{what}\n"))
        {
            tracing::warn!(file = %path.display(), %failed, "the damage could not be noted next to the file");
        }
        error
    }

    /// Checks that the file is still the one that was opened, and not shorter than `least`. Returns its length.
    fn check_in_place(&self, least: u64) -> Result<u64, StoreError> {
        let (Backing::File(path), Some(opened)) = (&self.backing, self.identity) else { return Ok(0) };
        match identity(path) {
            Some((found, len)) if found == opened && len >= least => Ok(len),
            Some((found, _)) if found == opened => {
                Err(self.note(StoreError::Corrupt(self.located("the file was cut while the server used it"))))
            }
            _ => Err(self
                .note(StoreError::Corrupt(self.located("the file was deleted or replaced while the server used it")))),
        }
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        close(self.open.get_mut().take());
    }
}

/// Drops a database. That may write to its file, and panic if the file is damaged.
fn close<T>(database: T) {
    if let Err(panic) = caught(|| drop(database)) {
        tracing::error!(panic, "the database could not be closed; the next start recovers its last commit");
    }
}

/// Device and number of a file, and its length.
#[cfg(unix)]
fn identity(path: &Path) -> Option<((u64, u64), u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| ((file.dev(), file.ino()), file.len()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<((u64, u64), u64)> {
    None
}

/// Whether the checksums of all pages of a database file are right, also of those that only writers use. The file is not
/// changed.
///
/// # Errors
///
/// [`StoreError`] if the file cannot be opened as a database.
pub fn has_right_checksums(path: &Path) -> Result<bool, StoreError> {
    let (mut database, _) = open(&Backing::ReadOnly(path.to_owned()))?;
    let checked = caught(|| database.check_integrity());
    close(database);
    // An error of the check is damage as well.
    Ok(matches!(checked, Ok(Ok(true))))
}

/// How far redb is with the repair of a file when the last commit turned out to be unreadable, and it looks at the one before.
const PROGRESS_AT_FALLBACK: f64 = 0.3;

/// Opens a database, and says whether its last commit could not be read, so that it has the state before it.
fn open(backing: &Backing) -> Result<(Database, bool), StoreError> {
    let located = |error: StoreError| match (error, backing.file()) {
        (StoreError::Corrupt(what), Some(path)) => StoreError::Corrupt(format!("{}: {what}", path.display())),
        (error, _) => error,
    };
    // Opened before the database, which may panic: an error here is one of the system.
    let backend: Box<dyn StorageBackend> = match backing {
        Backing::File(path) => Box::new(file(path)?),
        Backing::ReadOnly(path) => Box::new(Overlay::open(path)?),
        Backing::Backend(make) => make().map_err(|error| StoreError::from_io(&error))?,
    };
    let is_damaged = slots::last_commit_is_damaged(&*backend);
    let opened = caught(|| {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let falls_back = Arc::new(AtomicBool::new(false));
        let noted = falls_back.clone();
        builder.set_repair_callback(move |session| {
            if session.progress() == PROGRESS_AT_FALLBACK {
                noted.store(true, Ordering::Relaxed);
            }
        });
        let database = builder.create_with_backend(Bounded(backend));
        let database = database.map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
            other => store_error(&other.into()),
        })?;
        prepare(&database).map_err(|error| store_error(&error))?;
        Ok((database, is_damaged || falls_back.load(Ordering::Relaxed)))
    });
    opened.unwrap_or_else(|panic| Err(StoreError::Corrupt(panic))).map_err(located)
}

/// The file of a database, made if it is not there.
fn file(path: &Path) -> Result<FileBackend, StoreError> {
    let opened = std::fs::File::options().read(true).write(true).create(true).truncate(false).open(path);
    FileBackend::new(opened.map_err(|error| StoreError::from_io(&error))?).map_err(|error| store_error(&error.into()))
}

/// Creates the tables, so that readers find them; writes nothing if they exist.
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
    transaction.open_table(ASSETS)?;
    transaction.commit()?;
    Ok(())
}

impl JobStore for RedbStore {
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.check_in_place(self.len.load(Ordering::Acquire))?;
        self.with(|database| {
            let transaction = database.begin_write()?;
            apply(&transaction, writes)?;
            transaction.commit()?;
            Ok(())
        })?;
        self.len.store(self.check_in_place(0)?, Ordering::Release);
        Ok(())
    }

    fn job(&self, job: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.with(|database| {
            let table = database.begin_read()?.open_table(JOBS)?;
            Ok(table.get(job)?.map(|record| record.value().to_vec()))
        })?;
        stored.map(|stored| seal::open(Key::Job(job), &stored).map(<[u8]>::to_vec)).transpose()
    }

    fn jobs(&self, before: Option<&str>, limit: usize) -> Result<Vec<StoredRecord>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(JOBS)?;
            let range = match before {
                Some(before) => table.range::<&str>(..before)?,
                None => table.range::<&str>(..)?,
            };
            let (mut found, mut bytes) = (Vec::<StoredRecord>::new(), 0);
            for entry in range.rev().take(limit) {
                let (job, record) = entry?;
                let (job, stored) = (job.value(), record.value());
                // With a damaged key callers that read on before the last job would never come to an end.
                if found.last().map_or(before, |(last, _)| Some(last)).is_some_and(|above| job >= above) {
                    return Ok(Err(StoreError::Corrupt("the jobs are not in the order of their ids".into())));
                }
                bytes += stored.len();
                found.push((job.to_owned(), seal::open(Key::Job(job), stored).map(<[u8]>::to_vec)));
                if bytes >= SCAN_BYTES {
                    break;
                }
            }
            Ok(Ok(found))
        })?
    }

    fn events(&self, job: &str, from: u64) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(EVENTS)?;
            let mut found = Vec::new();
            for entry in table.range((job, from)..=(job, u64::MAX))? {
                let (key, event) = entry?;
                let (job, sequence) = key.value();
                let opened = match seal::open_event(job, sequence, event.value()) {
                    Ok(opened) => opened,
                    Err(error) => return Ok(Err(error)),
                };
                if let Some((before, _)) = found.last()
                    && !opened.follows(*before)
                {
                    let what = format!("an event between {before} and {sequence} is missing");
                    return Ok(Err(StoreError::Damaged(what)));
                }
                found.push((sequence, Bytes::copy_from_slice(opened.event)));
            }
            Ok(Ok(found))
        })?
    }

    fn reserved(&self, job: &str) -> Result<u64, StoreError> {
        let below = self.with(|database| {
            let table = database.begin_read()?.open_table(RESERVED)?;
            Ok(table.get(job)?.map_or(0, |below| below.value()))
        })?;
        if below > SEQUENCE_MAX {
            return Err(StoreError::Damaged(format!("a job cannot have {below} events")));
        }
        Ok(below)
    }

    fn named(&self, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(NAMES)?;
            Ok(table.get(name)?.map(|job| job.value().to_owned()))
        })
    }

    fn assets(&self) -> Result<Vec<StoredAsset>, StoreError> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(ASSETS)?;
            let mut found = Vec::new();
            for entry in table.iter()? {
                let (key, record) = entry?;
                let (key, stored) = (key.value(), record.value());
                found.push((key.to_vec(), seal::open(Key::Asset(key), stored).map(<[u8]>::to_vec)));
            }
            Ok(found)
        })
    }

    fn corruption(&self) -> Corruption {
        self.corruption.clone()
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // A reader may hold it for a moment longer, and then closes it.
        close(self.open.lock().take());
    }

    fn location(&self) -> String {
        self.backing.file().map_or_else(|| "memory".to_owned(), |path| path.display().to_string())
    }
}

fn apply(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), redb::Error> {
    let mut jobs = transaction.open_table(JOBS)?;
    let mut events = transaction.open_table(EVENTS)?;
    let mut reserved = transaction.open_table(RESERVED)?;
    let mut names = transaction.open_table(NAMES)?;
    let mut assets = transaction.open_table(ASSETS)?;
    for write in writes {
        match write {
            Write::PutJob { job, record } => {
                jobs.insert(job.as_str(), seal::seal(Key::Job(job), record).as_slice())?;
            }
            Write::PutEvent { job, sequence, previous, event } => {
                let sealed = seal::seal_event(job, *sequence, *previous, event);
                events.insert((job.as_str(), *sequence), sealed.as_slice())?;
            }
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
            Write::PutAsset { key, record } => {
                assets.insert(key.as_slice(), seal::seal(Key::Asset(key), record).as_slice())?;
            }
            Write::DeleteAsset { key } => _ = assets.remove(key.as_slice())?,
        }
    }
    Ok(())
}

fn store_error(error: &redb::Error) -> StoreError {
    match error {
        // The database reads where its file ends, or what its file begins with is not a database.
        redb::Error::Io(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData) => {
            StoreError::Corrupt(error.to_string())
        }
        redb::Error::Io(error) => StoreError::from_io(error),
        redb::Error::Corrupted(what) => StoreError::Corrupt(what.clone()),
        other @ (redb::Error::TableTypeMismatch { .. }
        | redb::Error::TypeDefinitionChanged { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)) => StoreError::Corrupt(other.to_string()),
        other => StoreError::Io(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(job: &str, sequence: u64) -> Write {
        let previous = (sequence > 0).then_some(0);
        Write::PutEvent { job: job.into(), sequence, previous, event: Bytes::from(sequence.to_string()) }
    }

    #[test]
    fn jobs_out_of_order_are_damage_and_no_endless_list() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("jobs.redb");
        let store = RedbStore::open(Backing::File(path.clone())).expect("a new store");
        let put = |job: &str| Write::PutJob { job: job.into(), record: job.as_bytes().to_vec() };
        store.commit(&[put("job-1"), put("job-2"), put("job-3")]).expect("room");
        drop(store);
        let mut bytes = std::fs::read(&path).expect("there");
        let keys: Vec<usize> = (0..bytes.len() - 5).filter(|at| &bytes[*at..at + 5] == b"job-1").collect();
        keys.iter().for_each(|at| bytes[at + 4] = b'9');
        std::fs::write(&path, bytes).expect("written");
        let store = RedbStore::open(Backing::File(path)).expect("its pages are not read yet");
        let (mut before, mut pages) = (None::<String>, 0);
        let error = loop {
            match store.jobs(before.as_deref(), 1) {
                Ok(page) => before = Some(page.last().expect("a damaged key and no end").0.clone()),
                Err(error) => break error,
            }
            pages += 1;
            assert!(pages < 10, "the same jobs again");
        };
        assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
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
        let names = |found: Vec<StoredRecord>| found.into_iter().map(|(job, _)| job).collect::<Vec<_>>();
        assert_eq!(names(store.jobs(None, 2).expect("readable")), ["c", "b"]);
        assert_eq!(names(store.jobs(Some("b"), 2).expect("readable")), ["a"]);
        let numbers: Vec<u64> = store.events("b", 0).expect("readable").into_iter().map(|(number, _)| number).collect();
        assert_eq!(numbers, [0, 7]);
        assert_eq!(store.events("b", 1).expect("readable").len(), 1);
        store.commit(&[event("d", 0), event("d", 2), event("d", 3)]).expect("room");
        let gap = store.events("d", 0).expect_err("3 follows 0, it says");
        assert_eq!(gap, StoreError::Damaged("an event between 2 and 3 is missing".into()));
        assert_eq!((store.reserved("b"), store.reserved("a")), (Ok(9), Ok(0)));
        assert_eq!(store.named(b"n"), Ok(Some("b".into())));
        store.commit(&[Write::Compact { job: "b".into(), below: 7 }]).expect("room");
        assert_eq!(store.events("b", 0).expect("readable").len(), 1);
        store.commit(&[Write::Delete { job: "b".into(), name: b"n".to_vec() }]).expect("room");
        assert_eq!((store.job("b"), store.named(b"n"), store.reserved("b")), (Ok(None), Ok(None), Ok(0)));
        assert_eq!(store.events("b", 0), Ok(vec![]));
        assert_eq!(store.events("c", 0).expect("readable").len(), 1, "the others are left alone");
        let asset = |record: &[u8]| Write::PutAsset { key: vec![7; 64], record: record.to_vec() };
        store.commit(&[asset(b"one"), asset(b"two")]).expect("room");
        assert_eq!(store.assets(), Ok(vec![(vec![7; 64], Ok(b"two".to_vec()))]));
        store.commit(&[Write::DeleteAsset { key: vec![7; 64] }]).expect("room");
        assert_eq!(store.assets(), Ok(vec![]));
    }
}
