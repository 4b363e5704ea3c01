//! `sakuga jobs`, against a server that keeps two jobs and breaks its first stream.

use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use sakuga_client::proto::Encoded;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_event::Event;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::job_service_server::{JobService, JobServiceServer};
use sakuga_client::proto::generation::v1::watch_job_response::Message;
use sakuga_client::proto::generation::v1::{
    Accepted, CancelJobRequest, CancelJobResponse, Cancelled, Completed, CreateJobRequest, CreateJobResponse,
    DeleteJobRequest, DeleteJobResponse, GenerateEvent, GenerateRequest, GetArtifactRequest, GetArtifactResponse,
    GetJobRequest, GetJobResponse, GetJobTelemetryRequest, GetJobTelemetryResponse, ImageChunk, ImageInfo, Job,
    JobState, LabelJobRequest, LabelJobResponse, ListJobsRequest, ListJobsResponse, Requeued, Step, WatchJobRequest,
    WatchJobResponse,
};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::{Run, collect, command};

const FILE: &[u8] = b"a picture";
/// A smaller version of it.
const SMALL: &[u8] = b"a small picture";
/// A job with a request.
const LONG: &str = "0198f3a1-7c2e-7aaa-8bbb-1234567890ab";

/// The jobs of the server, and the calls that it got.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    calls: Arc<Mutex<Vec<String>>>,
    is_damaged: bool,
    /// Whether every page is empty and announces another one.
    is_endless: bool,
}

fn job(job_id: &str) -> Result<Job, Status> {
    let mut job = Job { job_id: job_id.to_owned(), ..Job::default() };
    match job_id {
        "done" => {
            job.set_state(JobState::Completed);
            let image = ImageInfo { sha256: sha256_hex(FILE), size: FILE.len() as u64, ..ImageInfo::default() };
            job.images = vec![image];
        }
        LONG => {
            job = self::job("done")?;
            job.job_id = LONG.to_owned();
            job.create_time = Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5 });
            let prompt = Prompt::Xml("<caption>a fox in the snow</caption>".to_owned());
            let request = GenerateRequest { prompt: Some(prompt), width: 64, height: 32, ..GenerateRequest::default() };
            job.request = Some(GenerateRequest { seed: Some(0), ..request });
        }
        "gone" => {
            job.set_state(JobState::Cancelled);
            job.cancelled = Some(Cancelled { at_step: 3, reason: 2 });
        }
        _ => return Err(Status::not_found("there is no such job")),
    }
    Ok(job)
}

fn event(sequence: u64, event: Event) -> Result<Encoded<WatchJobResponse>, Status> {
    let event = GenerateEvent { sequence, job_id: "done".to_owned(), event: Some(event), ..GenerateEvent::default() };
    Ok(Encoded::of(&WatchJobResponse { message: Some(Message::Event(event)) }))
}

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl JobService for Kept {
    type WatchJobStream = Messages<Encoded<WatchJobResponse>>;
    type GetArtifactStream = Messages<GetArtifactResponse>;

    async fn create_job(&self, request: Request<CreateJobRequest>) -> Result<Response<CreateJobResponse>, Status> {
        let options = request.into_inner().options.unwrap_or_default();
        self.calls.lock().unwrap().push(format!("create {:?}", options.priority()));
        Err(Status::invalid_argument("it creates none"))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let after = request.into_inner().after_sequence;
        self.calls.lock().unwrap().push(format!("watch {after:?}"));
        let step = |index| Event::Step(Step { index, total: 2, ..Step::default() });
        let items = match after {
            None => vec![
                event(0, Event::Accepted(Accepted::default())),
                event(4, step(1)),
                Err(Status::unavailable("the server goes down")),
            ],
            _ => vec![
                event(900, Event::Requeued(Requeued { attempt: 2 })),
                event(901, step(1)),
                event(902, Event::Completed(Completed { images: job("done")?.images, timings: None })),
            ],
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(items))))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        Ok(Response::new(GetJobResponse { job: Some(job(&request.into_inner().job_id)?) }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        if self.is_endless {
            self.calls.lock().unwrap().push("list".to_owned());
            return Ok(Response::new(ListJobsResponse { jobs: vec![], next_page_token: "more".to_owned() }));
        }
        let ListJobsRequest { filter, page_token: token, .. } = request.into_inner();
        let filter = filter.unwrap_or_default();
        if !filter.text.is_empty() {
            let times = (filter.created_from.map(|time| time.seconds), filter.created_before.is_some());
            let call = format!("search {} {:?} {} {times:?} {token}", filter.text, filter.labels, filter.model);
            self.calls.lock().unwrap().push(call);
            // An empty page before the one with the job.
            let (jobs, next) = if token.is_empty() { (vec![], "more") } else { (vec![job(LONG)?], "") };
            return Ok(Response::new(ListJobsResponse { jobs, next_page_token: next.to_owned() }));
        }
        // One on a page.
        let (name, next) = match token.as_str() {
            "" => ("done", "more"),
            "more" => ("gone", "last"),
            _ => (LONG, ""),
        };
        Ok(Response::new(ListJobsResponse { jobs: vec![job(name)?], next_page_token: next.to_owned() }))
    }

    async fn label_job(&self, request: Request<LabelJobRequest>) -> Result<Response<LabelJobResponse>, Status> {
        let LabelJobRequest { job_id, add, remove } = request.into_inner();
        self.calls.lock().unwrap().push(format!("label {job_id} +{add:?} -{remove:?}"));
        Ok(Response::new(LabelJobResponse { job: Some(Job { labels: add, ..job(&job_id)? }) }))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        Ok(Response::new(CancelJobResponse { job: Some(job(&request.into_inner().job_id)?) }))
    }

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let GetArtifactRequest { job_id, max_edge, .. } = request.into_inner();
        job(&job_id)?;
        let sent = if max_edge > 0 { SMALL } else { FILE };
        let file = if self.is_damaged { b"a bicture" } else { sent };
        let pieces: Vec<_> = file
            .chunks(4)
            .map(|data| {
                let chunk = ImageChunk { data: data.to_vec().into(), ..ImageChunk::default() };
                Ok(GetArtifactResponse { chunk: Some(chunk), sha256: sha256_hex(sent) })
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn get_job_telemetry(
        &self,
        _: Request<GetJobTelemetryRequest>,
    ) -> Result<Response<GetJobTelemetryResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        let job = job(&request.into_inner().job_id)?;
        self.calls.lock().unwrap().push(format!("delete {}", job.job_id));
        Ok(Response::new(DeleteJobResponse {}))
    }
}

impl Kept {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let service = JobServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }
}

async fn jobs(address: &str, directory: &std::path::Path, arguments: &[&str]) -> Run {
    let mut command = command(directory);
    command.arg("jobs").args(arguments).args(["--server", address]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    collect(tokio::time::timeout(std::time::Duration::from_secs(30), output).await.expect("it ends").unwrap())
}

#[tokio::test]
async fn jobs_are_listed_shown_cancelled_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let address = kept.serve().await;
    let run = async |arguments: &[&str]| jobs(&address, directory.path(), arguments).await;
    let listed = run(&["list"]).await;
    listed
        .expect(0)
        .says("done      completed  -                    -      -       1 picture, 9 B\n")
        .says("gone      cancelled  -                    -      -       after step 3\n");
    assert_eq!(run(&["list", "--limit", "1", "--json"]).await.expect(0).json()["jobId"], "done");
    run(&["get", "gone"]).await.expect(0).says("state     cancelled");
    run(&["cancel", "gone", "--json"]).await.expect(0).says("JOB_STATE_CANCELLED");
    run(&["delete", "done"]).await.expect(0).says("deleted done");
    run(&["delete", "nothing"]).await.expect(3).says("there is no such job");
    assert_eq!(*kept.calls.lock().unwrap(), ["delete done"]);
}

#[tokio::test]
async fn jobs_are_labelled_and_searched_over_empty_pages() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let address = kept.serve().await;
    let run = async |arguments: &[&str]| jobs(&address, directory.path(), arguments).await;
    run(&["label", "done", "--add", "favourite", "--remove", "old"]).await.expect(0).says("labels    favourite");
    run(&["label", "done"]).await.expect(2).says("--add");
    let search = ["list", "--query", "a fox", "--label", "favourite", "--model", "newbie"];
    let times = ["--since", "2023-11-14T22:13:20Z", "--until", "1h"];
    run(&[&search[..], &times].concat()).await.expect(0).says("a fox in the snow");
    run(&["list", "--since", "yesterday"]).await.expect(2).says("how long ago");
    let search = r#"search a fox ["favourite"] newbie (Some(1700000000), true) "#;
    assert_eq!(
        *kept.calls.lock().unwrap(),
        [r#"label done +["favourite"] -["old"]"#, search, &format!("{search}more")]
    );
}

#[tokio::test]
async fn a_watch_goes_on_behind_the_last_event() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let address = kept.serve().await;
    let run = jobs(&address, directory.path(), &["watch", "done", "--json"]).await;
    let lines: Vec<serde_json::Value> =
        run.expect(0).stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let numbers: Vec<&str> = lines.iter().filter_map(|line| line["sequence"].as_str()).collect();
    assert_eq!(numbers, ["0", "4", "900", "901", "902"]);
    jobs(&address, directory.path(), &["watch", "done"]).await.expect(0).says("attempt 2").says("completed");
    let calls = kept.calls.lock().unwrap().clone();
    assert_eq!(calls, ["watch None", "watch Some(4)", "watch None", "watch Some(4)"]);
}

#[tokio::test]
async fn pictures_are_checked_before_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let address = Kept::default().serve().await;
    jobs(&address, directory.path(), &["fetch", "done", "--out", "a.png"]).await.expect(0).says("a.png");
    assert_eq!(std::fs::read(directory.path().join("a.png")).unwrap(), FILE);
    jobs(&address, directory.path(), &["fetch", "done", "--max-edge", "64"]).await.expect(0).says("out.jpg");
    assert_eq!(std::fs::read(directory.path().join("out.jpg")).unwrap(), SMALL);
    let png = jobs(&address, directory.path(), &["fetch", "done", "--max-edge", "64", "--out", "a.png"]).await;
    png.expect(2).says("--max-edge writes JPEG files").says("--out a.jpg");
    let address = Kept { is_damaged: true, ..Kept::default() }.serve().await;
    jobs(&address, directory.path(), &["fetch", "done", "--out", "b.png"]).await.expect(3).says("arrived damaged");
    assert!(!directory.path().join("b.png").exists());
}

#[tokio::test]
async fn a_list_of_empty_pages_ends() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept { is_endless: true, ..Kept::default() };
    let address = kept.serve().await;
    jobs(&address, directory.path(), &["list"]).await.expect(0).says("no jobs");
    assert_eq!(*kept.calls.lock().unwrap(), ["list"; 2], "the second page has the token of the first");
}

#[tokio::test]
async fn a_job_is_shown_with_its_request_in_local_time_and_found_by_a_part_of_its_id() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Kept::default();
    let address = kept.serve().await;
    let utc = async |arguments: &[&str]| {
        let mut command = command(directory.path());
        command.arg("jobs").args(arguments).args(["--server", &address]).env("TZ", "UTC").stdin(Stdio::null());
        collect(tokio::process::Command::from(command).output().await.unwrap())
    };
    let listed = utc(&["list"]).await;
    listed.expect(0).says("567890ab  completed  2023-11-14 22:13:20  64x32  seed 0  1 picture, 9 B  a fox in the snow");
    let shown = utc(&["get", "567890ab"]).await;
    shown
        .expect(0)
        .says(&format!("job       {LONG}"))
        .says("prompt    a fox in the snow")
        .says("size      64x32")
        .says("seed      0")
        .says("accepted  2023-11-14 22:13:20 +00:00");
    assert!(utc(&["get", "0198f3a1"]).await.expect(0).stdout.contains(LONG), "the beginning is enough, too");
}

#[tokio::test]
async fn a_job_is_created_with_its_priority() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("prompt.xml"), "<caption>A girl looks at the sea.</caption>").unwrap();
    let kept = Kept::default();
    let address = kept.serve().await;
    for priority in [None, Some("low"), Some("high")] {
        let mut command = command(directory.path());
        command.args(["generate", "prompt.xml", "--out", "girl.png", "--server", &address]);
        command.args(priority.map(|priority| format!("--priority={priority}")));
        let output = tokio::process::Command::from(command).stdin(Stdio::null()).output();
        collect(output.await.unwrap()).expect(3).says("it creates none");
    }
    assert_eq!(*kept.calls.lock().unwrap(), ["create Unspecified", "create Low", "create High"]);
}
