//! Pictures in a real S3-compatible store, if `SAKUGA_S3_URL` names a folder in one; its credentials, region and endpoint
//! come from the `AWS_` variables. The bucket has to be there.

use std::time::Duration;

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::{CreateJobRequest, GetJobRequest, JobState};
use sakuga_proto::generation::v1::{DeleteJobRequest, GenerateRequest, GetArtifactRequest};
use sakuga_server::store::ArtifactStore as _;
use sakuga_server::store::artifacts::ObjectArtifacts;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::program::{Jobs, Program};
use crate::support::{PATIENCE, Seen, request};

/// Ended jobs that are kept.
const KEPT: usize = 3;

/// A job of two pictures, larger than the others.
fn large(name: &str) -> CreateJobRequest {
    let CreateJobRequest { request: Some(request), options } = request(name, 2) else { panic!("a request") };
    CreateJobRequest { request: Some(GenerateRequest { width: 1024, height: 1024, images: 2, ..request }), options }
}

/// Draws a job and waits for its end.
async fn draw(jobs: &mut Jobs, call: CreateJobRequest) -> (String, Seen) {
    let job_id = jobs.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id;
    let mut seen = Seen::default();
    tokio::time::timeout(PATIENCE, seen.follow(jobs, &job_id)).await.expect("it ends").expect("it lives");
    assert!(!seen.pixels().is_empty(), "it was drawn");
    (job_id, seen)
}

/// A part of a picture, and the expected description of the whole.
async fn fetch(jobs: &mut Jobs, call: GetArtifactRequest) -> Result<(Vec<u8>, String), Status> {
    let mut stream = jobs.get_artifact(call).await?.into_inner();
    let (mut file, mut whole) = (Vec::new(), String::new());
    while let Some(piece) = stream.message().await? {
        whole = piece.sha256;
        file.extend(piece.chunk.expect("a piece").data);
    }
    Ok((file, whole))
}

/// Whether the store has a file of the job, asked without the server.
async fn is_there(store: &ObjectArtifacts, job_id: &str) -> bool {
    store.get(job_id, 0, 0..1).await.is_ok()
}

async fn wait_until_gone(store: &ObjectArtifacts, job_id: &str) {
    let gone = async {
        while is_there(store, job_id).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("the old picture is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_live_in_an_object_store() {
    let Ok(url) = std::env::var("SAKUGA_S3_URL") else {
        println!("SAKUGA_S3_URL is not set: no object store was tried");
        return;
    };
    let store = ObjectArtifacts::at_url(&url).expect("the URL of a store");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (artifacts, kept) = (format!("--artifacts={url}"), format!("--keep-jobs={KEPT}"));
    let arguments = ["--scripted-step-ms", "1", &artifacts, &kept];
    let start = || {
        let variables = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        Program::start_with(folder.path(), &arguments, variables)
    };

    let server = start();
    let mut jobs = server.jobs().await;
    let (job_id, seen) = draw(&mut jobs, large("picture")).await;
    assert!(is_there(&store, &job_id).await, "the store has it");
    assert!(!folder.path().join("pictures").join(&job_id).exists(), "the folder has not");
    assert_eq!(server.terminate(), Some(0));

    // After a restart, whole and in parts; its readers get its pieces again.
    let server = start();
    let mut jobs = server.jobs().await;
    seen.assert_whole(&mut jobs, &job_id).await;
    for image_index in 0..2 {
        let part =
            |offset, limit| GetArtifactRequest { job_id: job_id.clone(), image_index, offset, limit, max_edge: 0 };
        let (file, digest) = fetch(&mut jobs, part(0, 0)).await.expect("kept");
        assert!(file.len() > 20_000, "{} bytes", file.len());
        assert_eq!(sha256_hex(&file), digest);
        let end = file.len() as u64;
        for (offset, limit) in [(0, 1), (1, 10_000), (end / 2, 2), (end - 1, 0), (end - 7, 100)] {
            let (found, _) = fetch(&mut jobs, part(offset, limit)).await.expect("kept");
            let to = if limit == 0 { end } else { end.min(offset + limit) };
            assert!(found == file[offset as usize..to as usize], "{limit} bytes from {offset} on");
        }
    }

    // Deleted by a call.
    jobs.delete_job(DeleteJobRequest { job_id: job_id.clone() }).await.expect("deleted");
    assert!(!is_there(&store, &job_id).await);
    let call = GetArtifactRequest { job_id, ..GetArtifactRequest::default() };
    let missing = fetch(&mut jobs, call).await.expect_err("it is gone");
    assert_eq!(missing.get_details_error_info().map(|info| info.reason), Some("JOB_NOT_FOUND".into()), "{missing:?}");

    // Deleted by age: the oldest of one more than are kept.
    let mut drawn = Vec::new();
    for number in 0..=KEPT {
        drawn.push(draw(&mut jobs, request(&format!("old-{number}"), 1)).await.0);
    }
    wait_until_gone(&store, &drawn[0]).await;
    for job_id in &drawn[1..] {
        assert!(is_there(&store, job_id).await);
        let job = jobs.get_job(GetJobRequest { job_id: job_id.clone() }).await.expect("kept").into_inner();
        assert_eq!(job.job.expect("a job").state(), JobState::Completed);
    }
    for job_id in drawn.drain(1..) {
        jobs.delete_job(DeleteJobRequest { job_id }).await.expect("deleted");
    }
    println!("pictures were put to {url}, read, ranged and deleted");
}

/// A caller that asks for a picture soon learns that the store cannot be reached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_reached_is_reported_in_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Nobody listens on the discard port.
    let variables = [
        ("AWS_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_REGION", "nowhere"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let server =
        Program::start_with(folder.path(), &["--scripted-step-ms", "1", "--artifacts", "s3://none/x"], variables);
    let mut jobs = server.jobs().await;
    let made = jobs.create_job(request("away", 1)).await.expect("accepted").into_inner().job.expect("a job");
    let ended = async {
        loop {
            let job = jobs.get_job(GetJobRequest { job_id: made.job_id.clone() }).await.expect("there").into_inner();
            let job = job.job.expect("a job");
            if job.end_time.is_some() {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // The picture is tried again for half a minute, in case the store comes back.
    let job = tokio::time::timeout(PATIENCE, ended).await.expect("it ends");
    assert_eq!(job.state(), JobState::Failed);
    let error = job.error.expect("why");
    assert_eq!(error.code, Code::Unavailable as i32, "{error:?}");
}
