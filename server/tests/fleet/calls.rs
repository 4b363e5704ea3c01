//! What the stories call.

use std::time::Duration;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::watch_job_response::Message;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateEvent, GetJobRequest, Job, JobOptions, JobState, WatchJobRequest, WatchJobResponse,
};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt as _;

use crate::support;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request of `steps` steps without a name.
pub(crate) fn request(steps: u32) -> CreateJobRequest {
    support::request("", steps)
}

/// The same with options.
pub(crate) fn with_options(steps: u32, options: JobOptions) -> CreateJobRequest {
    CreateJobRequest { options: Some(options), ..request(steps) }
}

/// A call with a token.
pub(crate) fn with_token<T>(secret: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {secret}").parse().expect("printable");
    request.metadata_mut().insert("authorization", value);
    request
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Creates a job.
pub(crate) async fn create(jobs: &mut JobServiceClient<Channel>, call: CreateJobRequest) -> Job {
    jobs.create_job(call).await.expect("accepted").into_inner().job.expect("a job")
}

/// A job as it is now.
pub(crate) async fn get(jobs: &mut JobServiceClient<Channel>, job_id: &str) -> Job {
    let got = jobs.get_job(GetJobRequest { job_id: job_id.into() }).await.expect("it exists");
    got.into_inner().job.expect("a job")
}

/// Waits until a job is in a state.
pub(crate) async fn until(jobs: &mut JobServiceClient<Channel>, job_id: &str, state: JobState) -> Job {
    let look = async {
        loop {
            let job = get(jobs, job_id).await;
            if job.state() == state {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it comes to that state")
}

/// The stream of a job's events.
pub(crate) async fn watch(
    jobs: &mut JobServiceClient<Channel>,
    job_id: &str,
    after_sequence: Option<u64>,
) -> Streaming<WatchJobResponse> {
    let call = WatchJobRequest { job_id: job_id.into(), after_sequence, ..WatchJobRequest::default() };
    jobs.watch_job(call).await.expect("it exists").into_inner()
}

/// The next event; `None` at the end of the stream.
pub(crate) async fn next(stream: &mut Streaming<WatchJobResponse>) -> Option<GenerateEvent> {
    loop {
        let message = tokio::time::timeout(PATIENCE, stream.message()).await.expect("in time");
        match message.expect("the connection holds")?.message {
            Some(Message::Event(event)) => return Some(event),
            Some(Message::Created(_) | Message::Progress(_)) | None => {}
        }
    }
}

/// Events up to the first that `is_last` says, this one included.
pub(crate) async fn read_until(
    stream: &mut Streaming<WatchJobResponse>,
    is_last: impl Fn(&Event) -> bool,
) -> Vec<GenerateEvent> {
    let mut events = Vec::new();
    while let Some(event) = next(stream).await {
        let ends = event.event.as_ref().is_some_and(&is_last);
        events.push(event);
        if ends {
            break;
        }
    }
    events
}
