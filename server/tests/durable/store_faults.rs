//! Stores that fail: a full disk, a failing one, and one that loses power in the middle of a write.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use redb::StorageBackend;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_server::config::EngineChoice;
use sakuga_server::engine::scripted::Script;
use sakuga_server::store::artifacts::ObjectArtifacts;
use sakuga_server::store::redb::{Backing, RedbStore};
use sakuga_server::store::{ArtifactStore, JobStore, StoreError, Write};
use sakuga_server::{App, Config};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::server::TestServer;
use crate::support::{Dice, PATIENCE, Seen, request};

/// The state of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Health {
    Works,
    Full,
    Fails,
}

/// A disk in memory that fails on cue. Writes reach its durable half when they are synced.
#[derive(Clone, Debug, Default)]
struct Disk {
    shared: Arc<DiskState>,
}

#[derive(Debug, Default)]
struct DiskState {
    health: AtomicU8,
    /// Writes until the power goes; 0: it stays.
    writes_left: AtomicU64,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    /// The contents that programs see.
    current: Vec<u8>,
    /// The contents that survive a loss of power.
    durable: Vec<u8>,
    /// Writes since the last sync.
    pending: Vec<(u64, Vec<u8>)>,
    is_off: bool,
}

impl Disk {
    fn set(&self, health: Health) {
        self.shared.health.store(health as u8, Ordering::SeqCst);
    }

    fn check(&self) -> io::Result<()> {
        if self.shared.content.lock().expect("no panic").is_off {
            return Err(io::Error::other("the power is gone"));
        }
        match self.shared.health.load(Ordering::SeqCst) {
            health if health == Health::Full as u8 => Err(io::Error::from(io::ErrorKind::StorageFull)),
            health if health == Health::Fails as u8 => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }

    /// Turns the power on again: some of what was not synced is there, and one write of it only in part.
    fn restart(&self, dice: &mut Dice) {
        let mut content = self.shared.content.lock().expect("no panic");
        let pending = std::mem::take(&mut content.pending);
        for (offset, mut data) in pending {
            match dice.roll(3) {
                0 => continue,
                1 => data.truncate(dice.roll(data.len() as u64 + 1) as usize),
                _ => {}
            }
            let (start, end) = (offset as usize, offset as usize + data.len());
            if content.durable.len() < end {
                content.durable.resize(end, 0);
            }
            content.durable[start..end].copy_from_slice(&data);
        }
        content.current = content.durable.clone();
        content.is_off = false;
        self.shared.writes_left.store(0, Ordering::SeqCst);
    }

    fn store(&self) -> Result<RedbStore, StoreError> {
        let disk = self.clone();
        RedbStore::open(Backing::Backend(Box::new(move || Ok(Box::new(disk.clone())))))
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.shared.content.lock().expect("no panic").current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.shared.content.lock().expect("no panic");
        let start = offset as usize;
        let found = content.current.get(start..start + out.len());
        out.copy_from_slice(found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        let mut content = self.shared.content.lock().expect("no panic");
        content.current.resize(len as usize, 0);
        // A file system keeps a file's length with its own journal.
        content.durable.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check()?;
        let mut content = self.shared.content.lock().expect("no panic");
        content.pending.clear();
        content.durable = content.current.clone();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        let mut content = self.shared.content.lock().expect("no panic");
        let (start, end) = (offset as usize, offset as usize + data.len());
        if content.current.len() < end {
            content.current.resize(end, 0);
        }
        content.current[start..end].copy_from_slice(data);
        content.pending.push((offset, data.to_vec()));
        if self.shared.writes_left.load(Ordering::SeqCst) > 0
            && self.shared.writes_left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            content.is_off = true;
            return Err(io::Error::other("the power goes"));
        }
        Ok(())
    }
}

/// What was committed is there after a loss of power at any write, and what was not is there whole or not at all.
#[test]
fn a_torn_write_loses_nothing_that_was_acknowledged() {
    for seed in 1..=60 {
        let mut dice = Dice(seed);
        let disk = Disk::default();
        let mut store = disk.store().expect("the disk works");
        let mut acknowledged = 0_u64;
        for _ in 0..4 {
            disk.shared.writes_left.store(1 + dice.roll(40), Ordering::SeqCst);
            loop {
                let sequence = acknowledged;
                let event = Bytes::from(vec![sequence as u8; 10 + dice.roll(5_000) as usize]);
                let record = sequence.to_le_bytes().to_vec();
                let writes = [
                    Write::PutEvent { job: "job".into(), sequence, previous: sequence.checked_sub(1), event },
                    Write::PutJob { job: "job".into(), record },
                ];
                if store.commit(&writes).is_err() {
                    break;
                }
                acknowledged += 1;
            }
            drop(store);
            disk.restart(&mut dice);
            store = disk.store().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            let events = store.events("job", 0).expect("the disk works");
            let record = store
                .job("job")
                .expect("the disk works")
                .map_or(0, |record| 1 + u64::from_le_bytes(record.try_into().expect("eight bytes")));
            assert_eq!(record, events.len() as u64, "seed {seed}: a commit is whole");
            assert!((acknowledged..=acknowledged + 1).contains(&record), "seed {seed}: {acknowledged} and {record}");
            for (place, (sequence, event)) in events.iter().enumerate() {
                assert_eq!(*sequence, place as u64, "seed {seed}");
                assert!(event.iter().all(|byte| *byte == *sequence as u8), "seed {seed}: event {sequence}");
            }
            acknowledged = record;
        }
    }
}

/// Pictures on a disk that fails on cue.
struct FailingArtifacts {
    inner: ObjectArtifacts,
    disk: Disk,
}

#[tonic::async_trait]
impl ArtifactStore for FailingArtifacts {
    async fn put(&self, job: &str, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        self.disk.check().map_err(|error| StoreError::from_io(&error))?;
        self.inner.put(job, image_index, file).await
    }

    async fn get(&self, job: &str, image_index: u32, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get(job, image_index, range).await
    }

    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError> {
        self.inner.delete(job, images).await
    }
}

struct Server {
    jobs: JobServiceClient<Channel>,
    server: TestServer,
}

async fn server(disk: &Disk, step_ms: u64) -> Server {
    let script = Script { step_ms, text_encode_ms: 0, decode_ms: 0, ..Script::default() };
    let config = Config { models: EngineChoice::Scripted(script).into(), ..Config::default() };
    let artifacts = FailingArtifacts { inner: ObjectArtifacts::in_memory(), disk: disk.clone() };
    let store = Arc::new(disk.store().expect("the disk works"));
    let app = App::build_over(config, store, Arc::new(artifacts)).await.expect("the server starts");
    let server = TestServer::of(app);
    Server { jobs: server.jobs(), server }
}

impl Server {
    async fn create(&mut self, name: &str, steps: u32) -> Result<String, Status> {
        Ok(self.jobs.create_job(request(name, steps)).await?.into_inner().job.expect("a job").job_id)
    }

    async fn end(self) {
        drop(self.jobs);
        self.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_new_jobs_and_the_running_job_waits_for_space() {
    for (health, code, reason) in
        [(Health::Full, Code::ResourceExhausted, "DISK_FULL"), (Health::Fails, Code::Unavailable, "STORE_UNAVAILABLE")]
    {
        let disk = Disk::default();
        let mut server = server(&disk, 5).await;
        let job_id = server.create("running", 100).await.expect("accepted");
        let mut seen = Seen::default();
        let mut jobs = server.jobs.clone();
        // It runs when the disk fails.
        let _ = tokio::time::timeout(Duration::from_millis(40), seen.follow(&mut jobs, &job_id)).await;
        disk.set(health);
        for attempt in 0..3 {
            let refused = server.create(&format!("refused {attempt}"), 1).await.expect_err("there is no room");
            assert_eq!(refused.code(), code, "{refused:?}");
            assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, reason);
            assert!(refused.get_details_retry_info().expect("RetryInfo").retry_delay.is_some());
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        // Nobody sees what is not written down, the end of the job above all.
        let _ = tokio::time::timeout(Duration::from_millis(300), seen.follow(&mut jobs, &job_id)).await;
        assert!(!seen.is_over(), "{health:?}");
        disk.set(Health::Works);
        tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &job_id)).await.expect("it ends").expect("it lives");
        assert!(matches!(seen.events.last().expect("events").event, Some(Event::Completed(_))));
        seen.assert_whole(&mut jobs, &job_id).await;
        // It recovers by itself, and what was refused left nothing behind.
        let accepted = async {
            while server.create("refused 0", 1).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, accepted).await.expect("there is room again");
        drop(jobs);
        server.end().await;
    }
}
