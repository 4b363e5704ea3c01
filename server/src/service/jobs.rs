//! `sakuga.generation.v1.JobService`: jobs that outlive calls and connections.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Empty, StreamExt as _};
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::job_service_server::JobService;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelJobResponse, CreateJobRequest, CreateJobResponse, DeleteJobRequest, DeleteJobResponse,
    GetArtifactRequest, GetArtifactResponse, GetJobRequest, GetJobResponse, GetJobTelemetryRequest,
    GetJobTelemetryResponse, ImageChunk, ImageFormat, LabelJobRequest, LabelJobResponse, ListJobsRequest,
    ListJobsResponse, WatchCreated, WatchJobRequest, WatchJobResponse,
};
use tonic::{Request, Response, Status};

use super::caller::{caller, check_options};
use super::event_stream::{EventBody, EventStream};
use super::watch_stream::Watch;
use super::{Context, Messages, pages, refuse};
use crate::error::{ServerError, Violation};
use crate::job_id::JobId;
use crate::jobs::{Call, Caller, JobQuery, Jobs, LabelChange, Listed, PageLimits, Thumbnail};
use crate::wire::to_proto;

/// Bytes of a picture in one message of GetArtifact. A stream that is not read holds that much memory.
pub(crate) const ARTIFACT_BYTES: u64 = 64 * 1024;
/// Default and least time between two `progress` messages.
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
    type WatchJobStream = Empty<Result<Encoded<WatchJobResponse>, Status>>;
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
        let interval = progress_interval(message.progress_interval_ms);
        let (job, reader) = self.jobs().watch(&caller, &message.job_id, start).await.map_err(|error| refuse(&error))?;
        let events = EventStream::new(self.jobs().clone(), &job, Some(reader));
        let created = WatchCreated { job: Some(job), start_sequence: start };
        let watch = Watch::new(self.context.clone(), &created, events, interval, permit);
        let mut response = Response::new(stream::empty());
        response.extensions_mut().insert(EventBody::answer(watch, self.context.outgoing.stream()));
        Ok(response)
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
        let query = JobQuery::read(message.filter.unwrap_or_default()).map_err(|error| refuse(&error))?;
        let limits = PageLimits { jobs: pages::entries(message.page_size), bytes: pages::BYTES_MAX };
        let large = self.context.large_answer().await;
        let listed = self.jobs().list(&caller, before, limits, query).await;
        let Listed { jobs, next } = listed.map_err(|error| refuse(&error))?;
        let mut response = Response::new(ListJobsResponse { jobs, next_page_token: next.unwrap_or_default() });
        response.extensions_mut().insert(large);
        Ok(response)
    }

    async fn label_job(&self, request: Request<LabelJobRequest>) -> Result<Response<LabelJobResponse>, Status> {
        let caller = caller(&request)?;
        let LabelJobRequest { job_id, add, remove } = request.into_inner();
        let change = LabelChange::new(add, remove).map_err(|error| refuse(&error))?;
        let large = self.context.large_answer().await;
        let job = self.jobs().label(&caller, &job_id, &change).await.map_err(|error| refuse(&error))?;
        let mut response = Response::new(LabelJobResponse { job: Some(job) });
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
        let GetArtifactRequest { job_id, image_index, offset, limit, max_edge } = request.into_inner();
        let artifact = Artifact::find(self.jobs(), &caller, (&job_id, image_index), max_edge).await;
        let artifact = Arc::new(artifact.map_err(|error| refuse(&error))?);
        let total_size = artifact.size;
        let end = artifact_end(offset, limit, total_size).map_err(|error| refuse(&error))?;
        let outgoing = self.context.outgoing.clone();
        let pieces = stream::unfold(Some((offset, permit)), move |state| {
            let (artifact, piece_bytes) = (artifact.clone(), outgoing.piece_bytes(ARTIFACT_BYTES));
            async move {
                let (offset, permit) = state.filter(|(offset, _)| *offset < end)?;
                let next = end.min(offset + piece_bytes);
                match artifact.piece(offset..next).await {
                    Ok(data) => {
                        let format = artifact.format.into();
                        let chunk = ImageChunk { image_index, format, offset, total_size, data };
                        let sha256 = artifact.sha256.to_string();
                        Some((Ok(GetArtifactResponse { chunk: Some(chunk), sha256 }), Some((next, permit))))
                    }
                    Err(error) => Some((Err(refuse(&error)), None)),
                }
            }
        });
        let mut answer = Response::new(pieces.boxed());
        // Pictures are compressed.
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

/// The time between two `progress` messages of a call that asks for this many milliseconds; 0: the default.
pub(crate) fn progress_interval(given_ms: u32) -> Duration {
    if given_ms == 0 { PROGRESS } else { Duration::from_millis(given_ms.into()).max(PROGRESS_MIN) }
}

/// Where the part of a file ends that a call asks for; a `limit` of 0 is the rest of the file.
///
/// # Errors
///
/// [`ServerError::InvalidRequest`] for an offset behind the end.
pub(crate) fn artifact_end(offset: u64, limit: u64, total_size: u64) -> Result<u64, ServerError> {
    if offset > total_size {
        let text = format!("the file has {total_size} bytes; begin within them");
        return Err(ServerError::invalid("offset", Violation::OUT_OF_RANGE, text));
    }
    Ok(if limit == 0 { total_size } else { total_size.min(offset.saturating_add(limit)) })
}

/// What GetArtifact sends.
struct Artifact {
    format: ImageFormat,
    size: u64,
    sha256: Arc<str>,
    source: Source,
}

/// Where the bytes are.
enum Source {
    /// In the store.
    File { jobs: Arc<Jobs>, id: JobId, image_index: u32 },
    /// In this value.
    Memory(Bytes),
}

impl Artifact {
    /// The file of a picture, or a smaller version of it.
    async fn find(
        jobs: &Arc<Jobs>,
        caller: &Caller,
        (job_id, image_index): (&str, u32),
        max_edge_px: u32,
    ) -> Result<Self, ServerError> {
        if max_edge_px > 0 {
            let Thumbnail { file, sha256 } = jobs.thumbnail(caller, job_id, image_index, max_edge_px).await?;
            let size = file.len() as u64;
            return Ok(Self { format: ImageFormat::Jpeg, size, sha256, source: Source::Memory(file) });
        }
        let (id, image) = jobs.picture(caller, job_id, image_index).await?;
        let source = Source::File { jobs: jobs.clone(), id, image_index };
        Ok(Self { format: ImageFormat::Png, size: image.size, sha256: image.sha256.into(), source })
    }

    async fn piece(&self, range: Range<u64>) -> Result<Bytes, ServerError> {
        match &self.source {
            Source::File { jobs, id, image_index } => jobs.piece(id, *image_index, range).await,
            Source::Memory(file) => Ok(file.slice(range.start as usize..range.end as usize)),
        }
    }
}
