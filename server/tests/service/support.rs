//! Requests, events and helpers of the service's tests.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{
    GenerateEvent, GenerateRequest, GenerateResponse, GetJobRequest, Job, Sampling, generate_request,
};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{Device, ListDevicesRequest};
use sakuga_server::Config;
use sakuga_server::engine::scripted::{Fault, Script, ScriptedFault};
use tonic::Streaming;
use tonic::transport::Channel;

pub(crate) use crate::server::{PATIENCE, TestServer as Server, quick, scripted, steps_of_ms};

/// A prompt that is valid in every mode.
pub(crate) const XML: &str = "<character_1>\n<n>rem</n>\n<gender>1girl</gender>\n<appearance>blue_hair</appearance>\n\
                       </character_1>\n\n<general_tags>\n<count>1girl</count>\n</general_tags>\n\n\
                       <caption>A girl looks at the sea.</caption>\n";

pub(crate) fn fault(job: u64, after_step: u32, fault: Fault) -> ScriptedFault {
    ScriptedFault { job, after_step, fault }
}

/// A request of `steps` steps with a valid prompt and no previews.
pub(crate) fn request(steps: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml(XML.into())),
        sampling: Some(Sampling { steps, ..Sampling::default() }),
        ..GenerateRequest::default()
    }
}

/// The job as it is now.
pub(crate) async fn job(server: &Server, job_id: &str) -> Job {
    let call = GetJobRequest { job_id: job_id.into() };
    server.jobs().get_job(call).await.expect("the job exists").into_inner().job.expect("a job")
}

/// Waits until a job has ended, and returns it.
pub(crate) async fn ended(server: &Server, job_id: &str) -> Job {
    let wait = async {
        loop {
            let now = job(server, job_id).await;
            if now.end_time.is_some() {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it ends in time")
}

pub(crate) async fn next(stream: &mut Streaming<GenerateResponse>) -> Option<GenerateEvent> {
    let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("an event in time");
    message.expect("the stream does not break").map(|response| response.event.expect("every message has an event"))
}

/// The remaining events.
pub(crate) async fn rest(stream: &mut Streaming<GenerateResponse>) -> Vec<GenerateEvent> {
    let mut events = Vec::new();
    while let Some(event) = next(stream).await {
        events.push(event);
    }
    events
}

/// Reads until an event of that name has come, and returns it.
pub(crate) async fn until(stream: &mut Streaming<GenerateResponse>, wanted: &str) -> GenerateEvent {
    loop {
        let event = next(stream).await.unwrap_or_else(|| panic!("the stream ends before `{wanted}`"));
        if name(&event) == wanted {
            return event;
        }
    }
}

/// The kind of an event, as the name of its field.
pub(crate) fn name(event: &GenerateEvent) -> &'static str {
    match event.event.as_ref().expect("every event has a kind") {
        Event::Accepted(_) => "accepted",
        Event::Queued(_) => "queued",
        Event::Started(_) => "started",
        Event::Stage(_) => "stage",
        Event::Step(_) => "step",
        Event::Preview(_) => "preview",
        Event::GpuStats(_) => "gpu_stats",
        Event::ImageChunk(_) => "image_chunk",
        Event::Completed(_) => "completed",
        Event::Failed(_) => "failed",
        Event::Cancelled(_) => "cancelled",
        Event::Requeued(_) => "requeued",
        Event::Profile(_) => "profile",
    }
}

/// The names of all events, in order.
pub(crate) fn names(events: &[GenerateEvent]) -> Vec<&'static str> {
    events.iter().map(name).collect()
}

/// The files of all pictures, put together from their pieces.
pub(crate) fn files(events: &[GenerateEvent]) -> Vec<Vec<u8>> {
    let mut files: Vec<Vec<u8>> = Vec::new();
    for event in events {
        if let Some(Event::ImageChunk(chunk)) = &event.event {
            if chunk.offset == 0 {
                assert!(chunk.image_index as usize >= files.len(), "one picture after the other");
                files.push(Vec::new());
            }
            let file = files.last_mut().expect("a picture begins at offset 0");
            assert_eq!(chunk.offset, file.len() as u64, "pieces come in order");
            assert!(chunk.data.len() <= 256 * 1024);
            file.extend_from_slice(&chunk.data);
            assert!(file.len() as u64 <= chunk.total_size);
        }
    }
    files
}

/// Runs one request to its end.
pub(crate) async fn run(server: &Server, request: GenerateRequest) -> Vec<GenerateEvent> {
    let mut stream = server.generation().generate(request).await.expect("accepted").into_inner();
    rest(&mut stream).await
}

macro_rules! expect_event {
    ($event:expr, $kind:ident) => {
        match $event.event.as_ref().expect("every event has a kind") {
            sakuga_proto::generation::v1::generate_event::Event::$kind(inner) => inner,
            other => panic!("expected {}, found {other:?}", stringify!($kind)),
        }
    };
}
pub(crate) use expect_event;

/// A configuration with this many devices.
pub(crate) fn on(devices: usize, script: Script) -> Config {
    let mut config = scripted(script);
    config.models.devices = vec!["cpu"; devices].join(",").parse().expect("a list of devices");
    config
}

pub(crate) fn system(server: &Server) -> SystemServiceClient<Channel> {
    SystemServiceClient::new(server.channel.clone())
}

pub(crate) async fn devices(server: &Server) -> Vec<Device> {
    system(server).list_devices(ListDevicesRequest {}).await.expect("devices").into_inner().devices
}

/// Waits until the devices are as wanted.
pub(crate) async fn until_devices(server: &Server, is_wanted: impl Fn(&[Device]) -> bool) -> Vec<Device> {
    let wait = async {
        loop {
            let now = devices(server).await;
            if is_wanted(&now) {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in time")
}
