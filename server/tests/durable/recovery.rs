//! After a restart, answers have the present state of the jobs, however long the disk takes to store it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sakuga_proto::generation::v1::{GetJobRequest, Job, JobState, ListJobsRequest};
use sakuga_server::config::DataPlace;
use sakuga_server::config::JobsConfig;
use sakuga_server::store::artifacts::ObjectArtifacts;
use sakuga_server::store::redb::RedbStore;
use sakuga_server::store::{JobStore, StoreError, StoredAsset, StoredRecord, Write};

use crate::host::Host;
use crate::support::{PATIENCE, request};

/// How long a slow store takes for a commit.
const PAUSE: Duration = Duration::from_millis(400);

/// A store whose commits take long on demand.
struct Slow {
    inner: RedbStore,
    is_slow: AtomicBool,
}

impl JobStore for Slow {
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if self.is_slow.load(Ordering::SeqCst) {
            std::thread::sleep(PAUSE);
        }
        self.inner.commit(writes)
    }

    fn job(&self, job: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.job(job)
    }

    fn jobs(&self, before: Option<&str>, limit: usize) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner.jobs(before, limit)
    }

    fn events(&self, job: &str, from: u64) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.inner.events(job, from)
    }

    fn reserved(&self, job: &str) -> Result<u64, StoreError> {
        self.inner.reserved(job)
    }

    fn named(&self, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.inner.named(name)
    }

    fn assets(&self) -> Result<Vec<StoredAsset>, StoreError> {
        self.inner.assets()
    }
}

/// The states that a call about a single job and one about all of them return.
async fn reported(host: &mut Host, job_id: &str) -> [Job; 2] {
    let one = host.jobs.get_job(GetJobRequest { job_id: job_id.into() }).await.expect("there").into_inner();
    let all = host.jobs.list_jobs(ListJobsRequest::default()).await.expect("readable").into_inner();
    [one.job.expect("a job"), all.jobs.into_iter().next().expect("the same job")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_caller_sees_the_state_from_before_the_restart() {
    let store = Arc::new(Slow { inner: RedbStore::in_memory().expect("room"), is_slow: AtomicBool::new(false) });
    let artifacts = Arc::new(ObjectArtifacts::in_memory());
    // The folder stands for a store that outlives the server; nothing is written there.
    let jobs = JobsConfig { place: DataPlace::Folder("/nowhere".into()), ..JobsConfig::default() };
    let mut host = Host::start(store.clone(), artifacts.clone(), jobs.clone(), 20).await;
    let made = host.jobs.create_job(request("long", 200)).await.expect("accepted").into_inner();
    let job_id = made.job.expect("a job").job_id;
    let runs = async {
        while reported(&mut host, &job_id).await[0].state() != JobState::Running {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, runs).await.expect("it begins");
    host.end().await;

    store.is_slow.store(true, Ordering::SeqCst);
    let mut host = Host::start(store.clone(), artifacts, jobs, 20).await;
    for job in reported(&mut host, &job_id).await {
        assert_eq!(job.attempt, 2, "{job:?}");
    }
    store.is_slow.store(false, Ordering::SeqCst);
    host.end().await;
}
