//! The data folder keeps no files of jobs without pictures: cancelled ones, deleted ones, and those that a kill
//! interrupted.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, DeleteJobRequest, GenerateRequest, GetJobRequest, JobState,
};
use sakuga_server::config::JobsConfig;
use sakuga_server::store::artifacts::ObjectArtifacts;
use sakuga_server::store::redb::RedbStore;
use sakuga_server::store::{ArtifactStore, StoreError};

use crate::host::Host;
use crate::program::Program;
use crate::support::{PATIENCE, Seen, request};

/// Pictures whose second file never finds room.
struct Narrow {
    inner: ObjectArtifacts,
    is_full: AtomicBool,
}

#[tonic::async_trait]
impl ArtifactStore for Narrow {
    async fn put(&self, job: &str, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        if image_index == 1 {
            self.is_full.store(true, Ordering::SeqCst);
            return Err(StoreError::Full("no room".into()));
        }
        self.inner.put(job, image_index, file).await
    }

    async fn get(&self, job: &str, image_index: u32, range: std::ops::Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get(job, image_index, range).await
    }

    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError> {
        self.inner.delete(job, images).await
    }
}

fn files(folder: &Path) -> Vec<String> {
    let read = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let jobs = read(folder).flat_map(|job| read(&job.path()).collect::<Vec<_>>());
    jobs.map(|file| file.path().display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_cancelled_while_its_pictures_are_stored_leaves_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let inner = ObjectArtifacts::in_folder(folder.path()).expect("a folder");
    let artifacts = Arc::new(Narrow { inner, is_full: AtomicBool::new(false) });
    let store = Arc::new(RedbStore::in_memory().expect("memory"));
    let mut host = Host::start(store, artifacts.clone(), JobsConfig::default(), 0).await;
    let CreateJobRequest { request: Some(request), options } = request("two", 1) else { panic!("a request") };
    let message = CreateJobRequest { request: Some(GenerateRequest { images: 2, ..request }), options };
    let job_id = host.jobs.create_job(message).await.expect("accepted").into_inner().job.expect("a job").job_id;
    let stored = async {
        while !artifacts.is_full.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("the first picture is stored");
    assert_eq!(files(folder.path()).len(), 1);
    host.jobs.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("it runs");
    let ended = async {
        loop {
            let job = host.jobs.get_job(GetJobRequest { job_id: job_id.clone() }).await.expect("there").into_inner();
            let job = job.job.expect("a job");
            if job.end_time.is_some() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let job = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!(job.state(), JobState::Cancelled);
    assert_eq!(files(folder.path()), [""; 0]);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_deleted_and_a_write_that_was_cut_short_leave_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pictures = folder.path().join("pictures");
    let server = Program::start(folder.path(), &["--scripted-step-ms", "0"]);
    let mut jobs = server.jobs().await;
    let mut ids = Vec::new();
    for name in ["kept", "deleted"] {
        let made = jobs.create_job(request(name, 1)).await.expect("accepted").into_inner();
        let job_id = made.job.expect("a job").job_id;
        let mut seen = Seen::default();
        tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, &job_id)).await.expect("in time").expect("it lives");
        ids.push(job_id);
    }
    jobs.delete_job(DeleteJobRequest { job_id: ids[1].clone() }).await.expect("it has ended");
    assert!(!pictures.join(&ids[1]).exists());
    server.kill();
    // Files that remain of a server that was killed while it wrote a picture.
    std::fs::write(pictures.join(&ids[0]).join("1.png#1"), "half of it").expect("written");
    let server = Program::start(folder.path(), &["--scripted-step-ms", "0"]);
    let left = files(&pictures);
    assert!(left.len() == 1 && left[0].ends_with("0.png"), "{left:?}");
    drop(server);
}
