//! The records that clients keep of their jobs, and the checks of them at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::watch_job_response::Message;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateEvent, GenerateRequest, Sampling, WatchJobRequest, generate_request,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request of `steps` steps with a fixed seed.
pub(crate) fn request(name: &str, steps: u32) -> CreateJobRequest {
    let request = GenerateRequest {
        request_id: name.into(),
        prompt: Some(generate_request::Prompt::Xml("<caption>A girl looks at the sea.</caption>".into())),
        sampling: Some(Sampling { steps, ..Sampling::default() }),
        width: 64,
        height: 64,
        seed: Some(7),
        ..GenerateRequest::default()
    };
    CreateJobRequest { request: Some(request), options: None }
}

/// Whether an event may be missing from what a reader saw.
pub(crate) fn is_lossy(event: &GenerateEvent) -> bool {
    match &event.event {
        Some(Event::Preview(_) | Event::GpuStats(_)) => true,
        Some(Event::Queued(_)) => event.sequence > 1,
        _ => false,
    }
}

/// Whether an event is the last.
pub(crate) fn is_terminal(event: &GenerateEvent) -> bool {
    matches!(event.event, Some(Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_)))
}

/// A small random generator with a seed, so that a failure can be reproduced.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The events that a client has got of one job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub events: Vec<GenerateEvent>,
}

impl Seen {
    pub(crate) fn is_over(&self) -> bool {
        self.events.last().is_some_and(is_terminal)
    }

    /// Continues after the last event, until the end or until the connection breaks.
    pub(crate) async fn follow(&mut self, jobs: &mut JobServiceClient<Channel>, job_id: &str) -> Result<(), Status> {
        let call = WatchJobRequest {
            job_id: job_id.into(),
            after_sequence: self.events.last().map(|event| event.sequence),
            ..WatchJobRequest::default()
        };
        let mut stream = jobs.watch_job(call).await.inspect_err(assert_cut)?.into_inner();
        while let Some(response) = stream.message().await.inspect_err(assert_cut)? {
            if let Some(Message::Event(event)) = response.message {
                let last = self.events.last().map(|event| event.sequence);
                assert!(last < Some(event.sequence), "event {} came after {last:?}", event.sequence);
                assert!(!self.is_over(), "{event:?} came after the end");
                self.events.push(event);
            }
        }
        assert!(self.is_over(), "the stream ended before the job");
        Ok(())
    }

    /// Compares the events with those of a reader that comes at the end: none is missing and none was added.
    pub(crate) async fn assert_whole(&self, jobs: &mut JobServiceClient<Channel>, job_id: &str) {
        let mut whole = Self::default();
        whole.follow(jobs, job_id).await.expect("the server lives");
        let state = |seen: &Self| seen.events.iter().filter(|event| !is_lossy(event)).cloned().collect::<Vec<_>>();
        let (seen, kept) = (state(self), state(&whole));
        let numbers = |events: &[GenerateEvent]| events.iter().map(|event| event.sequence).collect::<Vec<_>>();
        assert_eq!(numbers(&seen), numbers(&kept), "job {job_id}");
        assert_eq!(seen, kept, "job {job_id}");
        assert_eq!(kept.iter().filter(|event| is_terminal(event)).count(), 1);
    }

    /// The fingerprint of the picture; the job has come to its end.
    pub(crate) fn pixels(&self) -> String {
        match self.events.last().and_then(|event| event.event.as_ref()) {
            Some(Event::Completed(completed)) => completed.images[0].pixels_sha256.clone(),
            other => panic!("expected a picture, found {other:?}"),
        }
    }
}

/// A stream breaks because the connection does, not because the server says something is wrong.
fn assert_cut(status: &Status) {
    let code = status.code();
    assert!(matches!(code, Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal), "{status:?}");
}

/// Names that were sent, and the jobs that were acknowledged.
pub(crate) type Jobs = BTreeMap<String, Option<(String, Seen)>>;
