//! However fast jobs come and however slowly old ones are deleted, few more are kept than the limit.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sakuga_proto::generation::v1::{JobFilter, JobState, ListJobsRequest};
use sakuga_server::config::JobsConfig;
use sakuga_server::config::Retention;
use sakuga_server::store::artifacts::ObjectArtifacts;
use sakuga_server::store::redb::RedbStore;
use sakuga_server::store::{ArtifactStore, StoreError};
use tonic::Code;

use crate::host::Host;
use crate::support::{PATIENCE, request};

/// Ended jobs that are kept.
const KEPT: usize = 5;
/// How many more there may be meanwhile; `retention/index.rs` has the bound.
const MARGIN: usize = 64;
/// How long it takes to delete a job's pictures.
const DELETION: Duration = Duration::from_millis(60);
/// Clients at the same time, and jobs of each.
const CLIENTS: usize = 20;
const JOBS_EACH: usize = 15;

/// Pictures that are deleted slowly or not at all.
struct Cellar {
    inner: ObjectArtifacts,
    held: Mutex<HashSet<String>>,
    most: AtomicUsize,
    is_locked: AtomicBool,
}

impl Cellar {
    fn new() -> Arc<Self> {
        let (held, most, is_locked) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Self { inner: ObjectArtifacts::in_memory(), held, most, is_locked })
    }

    fn held(&self) -> usize {
        self.held.lock().expect("no panic").len()
    }
}

#[tonic::async_trait]
impl ArtifactStore for Cellar {
    async fn put(&self, job: &str, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        let held = {
            let mut held = self.held.lock().expect("no panic");
            held.insert(job.to_owned());
            held.len()
        };
        self.most.fetch_max(held, Ordering::SeqCst);
        self.inner.put(job, image_index, file).await
    }

    async fn get(&self, job: &str, image_index: u32, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get(job, image_index, range).await
    }

    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError> {
        if self.is_locked.load(Ordering::SeqCst) {
            return Err(StoreError::Io("the cellar is locked".into()));
        }
        tokio::time::sleep(DELETION).await;
        self.inner.delete(job, images).await?;
        self.held.lock().expect("no panic").remove(job);
        Ok(())
    }
}

/// Asks for many jobs at once, and waits until all have ended.
async fn flood(host: &Host) {
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let mut jobs = host.jobs.clone();
        clients.push(tokio::spawn(async move {
            for round in 0..JOBS_EACH {
                // The queue is full: poll again later.
                while let Err(status) = jobs.create_job(request(&format!("{client}-{round}"), 1)).await {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }));
    }
    for client in clients {
        tokio::time::timeout(PATIENCE, client).await.expect("in time").expect("no assertion failed");
    }
    let filter = JobFilter { states: vec![JobState::Queued.into(), JobState::Running.into()], ..JobFilter::default() };
    let mut jobs = host.jobs.clone();
    let over = async {
        loop {
            let call = ListJobsRequest { filter: Some(filter.clone()), ..ListJobsRequest::default() };
            if jobs.list_jobs(call).await.expect("readable").into_inner().jobs.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over).await.expect("every job ends");
}

fn jobs() -> JobsConfig {
    JobsConfig { retention: Retention { count: KEPT, ..Retention::default() }, ..JobsConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_outrun_the_deletion_of_old_jobs() {
    let cellar = Cellar::new();
    let store = Arc::new(RedbStore::in_memory().expect("room"));
    let host = Host::start(store, cellar.clone(), jobs(), 0).await;
    flood(&host).await;
    let most = cellar.most.load(Ordering::SeqCst);
    println!("{} jobs, {most} kept at the most where {KEPT} were asked for", CLIENTS * JOBS_EACH);
    assert!((KEPT + 1..=KEPT + MARGIN).contains(&most), "{most}");
    let deleted = async {
        while cellar.held() > KEPT {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, deleted).await.expect("what is too much is deleted");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_go_on_while_old_ones_cannot_be_deleted() {
    let cellar = Cellar::new();
    cellar.is_locked.store(true, Ordering::SeqCst);
    let store = Arc::new(RedbStore::in_memory().expect("room"));
    let host = Host::start(store, cellar.clone(), jobs(), 0).await;
    flood(&host).await;
    assert_eq!(cellar.held(), CLIENTS * JOBS_EACH);
    host.end().await;
}
