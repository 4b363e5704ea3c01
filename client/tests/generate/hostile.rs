//! Text from a server, a file or a file name never controls the terminal, in any command.

use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, Value};
use sakuga_client::proto::Encoded;
use sakuga_client::proto::digest::sha256_hex;
use sakuga_client::proto::generation::v1::generate_event::Event;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::job_service_server::{JobService, JobServiceServer};
use sakuga_client::proto::generation::v1::watch_job_response::Message;
use sakuga_client::proto::generation::v1::{
    Accepted, CancelJobRequest, CancelJobResponse, Completed, CreateJobRequest, CreateJobResponse, DeleteJobRequest,
    DeleteJobResponse, GenerateEvent, GenerateRequest, GetArtifactRequest, GetArtifactResponse, GetJobRequest,
    GetJobResponse, GetJobTelemetryRequest, GetJobTelemetryResponse, ImageChunk, ImageInfo, ImageMetadata, Job,
    JobState, LabelJobRequest, LabelJobResponse, ListJobsRequest, ListJobsResponse, Profile, ProfileSpan, Queued,
    Stage, StageBegun, Started, Step, WatchJobRequest, WatchJobResponse,
};
use sakuga_client::proto::json;
use sakuga_client::proto::prompt::v1::{Character, Diagnostic, Prompt as TypedPrompt, Severity};
use sakuga_client::proto::system::v1::system_service_server::{SystemService, SystemServiceServer};
use sakuga_client::proto::system::v1::{
    Activity, DisableDeviceRequest, DisableDeviceResponse, DrainDeviceRequest, DrainDeviceResponse,
    EnableDeviceRequest, EnableDeviceResponse, GetServerInfoRequest, GetServerInfoResponse, GpuStats,
    ListDevicesRequest, ListDevicesResponse, ListModelsRequest, ListModelsResponse, WatchActivityRequest,
    WatchActivityResponse, WatchGpuStatsRequest, WatchGpuStatsResponse,
};
use sakuga_client::proto::text::is_invisible;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fake::{Act, Fake};
use crate::support::{Run, collect, command};

/// Colours, a title, a cleared screen, text direction, an invisible character, and a separate line.
const EVIL: &str = "e\u{1b}[31m\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{2066}\u{200b}\u{8}\r\nINJECTED\tx";
const FILE: &[u8] = b"a picture";

/// The message with hostile text in every string, and in the strings of messages that were not set.
fn fill<M: prost::Name + Default>(message: &M) -> M {
    let mut dynamic = json::dynamic(message).unwrap();
    poison(&mut dynamic, 4);
    dynamic.transcode_to().unwrap()
}

fn poison(message: &mut DynamicMessage, depth: usize) {
    for field in message.descriptor().fields() {
        let is_other_case =
            field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) && !message.has_field(&field);
        if is_other_case {
            continue;
        }
        let value = match field.kind() {
            _ if field.is_map() => Value::Map([(MapKey::String(EVIL.to_owned()), Value::U64(1))].into()),
            Kind::String if field.is_list() => Value::List(vec![Value::String(EVIL.to_owned())]),
            Kind::String => Value::String(EVIL.to_owned()),
            Kind::Message(inner) if depth > 0 && !inner.full_name().starts_with("google.") => {
                let poisoned = |value: Value| match value {
                    Value::Message(mut inner) => {
                        poison(&mut inner, depth - 1);
                        Value::Message(inner)
                    }
                    other => other,
                };
                match message.get_field(&field).into_owned() {
                    Value::List(list) if list.is_empty() => {
                        Value::List(vec![poisoned(Value::Message(DynamicMessage::new(inner)))])
                    }
                    Value::List(list) => Value::List(list.into_iter().map(poisoned).collect()),
                    one => poisoned(one),
                }
            }
            _ => continue,
        };
        message.set_field(&field, value);
    }
}

fn refusal() -> Status {
    let mut details = ErrorDetails::new();
    details
        .add_bad_request_violation(EVIL, EVIL)
        .set_error_info(EVIL, EVIL, [(EVIL.to_owned(), EVIL.to_owned())])
        .set_request_info(EVIL, EVIL)
        .set_resource_info(EVIL, EVIL, EVIL, EVIL)
        .add_help_link(EVIL, EVIL);
    Status::with_error_details(Code::InvalidArgument, EVIL, details)
}

fn events() -> Vec<Event> {
    let diagnostic = Diagnostic { severity: Severity::Warning.into(), span_end: 5, line: 1, ..Diagnostic::default() };
    let negative = Diagnostic { path: "negative".to_owned(), ..diagnostic.clone() };
    let span = ProfileSpan { ms: 1.0, ..ProfileSpan::default() };
    let events = [
        Event::Accepted(Accepted { diagnostics: vec![diagnostic, negative], ..Accepted::default() }),
        Event::Queued(Queued { position: 1, ..Queued::default() }),
        Event::Started(Started { seeds: vec![1], ..Started::default() }),
        Event::Stage(StageBegun { stage: Stage::Denoise.into(), pass_number: 1 }),
        Event::Step(Step { index: 1, total: 1, ..Step::default() }),
        Event::GpuStats(GpuStats::default()),
        Event::Profile(Profile { spans: vec![span], device_ms: 1.0, ..Profile::default() }),
    ];
    let fill = |event| fill(&GenerateEvent { event: Some(event), ..GenerateEvent::default() }).event.unwrap();
    events.into_iter().map(fill).collect()
}

fn job(prompt: Prompt) -> Job {
    let request = GenerateRequest { prompt: Some(prompt), seed: Some(0), ..GenerateRequest::default() };
    let mut job = fill(&Job { request: Some(request), ..Job::default() });
    job.set_state(JobState::Completed);
    job.images = vec![ImageInfo { sha256: sha256_hex(FILE), size: FILE.len() as u64, ..ImageInfo::default() }];
    job.error = Some(tonic_types::pb::Status { code: 3, message: EVIL.to_owned(), details: vec![] });
    job
}

#[derive(Clone)]
struct Hostile;

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A stream of one message that does not end.
fn one<T: Send + 'static>(message: T) -> Messages<T> {
    Box::pin(tokio_stream::once(Ok(message)).chain(tokio_stream::pending()))
}

#[tonic::async_trait]
impl JobService for Hostile {
    type WatchJobStream = Messages<Encoded<WatchJobResponse>>;
    type GetArtifactStream = Messages<GetArtifactResponse>;

    async fn create_job(&self, _: Request<CreateJobRequest>) -> Result<Response<CreateJobResponse>, Status> {
        Err(refusal())
    }

    async fn watch_job(&self, _: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let completed = Event::Completed(Completed::default());
        let responses = (0..).zip(events().into_iter().chain([completed])).map(|(sequence, event)| {
            let event =
                GenerateEvent { sequence, job_id: EVIL.to_owned(), event: Some(event), ..GenerateEvent::default() };
            Ok(Encoded::of(&WatchJobResponse { message: Some(Message::Event(event)) }))
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(responses.collect::<Vec<_>>()))))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        match request.into_inner().job_id.as_str() {
            "xml" => Ok(Response::new(GetJobResponse { job: Some(job(Prompt::Xml(EVIL.to_owned()))) })),
            "typed" => {
                let prompt = TypedPrompt { characters: vec![Character::default()], ..TypedPrompt::default() };
                Ok(Response::new(GetJobResponse { job: Some(job(Prompt::Typed(prompt))) }))
            }
            _ => Err(refusal()),
        }
    }

    async fn list_jobs(&self, _: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        // A further page is announced each time.
        Ok(Response::new(fill(&ListJobsResponse {
            jobs: vec![job(Prompt::Xml(EVIL.to_owned()))],
            ..Default::default()
        })))
    }

    async fn label_job(&self, _: Request<LabelJobRequest>) -> Result<Response<LabelJobResponse>, Status> {
        Ok(Response::new(fill(&LabelJobResponse::default())))
    }

    async fn cancel_job(&self, _: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        Ok(Response::new(fill(&CancelJobResponse::default())))
    }

    async fn get_artifact(&self, _: Request<GetArtifactRequest>) -> Result<Response<Self::GetArtifactStream>, Status> {
        let chunk = ImageChunk { data: FILE.to_vec().into(), ..ImageChunk::default() };
        let response = GetArtifactResponse { chunk: Some(chunk), sha256: EVIL.to_owned() };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(response)))))
    }

    async fn get_job_telemetry(
        &self,
        _: Request<GetJobTelemetryRequest>,
    ) -> Result<Response<GetJobTelemetryResponse>, Status> {
        Err(refusal())
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        if request.into_inner().job_id == "no" { Err(refusal()) } else { Ok(Response::new(DeleteJobResponse {})) }
    }
}

#[tonic::async_trait]
impl SystemService for Hostile {
    type WatchGpuStatsStream = Messages<WatchGpuStatsResponse>;
    type WatchActivityStream = Messages<WatchActivityResponse>;

    async fn get_server_info(
        &self,
        _: Request<GetServerInfoRequest>,
    ) -> Result<Response<GetServerInfoResponse>, Status> {
        Ok(Response::new(fill(&GetServerInfoResponse::default())))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(fill(&ListModelsResponse::default())))
    }

    async fn watch_gpu_stats(
        &self,
        _: Request<WatchGpuStatsRequest>,
    ) -> Result<Response<Self::WatchGpuStatsStream>, Status> {
        Ok(Response::new(one(WatchGpuStatsResponse { stats: Some(fill(&GpuStats::default())) })))
    }

    async fn watch_activity(
        &self,
        _: Request<WatchActivityRequest>,
    ) -> Result<Response<Self::WatchActivityStream>, Status> {
        Ok(Response::new(one(WatchActivityResponse { activity: Some(fill(&Activity::default())) })))
    }

    async fn list_devices(&self, _: Request<ListDevicesRequest>) -> Result<Response<ListDevicesResponse>, Status> {
        Ok(Response::new(fill(&ListDevicesResponse::default())))
    }

    async fn drain_device(&self, _: Request<DrainDeviceRequest>) -> Result<Response<DrainDeviceResponse>, Status> {
        Err(refusal())
    }

    async fn disable_device(
        &self,
        _: Request<DisableDeviceRequest>,
    ) -> Result<Response<DisableDeviceResponse>, Status> {
        Err(refusal())
    }

    async fn enable_device(&self, _: Request<EnableDeviceRequest>) -> Result<Response<EnableDeviceResponse>, Status> {
        Err(refusal())
    }
}

async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder()
        .add_service(SystemServiceServer::new(Hostile))
        .add_service(JobServiceServer::new(Hostile));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn run(directory: &Path, arguments: &[&str]) -> Run {
    let mut command = command(directory);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    collect(tokio::time::timeout(Duration::from_secs(60), output).await.expect("the program ends").unwrap())
}

/// Fails unless everything that was printed is visible, and the hostile text is part of it.
#[track_caller]
fn is_harmless(run: &Run, arguments: &[&str]) {
    for text in [&run.stdout, &run.stderr] {
        let bad = text.chars().find(|character| *character != '\n' && is_invisible(*character));
        assert_eq!(bad, None, "{arguments:?}: {run:#?}");
        assert!(!text.lines().any(|line| line.starts_with("INJECTED")), "{arguments:?}: {run:#?}");
    }
    assert!(run.stdout.contains("INJECTED") || run.stderr.contains("INJECTED"), "{arguments:?}: {run:#?}");
}

#[tokio::test]
async fn texts_of_a_server_are_made_visible_in_every_command() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.xml"), "<caption>a fox</caption>").unwrap();
    let address = serve().await;
    for arguments in [
        vec!["info"],
        vec!["info", "--json"],
        vec!["jobs", "list", "--limit", "3"],
        vec!["jobs", "list", "--limit", "3", "--json"],
        vec!["jobs", "get", "xml"],
        vec!["jobs", "get", "typed"],
        vec!["jobs", "get", "typed", "--json"],
        vec!["jobs", "get", "no"],
        vec!["jobs", "cancel", "xml"],
        vec!["jobs", "delete", "no"],
        vec!["jobs", "delete", EVIL],
        vec!["jobs", "watch", "xml"],
        vec!["jobs", "watch", "xml", "--json"],
        vec!["jobs", "fetch", "no", "--out", "b.png"],
        vec!["top", "--once"],
        vec!["generate", "a.xml", "--out", "a.png"],
        vec!["generate", "a.xml", "--out", "a.png", "--json"],
        vec!["bench", "--model", &format!("{EVIL} and more")],
    ] {
        let run = run(directory.path(), &[&arguments[..], &["--server", &address]].concat()).await;
        is_harmless(&run, &arguments);
    }
}

#[tokio::test]
async fn texts_of_events_are_made_visible() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.xml", "b.xml"] {
        std::fs::write(directory.path().join(name), "<caption>a fox</caption>").unwrap();
    }
    let failed = Event::Failed(tonic_types::pb::Status { code: 13, message: EVIL.to_owned(), details: vec![] });
    let acts = events().into_iter().chain([failed]).map(Act::Send).collect();
    let fake = Fake::playing(acts).await;
    let address = fake.address.to_string();
    for more in [&[][..], &["--json"], &["--quiet"], &["--events", "events.jsonl"]] {
        let arguments =
            [&["generate", "a.xml", "--negative", "b.xml", "--out", "a.png", "--server", &address], more].concat();
        is_harmless(&run(directory.path(), &arguments).await, &arguments);
    }
    let log = std::fs::read_to_string(directory.path().join("events.jsonl")).unwrap();
    assert!(!log.chars().any(|character| character != '\n' && is_invisible(character)), "{log:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn texts_and_names_of_files_are_made_visible_in_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (prompt, picture, bench) = (format!("{EVIL}.xml"), format!("{EVIL}.png"), format!("{EVIL}.json"));
    std::fs::write(path(&prompt), format!("<caption>{EVIL}</caption><{EVIL}>{EVIL}</{EVIL}>\u{1b}[2J")).unwrap();
    std::fs::write(path("plain.txt"), EVIL).unwrap();
    let request = Some(GenerateRequest::default());
    let mut metadata = fill(&ImageMetadata { version: 1, request, ..ImageMetadata::default() });
    if let Some(request) = &mut metadata.request {
        // A prompt is printed with its line breaks.
        request.prompt = Some(Prompt::Xml(EVIL.replace('\n', " ")));
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1, 1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_itxt_chunk(sakuga_client::picture::KEYWORD.to_owned(), json::to_string(&metadata).unwrap()).unwrap();
    encoder.write_header().unwrap().write_image_data(&[0; 3]).unwrap();
    std::fs::write(path(&picture), &file).unwrap();
    let record = serde_json::json!({ "format": EVIL });
    std::fs::write(path(&bench), record.to_string()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = format!("127.0.0.1:{port}");
    for arguments in [
        vec!["validate", &prompt],
        vec!["validate", &prompt, "--json"],
        vec!["validate", "--negative", "plain.txt"],
        vec!["validate", EVIL],
        vec!["fmt", &prompt, "--check"],
        vec!["fmt", &prompt, "--fix", "--check"],
        vec!["show", &picture],
        vec!["show", &picture, "--json"],
        vec!["show", &prompt],
        vec!["generate", &prompt, "--out", &picture, "--server", &nobody],
        vec!["generate", "plain.txt", "--out", &format!("{EVIL}.jpg"), "--server", &nobody],
        vec!["generate", "plain.txt", "--out", "a.png", "--server", EVIL],
        vec!["generate", "plain.txt", "--out", "a.png", "--token-file", EVIL],
        vec!["generate", "plain.txt", "--out", "a.png", "--vocabulary", EVIL],
        vec!["generate", "plain.txt", "--out", "a.png", "--size", EVIL],
        vec!["generate", "plain.txt", "--out", "a.png", "--seed", EVIL],
        vec!["bench", "compare", &bench, &bench],
        vec!["bench", "report", &bench, "--out", "r.html"],
        vec!["bench", "report", "--events", &prompt, "--out", "r.html"],
        vec!["jobs", "get", "x", "--server", &nobody, EVIL],
        vec![EVIL],
    ] {
        is_harmless(&run(directory.path(), &arguments).await, &arguments);
    }
}
