//! The stories. Each happens at the single server and in a fleet, where the second client is at another gateway than the first.

use std::collections::BTreeSet;
use std::time::Duration;

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelReason, CreateJobRequest, DeleteJobRequest, EstimateRequest, GetArtifactRequest,
    GetJobRequest, JobFilter, JobOptions, JobState, LabelJobRequest, ListJobsRequest, PreviewMethod, PreviewOptions,
    Priority, WatchJobRequest,
};
use sakuga_proto::model::v1::ListModelsRequest;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::prompt::v1::{ValidatePromptRequest, validate_prompt_request};
use sakuga_proto::system::v1::GetServerInfoRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use crate::calls::{PATIENCE, create, get, next, read_until, reason, request, until, watch, with_options, with_token};
use crate::place::{Identity, Place};
use crate::support::{self, Seen, is_terminal};

/// Tests of the stories at both places, with the identities of clients and the milliseconds of a step.
macro_rules! stories {
    ($($story:ident: $identity:ident, $step_ms:literal;)*) => {
        mod at_the_single_server {
            use super::*;
            $(#[tokio::test] async fn $story() {
                let place = Place::single(Identity::$identity, $step_ms).expect("it starts");
                super::$story(&place).await;
            })*
        }
        mod in_a_fleet {
            use super::*;
            $(#[tokio::test] async fn $story() {
                let Some(place) = Place::fleet(Identity::$identity, $step_ms) else { return };
                super::$story(&place).await;
            })*
        }
    };
}

stories! {
    a_job_is_drawn_and_its_picture_kept: None, 2;
    a_stream_continues_at_another_gateway: None, 20;
    previews_come_in_order: None, 20;
    a_running_and_a_waiting_job_are_cancelled: None, 100;
    a_repeated_call_finds_its_job: None, 2;
    owners_see_their_own_jobs: Tokens, 2;
    jobs_are_listed_labelled_and_deleted: None, 0;
    a_deadline_ends_a_job: None, 50;
    a_job_ends_with_its_last_reader_and_not_before: None, 50;
    what_needs_a_model_is_answered: None, 0;
}

async fn clients(place: &Place) -> [JobServiceClient<Channel>; 2] {
    [JobServiceClient::new(place.channel(0).await), JobServiceClient::new(place.channel(1).await)]
}

async fn a_job_is_drawn_and_its_picture_kept(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let job = create(&mut one, request(10)).await;
    let mut stream = watch(&mut other, &job.job_id, None).await;
    let events = read_until(&mut stream, |_| false).await;
    assert!(events.iter().all(|event| event.job_id == job.job_id));
    assert!(events.windows(2).all(|two| two[0].sequence < two[1].sequence));
    assert!(matches!(events[0].event, Some(Event::Accepted(_))) && events[0].sequence == 0);
    assert_eq!(events.iter().filter(|event| is_terminal(event)).count(), 1);
    let steps = events.iter().filter(|event| matches!(event.event, Some(Event::Step(_)))).count();
    assert_eq!(steps, 10);
    let file: Vec<u8> = events
        .iter()
        .filter_map(|event| match &event.event {
            Some(Event::ImageChunk(chunk)) => Some(chunk.data.to_vec()),
            _ => None,
        })
        .flatten()
        .collect();
    let done = until(&mut one, &job.job_id, JobState::Completed).await;
    assert_eq!((done.images.len(), done.images[0].sha256.as_str()), (1, sha256_hex(&file).as_str()));
    assert_eq!((done.images[0].size, done.attempt), (file.len() as u64, 1));
    for (client, (offset, limit)) in [(&mut one, (0, 0)), (&mut other, (10, 100))] {
        let call = GetArtifactRequest { job_id: job.job_id.clone(), offset, limit, ..GetArtifactRequest::default() };
        let mut pieces = client.get_artifact(call).await.expect("it is kept").into_inner();
        let mut read = Vec::new();
        while let Some(piece) = pieces.message().await.expect("whole") {
            assert_eq!(piece.sha256, done.images[0].sha256);
            read.extend_from_slice(&piece.chunk.expect("a piece").data);
        }
        let end = if limit == 0 { file.len() } else { 110 };
        assert_eq!(read, file[offset as usize..end]);
    }
    let call = GetArtifactRequest { job_id: job.job_id.clone(), max_edge: 32, ..GetArtifactRequest::default() };
    let mut small = other.get_artifact(call).await.expect("it can be made").into_inner();
    let chunk = small.message().await.expect("whole").expect("a piece").chunk.expect("bytes");
    assert_eq!(chunk.data[..2], [0xff, 0xd8], "a JPEG");
    let call = GetArtifactRequest { job_id: job.job_id, image_index: 1, ..GetArtifactRequest::default() };
    assert_eq!(reason(&one.get_artifact(call).await.expect_err("there is one picture")), "PICTURE_NOT_FOUND");
}

async fn a_stream_continues_at_another_gateway(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let job = create(&mut one, request(40)).await;
    let mut stream = watch(&mut one, &job.job_id, None).await;
    let events = read_until(&mut stream, |event| matches!(event, Event::Step(step) if step.index == 5)).await;
    let mut seen = Seen { events };
    let look = async {
        while get(&mut other, &job.job_id).await.step.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("GetJob shows the step");
    drop(stream);
    // Gaps of some steps, so that there is something to catch up with.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut stream = watch(&mut other, &job.job_id, seen.events.last().map(|event| event.sequence)).await;
    let more = read_until(&mut stream, |event| matches!(event, Event::Step(step) if step.index >= 20)).await;
    assert!(more[0].sequence > seen.events.last().expect("some").sequence);
    seen.events.extend(more);
    drop(stream);
    seen.follow(&mut one, &job.job_id).await.expect("it listens");
    seen.assert_whole(&mut other, &job.job_id).await;
    let beyond = WatchJobRequest { job_id: job.job_id, after_sequence: Some(1 << 40), ..WatchJobRequest::default() };
    let refused = other.watch_job(beyond).await.expect_err("no such event");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::OutOfRange, "SEQUENCE_NOT_KEPT"));
}

async fn previews_come_in_order(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let mut call = request(30);
    let preview = PreviewOptions {
        every_steps: 1,
        min_interval_ms: 1,
        method: PreviewMethod::Linear.into(),
        ..PreviewOptions::default()
    };
    call.request.as_mut().expect("a request").preview = Some(preview);
    let job = create(&mut one, call).await;
    let mut streams = [watch(&mut one, &job.job_id, None).await, watch(&mut other, &job.job_id, None).await];
    for stream in &mut streams {
        let events = read_until(stream, |_| false).await;
        assert!(events.windows(2).all(|two| two[0].sequence < two[1].sequence));
        let previews = events.iter().filter(|event| matches!(event.event, Some(Event::Preview(_)))).count();
        assert!(previews > 0, "{} events and no preview", events.len());
    }
}

async fn a_running_and_a_waiting_job_are_cancelled(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let mut running = Vec::new();
    // As many as there are devices, at most.
    for _ in 0..2 {
        running.push(create(&mut one, request(200)).await.job_id);
    }
    until(&mut one, &running[0], JobState::Running).await;
    let last =
        create(&mut one, with_options(200, JobOptions { priority: Priority::Low.into(), ..JobOptions::default() }))
            .await;
    let cancelled = other.cancel_job(CancelJobRequest { job_id: last.job_id.clone() }).await.expect("it exists");
    assert_eq!(cancelled.into_inner().job.expect("a job").state(), JobState::Cancelled, "it waited");
    for job_id in &running {
        let mut stream = watch(&mut one, job_id, None).await;
        other.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("it exists");
        let events = read_until(&mut stream, |_| false).await;
        match &events.last().expect("an end").event {
            Some(Event::Cancelled(cancelled)) => assert_eq!(cancelled.reason(), CancelReason::Requested),
            found => panic!("{found:?}"),
        }
        let job = other.cancel_job(CancelJobRequest { job_id: job_id.clone() }).await.expect("again");
        assert_eq!(job.into_inner().job.expect("a job").state(), JobState::Cancelled);
    }
}

async fn a_repeated_call_finds_its_job(place: &Place) {
    let clients = clients(place).await;
    let calls = (0..8).map(|call| {
        let mut client = clients[call % 2].clone();
        async move { client.create_job(support::request("name", 4)).await.expect("accepted").into_inner() }
    });
    let answers = futures::future::join_all(calls).await;
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.job.clone().expect("a job").job_id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(answers.iter().filter(|answer| !answer.existed).count(), 1);
    let [_, mut other] = clients;
    let refused = other.create_job(support::request("name", 5)).await.expect_err("another request");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "REQUEST_ID_TAKEN"));
    let filter = Some(JobFilter { request_id: "name".into(), ..JobFilter::default() });
    let listed = other.list_jobs(ListJobsRequest { filter, ..ListJobsRequest::default() }).await.expect("a list");
    assert_eq!(listed.into_inner().jobs.len(), 1);
    let by_name = other.get_job(GetJobRequest { job_id: "name".into() }).await.expect_err("not an id");
    assert!(by_name.message().contains(ids.first().expect("one")), "{by_name:?}");
}

async fn owners_see_their_own_jobs(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let refused = one.create_job(request(2)).await.expect_err("no token");
    assert_eq!(refused.code(), Code::Unauthenticated);
    let created = one.create_job(with_token("secret-a", request(2))).await.expect("accepted");
    let job_id = created.into_inner().job.expect("a job").job_id;
    let get = || GetJobRequest { job_id: job_id.clone() };
    assert_eq!(
        other.get_job(with_token("secret-a", get())).await.expect("its own").into_inner().job.expect("a job").client_id,
        "alice"
    );
    assert!(other.get_job(with_token("secret-o", get())).await.is_ok(), "an admin sees all");
    let watch = WatchJobRequest { job_id: job_id.clone(), ..WatchJobRequest::default() };
    let artifact = GetArtifactRequest { job_id: job_id.clone(), ..GetArtifactRequest::default() };
    let refusals = [
        other.get_job(with_token("secret-b", get())).await.map(drop),
        other.watch_job(with_token("secret-b", watch)).await.map(drop),
        other.get_artifact(with_token("secret-b", artifact)).await.map(drop),
        other.cancel_job(with_token("secret-b", CancelJobRequest { job_id: job_id.clone() })).await.map(drop),
        other.delete_job(with_token("secret-b", DeleteJobRequest { job_id: job_id.clone() })).await.map(drop),
        other
            .label_job(with_token("secret-b", LabelJobRequest { job_id, ..LabelJobRequest::default() }))
            .await
            .map(drop),
    ];
    for refused in refusals {
        let refused = refused.expect_err("it is another client's");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "JOB_NOT_FOUND"));
    }
    let list = async |secret: &str| {
        let mut client = other.clone();
        client.list_jobs(with_token(secret, ListJobsRequest::default())).await.expect("a list").into_inner().jobs.len()
    };
    let look = async {
        while list("secret-a").await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it is listed");
    assert_eq!((list("secret-b").await, list("secret-o").await), (0, 1));
}

async fn jobs_are_listed_labelled_and_deleted(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&mut one, request(1)).await.job_id);
    }
    for job_id in &ids {
        until(&mut other, job_id, JobState::Completed).await;
    }
    let change = LabelJobRequest { job_id: ids[1].clone(), add: vec!["cover".into()], ..LabelJobRequest::default() };
    let labelled = one.label_job(change).await.expect("it exists").into_inner().job.expect("a job");
    assert_eq!(labelled.labels, ["cover"]);
    assert_eq!(get(&mut other, &ids[1]).await.labels, ["cover"]);
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = other.list_jobs(ListJobsRequest { page_size: 2, page_token, ..ListJobsRequest::default() }).await;
        let page = page.expect("a page").into_inner();
        assert!(page.jobs.len() <= 2);
        listed.extend(page.jobs.into_iter().map(|job| job.job_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    ids.reverse();
    assert_eq!(listed, ids, "the newest first");
    let filter = Some(JobFilter { labels: vec!["cover".into()], ..JobFilter::default() });
    let look = async {
        loop {
            let call = ListJobsRequest { filter: filter.clone(), ..ListJobsRequest::default() };
            let found = other.list_jobs(call).await.expect("a list").into_inner().jobs;
            if found.len() == 1 && found[0].job_id == ids[3] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it is found by its label");
    one.delete_job(DeleteJobRequest { job_id: ids[0].clone() }).await.expect("it has ended");
    for client in [&mut one, &mut other] {
        let gone = client.get_job(GetJobRequest { job_id: ids[0].clone() }).await.expect_err("deleted");
        assert_eq!(reason(&gone), "JOB_NOT_FOUND");
        let call = GetArtifactRequest { job_id: ids[1].clone(), ..GetArtifactRequest::default() };
        assert!(client.get_artifact(call).await.is_ok(), "the same picture of another job is still there");
    }
    let slow = create(&mut one, request(200)).await;
    if get(&mut one, &slow.job_id).await.end_time.is_none() {
        let refused = other.delete_job(DeleteJobRequest { job_id: slow.job_id }).await;
        assert!(refused.is_ok() || refused.is_err_and(|refused| reason(&refused) == "JOB_NOT_ENDED"));
    }
}

async fn a_deadline_ends_a_job(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    let timeout = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let job = create(&mut one, with_options(200, JobOptions { timeout, ..JobOptions::default() })).await;
    let mut stream = watch(&mut other, &job.job_id, None).await;
    let events = read_until(&mut stream, |_| false).await;
    match &events.last().expect("an end").event {
        Some(Event::Cancelled(cancelled)) => assert_eq!(cancelled.reason(), CancelReason::Deadline),
        found => panic!("{found:?}"),
    }
}

async fn a_job_ends_with_its_last_reader_and_not_before(place: &Place) {
    let [mut one, mut other] = clients(place).await;
    // A reader that moves within the grace.
    let disconnect_grace = Some(prost_types::Duration { seconds: 2, nanos: 0 });
    let options = JobOptions { cancel_on_disconnect: true, disconnect_grace, ..JobOptions::default() };
    let job = create(&mut one, with_options(100, options)).await;
    let mut stream = watch(&mut one, &job.job_id, None).await;
    let events = read_until(&mut stream, |event| matches!(event, Event::Step(_))).await;
    drop(stream);
    let mut stream = watch(&mut other, &job.job_id, events.last().map(|event| event.sequence)).await;
    let events = read_until(&mut stream, |_| false).await;
    assert!(matches!(events.last().expect("an end").event, Some(Event::Completed(_))), "{:?}", events.last());
    // A call that is dropped.
    let mut generation = GenerationServiceClient::new(place.channel(0).await);
    let request = request(200).request.expect("a request");
    let mut stream = generation.generate(request).await.expect("accepted").into_inner();
    let first = stream.message().await.expect("an event").expect("an event").event.expect("an event");
    while let Some(message) = stream.message().await.expect("an event") {
        if matches!(message.event.and_then(|event| event.event), Some(Event::Step(_))) {
            break;
        }
    }
    drop((stream, generation));
    let job = until(&mut other, &first.job_id, JobState::Cancelled).await;
    assert_eq!(job.cancelled.expect("why").reason(), CancelReason::ClientGone);
}

async fn what_needs_a_model_is_answered(place: &Place) {
    let mut prompts = PromptServiceClient::new(place.channel(0).await);
    let prompt = Some(validate_prompt_request::Prompt::Xml("<caption>A girl.</caption><nonsense/>".into()));
    let call = ValidatePromptRequest { prompt, ..ValidatePromptRequest::default() };
    let checked = prompts.validate_prompt(call).await.expect("an answer").into_inner();
    assert!(!checked.diagnostics.is_empty());
    let prompt = Some(validate_prompt_request::Prompt::Xml("<caption>A girl.</caption>".into()));
    let call = ValidatePromptRequest { prompt, model: "scripte".into(), ..ValidatePromptRequest::default() };
    let refused = prompts.validate_prompt(call).await.expect_err("no such model");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "MODEL_NOT_FOUND"));
    let mut models = ModelServiceClient::new(place.channel(1).await);
    let listed = models.list_models(ListModelsRequest {}).await.expect("an answer").into_inner().models;
    assert_eq!(listed.len(), 1);
    let mut system = SystemServiceClient::new(place.channel(1).await);
    let info = system.get_server_info(GetServerInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!((info.engine.as_str(), info.jobs), ("scripted", 0));
    let mut generation = GenerationServiceClient::new(place.channel(0).await);
    let call = EstimateRequest { request: request(7).request, ..EstimateRequest::default() };
    let estimate = generation.estimate(call).await.expect("an answer").into_inner().estimate.expect("an estimate");
    assert_eq!(estimate.steps, 7);
    let [mut one, _] = clients(place).await;
    let mut wrong = request(7);
    wrong.request.as_mut().expect("a request").width = 65;
    let refused = one.create_job(CreateJobRequest { options: None, ..wrong }).await.expect_err("not a multiple");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
    let job = create(&mut one, request(1)).await;
    let mut stream = watch(&mut one, &job.job_id, None).await;
    assert!(next(&mut stream).await.is_some());
}
