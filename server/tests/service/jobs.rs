//! Jobs outlive calls: they are created once, watched from any event on, listed, cancelled, fetched and deleted.

use std::time::Duration;

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelReason, CreateJobRequest, CreateJobResponse, DeleteJobRequest, GenerateEvent,
    GenerateRequest, GetArtifactRequest, GetJobRequest, Job, JobFilter, JobOptions, JobState, ListJobsRequest,
    WatchJobRequest, WatchJobResponse, generate_request, watch_job_response::Message,
};
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support::{PATIENCE, Server, expect_event, files, name, names, quick, request, run, scripted, steps_of_ms};

pub(crate) fn jobs(server: &Server) -> JobServiceClient<Channel> {
    JobServiceClient::new(server.channel.clone())
}

pub(crate) async fn create(server: &Server, request: GenerateRequest, options: JobOptions) -> Result<Job, Status> {
    let message = CreateJobRequest { request: Some(request), options: Some(options) };
    Ok(jobs(server).create_job(message).await?.into_inner().job.expect("a job"))
}

pub(crate) async fn get(server: &Server, job_id: &str) -> Result<Job, Status> {
    let message = GetJobRequest { job_id: job_id.into() };
    Ok(jobs(server).get_job(message).await?.into_inner().job.expect("a job"))
}

async fn watch(server: &Server, job_id: &str, after: Option<u64>) -> Result<Streaming<WatchJobResponse>, Status> {
    let message = WatchJobRequest { job_id: job_id.into(), after_sequence: after, progress_interval_ms: 100 };
    Ok(jobs(server).watch_job(message).await?.into_inner())
}

async fn message(stream: &mut Streaming<WatchJobResponse>) -> Option<Message> {
    let response = tokio::time::timeout(PATIENCE, stream.message()).await.expect("a message in time");
    response
        .expect("the stream does not break")
        .map(|response| response.message.expect("every message says what it is"))
}

/// The events up to the end, or until `stop` says so.
async fn events(stream: &mut Streaming<WatchJobResponse>, stop: impl Fn(&GenerateEvent) -> bool) -> Vec<GenerateEvent> {
    let mut events = Vec::new();
    while let Some(message) = message(stream).await {
        if let Message::Event(event) = message {
            let is_last = stop(&event);
            events.push(event);
            if is_last {
                break;
            }
        }
    }
    events
}

pub(crate) async fn all(server: &Server, job_id: &str, after: Option<u64>) -> Vec<GenerateEvent> {
    events(&mut watch(server, job_id, after).await.expect("the job is there"), |_| false).await
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("ErrorInfo").reason
}

#[tokio::test]
async fn a_watch_begins_with_its_marker_and_can_be_taken_up_at_any_event() {
    let server = Server::start(scripted(quick())).await;
    let job = create(&server, request(3), JobOptions::default()).await.expect("accepted");
    let mut stream = watch(&server, &job.job_id, None).await.expect("the job is there");
    let Some(Message::Created(created)) = message(&mut stream).await else { panic!("the marker comes first") };
    assert_eq!((created.start_sequence, created.job.expect("the job").job_id), (0, job.job_id.clone()));
    let whole = events(&mut stream, |_| false).await;
    let state = whole.iter().map(name).filter(|name| !matches!(*name, "gpu_stats" | "queued")).collect::<Vec<_>>();
    assert_eq!(
        state,
        ["accepted", "started", "stage", "stage", "step", "step", "step", "stage", "stage", "image_chunk", "completed"]
    );
    let kept: Vec<&GenerateEvent> = whole.iter().filter(|event| name(event) != "gpu_stats").collect();
    // Behind each event comes what came behind it, the pieces of the picture with their bytes.
    for event in &kept {
        let rest = all(&server, &job.job_id, Some(event.sequence)).await;
        let expected: Vec<_> = kept.iter().filter(|later| later.sequence > event.sequence).copied().cloned().collect();
        assert_eq!(rest, expected, "behind {}", event.sequence);
    }
    let last = whole.last().expect("events").sequence;
    let refused = watch(&server, &job.job_id, Some(last + 1)).await.expect_err("there is no such event");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "SEQUENCE_NOT_KEPT"));
    let facts = refused.get_details_error_info().expect("ErrorInfo").metadata;
    assert_eq!(
        (facts["oldest_sequence"].as_str(), facts["next_sequence"].as_str()),
        ("0", (last + 1).to_string().as_str())
    );
    let ended = get(&server, &job.job_id).await.expect("the job is there");
    assert_eq!((ended.state(), ended.next_sequence, ended.images.len()), (JobState::Completed, last + 1, 1));
    server.stop().await;
}

#[tokio::test]
async fn several_readers_follow_one_job_and_none_of_them_ends_it() {
    let server = Server::start(scripted(steps_of_ms(10))).await;
    let job = create(&server, request(20), JobOptions::default()).await.expect("accepted");
    let (mut one, mut two) = (
        watch(&server, &job.job_id, None).await.expect("there"),
        watch(&server, &job.job_id, None).await.expect("there"),
    );
    let first = events(&mut one, |event| name(event) == "step").await;
    drop(one);
    let whole = events(&mut two, |_| false).await;
    assert_eq!(name(whole.last().expect("events")), "completed");
    let rest = all(&server, &job.job_id, first.last().map(|event| event.sequence)).await;
    let steps = |events: &[GenerateEvent]| names(events).into_iter().filter(|name| *name == "step").count();
    assert_eq!((steps(&first) + steps(&rest), steps(&whole)), (20, 20));
    server.stop().await;
}

#[tokio::test]
async fn the_same_request_under_the_same_name_is_the_same_job() {
    let server = Server::start(scripted(quick())).await;
    let named = |steps| CreateJobRequest {
        request: Some(GenerateRequest { request_id: "mine".into(), ..request(steps) }),
        options: None,
    };
    let call = async |message: CreateJobRequest| -> Result<CreateJobResponse, Status> {
        Ok(jobs(&server).create_job(message).await?.into_inner())
    };
    let (first, second) = tokio::join!(call(named(2)), call(named(2)));
    let (first, second) = (first.expect("accepted"), second.expect("accepted"));
    assert!(first.existed != second.existed, "one of them made it");
    let job_id = first.job.expect("a job").job_id;
    assert_eq!(second.job.expect("a job").job_id, job_id);
    let refused = call(named(3)).await.expect_err("another request");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").metadata["job_id"], job_id);
    // Names belong to clients.
    let mut other = Request::new(named(3));
    other.metadata_mut().insert("sakuga-client-id", "another".parse().expect("ASCII"));
    let other = jobs(&server).create_job(other).await.expect("accepted").into_inner().job.expect("a job");
    assert_ne!(other.job_id, job_id);
    assert_eq!(other.client_id, "another");
    server.stop().await;
}

#[tokio::test]
async fn jobs_are_listed_in_pages_the_newest_first() {
    let server = Server::start(scripted(quick())).await;
    let mut made = Vec::new();
    for number in 0..5 {
        let named = GenerateRequest { request_id: format!("job {number}"), ..request(1) };
        made.push(create(&server, named, JobOptions::default()).await.expect("accepted").job_id);
    }
    all(&server, made.last().expect("jobs"), None).await;
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let message = ListJobsRequest { page_size: 2, page_token, ..ListJobsRequest::default() };
        let page = jobs(&server).list_jobs(message).await.expect("a page").into_inner();
        assert!(page.jobs.len() <= 2);
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    made.reverse();
    assert_eq!(listed, made);
    let only = async |filter: JobFilter| {
        let message = ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() };
        jobs(&server).list_jobs(message).await.expect("a page").into_inner().jobs.len()
    };
    assert_eq!(only(JobFilter { request_id: "job 3".into(), ..JobFilter::default() }).await, 1);
    assert_eq!(only(JobFilter { states: vec![JobState::Completed.into()], ..JobFilter::default() }).await, 5);
    assert_eq!(only(JobFilter { states: vec![JobState::Failed.into()], ..JobFilter::default() }).await, 0);
    let wrong = ListJobsRequest { page_token: "nonsense".into(), ..ListJobsRequest::default() };
    let refused = jobs(&server).list_jobs(wrong).await.expect_err("no page token");
    assert_eq!(refused.get_details_bad_request().expect("BadRequest").field_violations[0].field, "page_token");
    server.stop().await;
}

#[tokio::test]
async fn pictures_are_fetched_whole_and_in_parts() {
    let server = Server::start(scripted(quick())).await;
    let job = create(&server, request(1), JobOptions::default()).await;
    let job_id = job.expect("accepted").job_id;
    let whole = files(&all(&server, &job_id, None).await).remove(0);
    let fetch = async |image_index, offset, limit| -> Result<Vec<u8>, Status> {
        let message = GetArtifactRequest { job_id: job_id.clone(), image_index, offset, limit, max_edge: 0 };
        let mut stream = jobs(&server).get_artifact(message).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(piece) = stream.message().await? {
            assert_eq!(piece.sha256, sha256_hex(&whole));
            let chunk = piece.chunk.expect("a piece");
            assert_eq!((chunk.offset, chunk.total_size), (offset + bytes.len() as u64, whole.len() as u64));
            bytes.extend_from_slice(&chunk.data);
        }
        Ok(bytes)
    };
    assert_eq!(fetch(0, 0, 0).await.expect("the picture"), whole);
    assert_eq!(fetch(0, 300, 500).await.expect("a part"), whole[300..800]);
    assert_eq!(fetch(0, whole.len() as u64, 0).await.expect("nothing"), b"");
    assert_eq!(fetch(0, whole.len() as u64 + 1, 0).await.expect_err("too far").code(), Code::InvalidArgument);
    assert_eq!(reason(&fetch(1, 0, 0).await.expect_err("there is one")), "PICTURE_NOT_FOUND");
    server.stop().await;
}

#[tokio::test]
async fn a_cancelled_job_says_at_which_step_and_stays_until_it_is_deleted() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let job_id = create(&server, request(200), JobOptions::default()).await.expect("accepted").job_id;
    let mut stream = watch(&server, &job_id, None).await.expect("there");
    events(&mut stream, |event| name(event) == "step").await;
    let message = DeleteJobRequest { job_id: job_id.clone() };
    let refused = jobs(&server).delete_job(message.clone()).await.expect_err("it runs");
    assert_eq!(reason(&refused), "JOB_NOT_ENDED");
    jobs(&server).cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("the job is there");
    let rest = events(&mut stream, |_| false).await;
    let cancelled = expect_event!(rest.last().expect("an end"), Cancelled);
    assert_eq!(cancelled.reason(), CancelReason::Requested);
    let steps = 1 + names(&rest).into_iter().filter(|name| *name == "step").count();
    assert_eq!(cancelled.at_step as usize, steps);
    let ended = get(&server, &job_id).await.expect("the job is there");
    assert_eq!((ended.state(), ended.cancelled.expect("why").at_step as usize), (JobState::Cancelled, steps));
    // Cancelling it again changes nothing; deleting it does.
    jobs(&server).cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("the job is there");
    jobs(&server).delete_job(message).await.expect("it has ended");
    for refused in [
        get(&server, &job_id).await.expect_err("deleted"),
        watch(&server, &job_id, None).await.expect_err("deleted"),
        get(&server, "0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10").await.expect_err("never was"),
    ] {
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "JOB_NOT_FOUND"));
    }
    server.stop().await;
}

#[tokio::test]
async fn ids_are_checked_and_a_request_id_is_recognised() {
    let server = Server::start(scripted(quick())).await;
    let named = GenerateRequest { request_id: "my request".into(), ..request(1) };
    let job_id = create(&server, named, JobOptions::default()).await.expect("accepted").job_id;
    assert_eq!(get(&server, &job_id.to_uppercase()).await.expect("the same job").job_id, job_id);
    for (text, hint) in [("my request", job_id.as_str()), ("no such job", "a UUID"), ("", "a UUID")] {
        let refused = get(&server, text).await.expect_err("not a job id");
        let violation = &refused.get_details_bad_request().expect("BadRequest").field_violations[0];
        assert_eq!((refused.code(), violation.field.as_str()), (Code::InvalidArgument, "job_id"));
        assert!(violation.description.contains(hint), "{text}: {}", violation.description);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_running_job_has_its_step_and_a_waiting_one_is_answered_as_cancelled() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let running = create(&server, request(200), JobOptions::default()).await.expect("accepted").job_id;
    let mut stream = watch(&server, &running, None).await.expect("there");
    events(&mut stream, |event| name(event) == "step").await;
    let job = get(&server, &running).await.expect("it runs");
    assert!(job.step.expect("it has steps") >= 1, "{job:?}");
    assert_eq!(job.step_total, Some(200));
    let waiting = create(&server, request(1), JobOptions::default()).await.expect("accepted").job_id;
    let job = get(&server, &waiting).await.expect("it waits");
    assert_eq!((job.state(), job.queue_position, job.step), (JobState::Queued, Some(1), None));
    let answer = jobs(&server).cancel_job(CancelJobRequest { job_id: waiting }).await.expect("it waits").into_inner();
    let job = answer.job.expect("a job");
    assert_eq!((job.state(), job.cancelled.expect("why").reason()), (JobState::Cancelled, CancelReason::Requested));
    jobs(&server).cancel_job(CancelJobRequest { job_id: running }).await.expect("it runs");
    server.stop().await;
}

#[tokio::test]
async fn a_page_of_large_jobs_is_bounded_in_bytes() {
    let server = Server::start(scripted(quick())).await;
    let text = format!("<caption>{}</caption>", "a girl looks at the sea, ".repeat(2000));
    let mut made = Vec::new();
    for _ in 0..12 {
        let prompt = Some(generate_request::Prompt::Xml(text.clone()));
        let large = GenerateRequest { prompt, images: 2, ..request(1) };
        made.push(create(&server, large, JobOptions::default()).await.expect("accepted").job_id);
    }
    all(&server, made.last().expect("jobs"), None).await;
    let (mut listed, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let message = ListJobsRequest { page_size: 200, page_token, ..ListJobsRequest::default() };
        // A client with the default limit of 4 MiB can read it.
        let page = jobs(&server).list_jobs(message).await.expect("a page").into_inner();
        pages += 1;
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    made.reverse();
    assert_eq!(listed, made);
    assert!(pages > 1, "2.4 MB in one page");
    server.stop().await;
}

#[tokio::test]
async fn a_job_ends_with_its_last_reader_only_if_it_was_asked_to() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    let graceful = JobOptions {
        cancel_on_disconnect: true,
        disconnect_grace: Some(prost_types::Duration { seconds: 0, nanos: 300_000_000 }),
        ..JobOptions::default()
    };
    for (options, ends) in [
        (JobOptions { cancel_on_disconnect: true, ..JobOptions::default() }, true),
        (graceful, true),
        (JobOptions::default(), false),
    ] {
        // Four seconds for those that are cancelled before.
        let steps = if ends { 200 } else { 10 };
        let job_id = create(&server, request(steps), options).await.expect("accepted").job_id;
        let mut stream = watch(&server, &job_id, None).await.expect("there");
        events(&mut stream, |event| name(event) == "step").await;
        drop(stream);
        let mut again = None;
        // One that comes back within the grace finds its job.
        if options.disconnect_grace.is_some() {
            again = Some(watch(&server, &job_id, None).await.expect("there"));
            tokio::time::sleep(Duration::from_millis(400)).await;
            assert_eq!(get(&server, &job_id).await.expect("there").state(), JobState::Running);
        }
        drop(again);
        let end = async {
            loop {
                let job = get(&server, &job_id).await.expect("there");
                if job.end_time.is_some() {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, end).await.expect("it ends");
        let expected = if ends { JobState::Cancelled } else { JobState::Completed };
        assert_eq!(ended.state(), expected, "{options:?}");
        if ends {
            assert_eq!(ended.cancelled.expect("why").reason(), CancelReason::ClientGone);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let server = Server::start(scripted(steps_of_ms(300))).await;
    let job_id = create(&server, request(3), JobOptions::default()).await.expect("accepted").job_id;
    let mut stream = watch(&server, &job_id, None).await.expect("there");
    let (mut signs, mut next) = (0, 0);
    while let Some(message) = message(&mut stream).await {
        match message {
            Message::Progress(progress) => {
                signs += 1;
                assert_eq!(progress.next_sequence, next);
                assert!(progress.time.is_some());
            }
            Message::Event(event) => next = event.sequence + 1,
            Message::Created(_) => assert_eq!((signs, next), (0, 0)),
        }
    }
    assert!(signs >= 3, "{signs} signs of life in 900 ms");
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_done_in_time_is_refused_at_once() {
    let server = Server::start(scripted(steps_of_ms(20))).await;
    run(&server, request(5)).await;
    let timeout = |milliseconds: i32| JobOptions {
        timeout: Some(prost_types::Duration { seconds: 0, nanos: milliseconds * 1_000_000 }),
        ..JobOptions::default()
    };
    let refused = create(&server, request(100), timeout(500)).await.expect_err("it would take 2 s");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "DEADLINE_TOO_SHORT"));
    let facts = refused.get_details_error_info().expect("ErrorInfo").metadata;
    assert!(facts["needed_ms"].parse::<u64>().expect("a number") > 1500, "{facts:?}");
    create(&server, request(2), timeout(900)).await.expect("there is time for this one");
    server.stop().await;
}
