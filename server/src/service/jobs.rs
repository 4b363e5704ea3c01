//! `sakuga.generation.v1.JobService`: jobs that outlive calls and connections.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _};
use sakuga_proto::generation::v1::job_service_server::JobService;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelJobResponse, CreateJobRequest, CreateJobResponse, DeleteJobRequest, DeleteJobResponse,
    GetArtifactRequest, GetArtifactResponse, GetJobRequest, GetJobResponse, GetJobTelemetryRequest,
    GetJobTelemetryResponse, ImageChunk, ImageFormat, Job, JobFilter, ListJobsRequest, ListJobsResponse, WatchCreated,
    WatchJobRequest, WatchJobResponse, WatchProgress, watch_job_response,
};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Response, Status};

use super::{Context, Messages, refuse};
use crate::error::{ServerError, Violation};
use crate::jobs::{Call, Jobs};
use crate::journal::{Next, Reader};
use crate::limits::Limits;
use crate::wire::{caller, to_proto};

/// Jobs on a page unless the caller says otherwise, and at the most.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 200;
/// Time between two signs of life unless the caller says otherwise, and at the least.
const PROGRESS: Duration = Duration::from_secs(5);
const PROGRESS_MIN: Duration = Duration::from_millis(100);

/// Keeps jobs.
pub struct JobCalls {
    context: Arc<Context>,
}

impl JobCalls {
    /// The service.
    pub fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn jobs(&self) -> &Arc<Jobs> {
        &self.context.jobs
    }
}

#[tonic::async_trait]
impl JobService for JobCalls {
    type WatchJobStream = Messages<WatchJobResponse>;
    type GetArtifactStream = Messages<GetArtifactResponse>;

    async fn create_job(&self, request: Request<CreateJobRequest>) -> Result<Response<CreateJobResponse>, Status> {
        let client = caller::client_id(&request).map_err(|error| refuse(&error))?;
        let trace_parent = request.extensions().get().copied();
        let message = request.into_inner();
        let options = message.options.unwrap_or_default();
        let request = message.request.unwrap_or_default();
        let call = Call { client, request, options, trace_parent, is_watched: false };
        let created = caller::options(&options).map(|()| self.jobs().create(call));
        let created = created.map_err(|error| refuse(&error))?.await.map_err(|error| refuse(&error))?;
        Ok(Response::new(CreateJobResponse { job: Some(created.job), existed: created.existed }))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let permit = self.context.stream_permit()?;
        let message = request.into_inner();
        let start = message.after_sequence.map_or(0, |after| after.saturating_add(1));
        let interval = match message.progress_interval_ms {
            0 => PROGRESS,
            given_ms => Duration::from_millis(given_ms.into()).max(PROGRESS_MIN),
        };
        let (job, reader) = self.jobs().watch(&message.job_id, start).await.map_err(|error| refuse(&error))?;
        let job_id = job.job_id.clone();
        let created = watch_job_response::Message::Created(WatchCreated { job: Some(job), start_sequence: start });
        let watch = Watch { context: self.context.clone(), job_id, reader, interval, _permit: permit };
        let rest = stream::unfold(Some(watch), |watch| async move { watch?.next().await });
        let first = stream::once(async move { Ok(WatchJobResponse { message: Some(created) }) });
        Ok(Response::new(first.chain(rest).boxed()))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let job = self.jobs().get(&request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(GetJobResponse { job: Some(job) }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let message = request.into_inner();
        let limit = if message.page_size == 0 { PAGE } else { message.page_size.min(PAGE_MAX) };
        let before = page_start(&message.page_token).map_err(|error| refuse(&error))?;
        let filter = message.filter.unwrap_or_default();
        let listed = self.jobs().list(before, limit as usize, move |job| admits(&filter, job)).await;
        let (jobs, has_more) = listed.map_err(|error| refuse(&error))?;
        let last = jobs.last().filter(|_| has_more);
        let next_page_token = last.map(|job| job.job_id.clone()).unwrap_or_default();
        Ok(Response::new(ListJobsResponse { jobs, next_page_token }))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        let job = self.jobs().cancel(&request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(CancelJobResponse { job: Some(job) }))
    }

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let permit = self.context.stream_permit()?;
        let GetArtifactRequest { job_id, image_index, offset, limit } = request.into_inner();
        let jobs = self.jobs().clone();
        let image = jobs.picture(&job_id, image_index).await.map_err(|error| refuse(&error))?;
        if offset > image.size {
            let text = format!("the file has {} bytes; begin within them", image.size);
            return Err(refuse(&ServerError::invalid("offset", Violation::OUT_OF_RANGE, text)));
        }
        let end = if limit == 0 { image.size } else { image.size.min(offset.saturating_add(limit)) };
        let pieces = stream::unfold(Some((offset, permit)), move |state| {
            let (jobs, job_id, sha256, total_size) = (jobs.clone(), job_id.clone(), image.sha256.clone(), image.size);
            async move {
                let (offset, permit) = state.filter(|(offset, _)| *offset < end)?;
                let next = end.min(offset + Limits::CHUNK_BYTES_MAX as u64);
                match jobs.piece(&job_id, image_index, offset..next).await {
                    Ok(data) => {
                        let format = ImageFormat::Png.into();
                        let chunk = ImageChunk { image_index, format, offset, total_size, data };
                        Some((Ok(GetArtifactResponse { chunk: Some(chunk), sha256 }), Some((next, permit))))
                    }
                    Err(error) => Some((Err(refuse(&error)), None)),
                }
            }
        });
        Ok(Response::new(pieces.boxed()))
    }

    async fn get_job_telemetry(
        &self,
        request: Request<GetJobTelemetryRequest>,
    ) -> Result<Response<GetJobTelemetryResponse>, Status> {
        let series = self.jobs().telemetry(&request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(GetJobTelemetryResponse {
            samples: series.samples().map(to_proto::gpu_stats).collect(),
            activity: series.activity().map(to_proto::activity).collect(),
            is_cut: series.is_cut(),
        }))
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        self.jobs().delete(&request.into_inner().job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(DeleteJobResponse {}))
    }
}

/// One stream of events. Dropping it drops the reader.
struct Watch {
    context: Arc<Context>,
    job_id: String,
    reader: Reader,
    interval: Duration,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    /// The next message, and the stream behind it.
    async fn next(mut self) -> Option<(Result<WatchJobResponse, Status>, Option<Self>)> {
        let next = match tokio::time::timeout(self.interval, self.reader.next()).await {
            Ok(next) => next,
            Err(_) => {
                let message = watch_job_response::Message::Progress(self.progress());
                return Some((Ok(WatchJobResponse { message: Some(message) }), Some(self)));
            }
        };
        match next {
            Next::Event(entry) => match self.context.jobs.event(&self.job_id, &entry).await {
                Ok(event) => {
                    let message = Some(watch_job_response::Message::Event(event));
                    Some((Ok(WatchJobResponse { message }), Some(self)))
                }
                Err(error) => Some((Err(refuse(&error)), None)),
            },
            Next::End => None,
            Next::Sealed => Some((Err(refuse(&ServerError::ShuttingDown)), None)),
        }
    }

    fn progress(&self) -> WatchProgress {
        WatchProgress {
            next_sequence: self.reader.next_sequence(),
            time: Some(to_proto::timestamp(SystemTime::now())),
            gpu_stats: self.context.latest_sample.borrow().as_ref().map(to_proto::gpu_stats),
        }
    }
}

/// Where a page begins: behind the job that ended the one before.
fn page_start(token: &str) -> Result<Option<String>, ServerError> {
    if token.is_empty() {
        return Ok(None);
    }
    if uuid::Uuid::parse_str(token).is_err() {
        let text = "this is no page token; use next_page_token of the page before, or leave it empty";
        return Err(ServerError::invalid("page_token", Violation::BAD_TEXT, text));
    }
    Ok(Some(token.to_owned()))
}

fn admits(filter: &JobFilter, job: &Job) -> bool {
    let created = job.create_time.map_or((0, 0), |time| (time.seconds, time.nanos));
    (filter.states.is_empty() || filter.states.contains(&job.state))
        && (filter.client_id.is_empty() || filter.client_id == job.client_id)
        && (filter.request_id.is_empty() || filter.request_id == job.request_id)
        && filter.created_from.is_none_or(|from| created >= (from.seconds, from.nanos))
        && filter.created_before.is_none_or(|before| created < (before.seconds, before.nanos))
}
