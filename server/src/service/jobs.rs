//! `sakuga.generation.v1.JobService`: jobs that outlive calls and connections.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use sakuga_proto::generation::v1::job_service_server::JobService;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelJobResponse, CreateJobRequest, CreateJobResponse, DeleteJobRequest, DeleteJobResponse,
    GetArtifactRequest, GetArtifactResponse, GetJobRequest, GetJobResponse, GetJobTelemetryRequest,
    GetJobTelemetryResponse, ImageChunk, ImageFormat, Job, JobFilter, ListJobsRequest, ListJobsResponse, WatchCreated,
    WatchJobRequest,
};
use tonic::{Request, Response, Status};

use super::caller::{caller, check_options};
use super::event_stream::EventStream;
use super::watch_stream::Watch;
use super::{Context, Messages, pages, refuse};
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;
use crate::jobs::{Call, Jobs, PageLimits};
use crate::wire::to_proto;

/// Bytes of a picture in one message of GetArtifact: what a stream that is not read holds.
const ARTIFACT_BYTES: u64 = 64 * 1024;
/// Time between two `progress` messages unless the caller says otherwise, and at least.
const PROGRESS: Duration = Duration::from_secs(5);
const PROGRESS_MIN: Duration = Duration::from_millis(100);

/// Creates, shows, cancels and deletes jobs.
pub(crate) struct JobCalls {
    context: Arc<Context>,
}

impl JobCalls {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn jobs(&self) -> &Arc<Jobs> {
        &self.context.jobs
    }
}

#[tonic::async_trait]
impl JobService for JobCalls {
    type WatchJobStream = Watch;
    type GetArtifactStream = Messages<GetArtifactResponse>;

    async fn create_job(&self, request: Request<CreateJobRequest>) -> Result<Response<CreateJobResponse>, Status> {
        let caller = caller(&request)?;
        let trace_parent = request.extensions().get().copied();
        let message = request.into_inner();
        let options = message.options.unwrap_or_default();
        let request = message.request.unwrap_or_default();
        let call = Call { caller, request, options, trace_parent, is_watched: false };
        let created = check_options(&options).map(|()| self.jobs().create(call));
        let created = created.map_err(|error| refuse(&error))?.await.map_err(|error| refuse(&error))?;
        Ok(Response::new(CreateJobResponse { job: Some(created.job), existed: created.existed }))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = caller(&request)?;
        let message = request.into_inner();
        let start = message.after_sequence.map_or(0, |after| after.saturating_add(1));
        let interval = match message.progress_interval_ms {
            0 => PROGRESS,
            given_ms => Duration::from_millis(given_ms.into()).max(PROGRESS_MIN),
        };
        let (job, reader) = self.jobs().watch(&caller, &message.job_id, start).await.map_err(|error| refuse(&error))?;
        let events = EventStream::new(self.jobs().clone(), &job, Some(reader));
        let created = WatchCreated { job: Some(job), start_sequence: start };
        let mut answer = Response::new(Watch::new(self.context.clone(), &created, events, interval, permit));
        answer.disable_compression();
        Ok(answer)
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let caller = caller(&request)?;
        let large = self.context.large_answer().await;
        let job = self.jobs().get(&caller, &request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        let mut response = Response::new(GetJobResponse { job: Some(job) });
        response.extensions_mut().insert(large);
        Ok(response)
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        // The id below which the page begins: that of the last job of the page before.
        let before = pages::start(&message.page_token, JobId::parse).map_err(|error| refuse(&error))?;
        let before = before.map(|id| id.to_string());
        let filter = message.filter.unwrap_or_default();
        let limits = PageLimits { jobs: pages::entries(message.page_size), bytes: pages::BYTES_MAX };
        let large = self.context.large_answer().await;
        let listed = self.jobs().list(&caller, before, limits, move |job| matches(&filter, job)).await;
        let (jobs, has_more) = listed.map_err(|error| refuse(&error))?;
        let last = jobs.last().filter(|_| has_more);
        let next_page_token = last.map(|job| job.job_id.clone()).unwrap_or_default();
        let mut response = Response::new(ListJobsResponse { jobs, next_page_token });
        response.extensions_mut().insert(large);
        Ok(response)
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        let caller = caller(&request)?;
        let job = self.jobs().cancel(&caller, &request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(CancelJobResponse { job: Some(job) }))
    }

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let permit = self.context.stream_permit()?;
        let caller = caller(&request)?;
        let GetArtifactRequest { job_id, image_index, offset, limit } = request.into_inner();
        let jobs = self.jobs().clone();
        let (id, image) = jobs.picture(&caller, &job_id, image_index).await.map_err(|error| refuse(&error))?;
        if offset > image.size {
            let text = format!("the file has {} bytes; begin within them", image.size);
            return Err(refuse(&ServerError::invalid("offset", Violation::OUT_OF_RANGE, text)));
        }
        let end = if limit == 0 { image.size } else { image.size.min(offset.saturating_add(limit)) };
        let pieces = stream::unfold(Some((offset, permit)), move |state| {
            let (jobs, id, sha256, total_size) = (jobs.clone(), id.clone(), image.sha256.clone(), image.size);
            async move {
                let (offset, permit) = state.filter(|(offset, _)| *offset < end)?;
                let next = end.min(offset + ARTIFACT_BYTES);
                match jobs.piece(&id, image_index, offset..next).await {
                    Ok(data) => {
                        let format = ImageFormat::Png.into();
                        let chunk = ImageChunk { image_index, format, offset, total_size, data };
                        Some((Ok(GetArtifactResponse { chunk: Some(chunk), sha256 }), Some((next, permit))))
                    }
                    Err(error) => Some((Err(refuse(&error)), None)),
                }
            }
        });
        let mut answer = Response::new(pieces.boxed());
        // A PNG is compressed.
        answer.disable_compression();
        Ok(answer)
    }

    async fn get_job_telemetry(
        &self,
        request: Request<GetJobTelemetryRequest>,
    ) -> Result<Response<GetJobTelemetryResponse>, Status> {
        let caller = caller(&request)?;
        let series =
            self.jobs().telemetry(&caller, &request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(to_proto::telemetry(&series)))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        let caller = caller(&request)?;
        self.jobs().delete(&caller, &request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(DeleteJobResponse {}))
    }
}

/// Whether a job is one of those that a filter asks for.
fn matches(filter: &JobFilter, job: &Job) -> bool {
    let created = job.create_time.map_or((0, 0), |time| (time.seconds, time.nanos));
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && (filter.client_id.is_empty() || filter.client_id == job.client_id)
        && (filter.request_id.is_empty() || filter.request_id == job.request_id)
        && filter.created_from.is_none_or(|from| created >= (from.seconds, from.nanos))
        && filter.created_before.is_none_or(|before| created < (before.seconds, before.nanos))
}
