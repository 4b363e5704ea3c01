//! `sakuga.generation.v1.JobService` of a gateway.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;

use futures::stream::{self, BoxStream, StreamExt as _};
use prost::Message as _;
use sakuga_fleet::LOSSY_NUMBERS;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_server::JobService;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CancelJobResponse, CancelReason, CreateJobRequest, CreateJobResponse, DeleteJobRequest,
    DeleteJobResponse, GetArtifactRequest, GetArtifactResponse, GetJobRequest, GetJobResponse, GetJobTelemetryRequest,
    GetJobTelemetryResponse, ImageChunk, JobState, LabelJobRequest, LabelJobResponse, ListJobsRequest,
    ListJobsResponse, WatchCreated, WatchJobRequest, WatchJobResponse, WatchProgress,
};
use sakuga_proto::internal::store::v1::JobRecord;
use tonic::{Request, Response, Status};

use super::{Gateway, events};
use crate::error::ServerError;
use crate::fleet::cancel::cancel;
use crate::fleet::error::to_server;
use crate::job_id::JobId;
use crate::jobs::{Call, JobQuery, LabelChange, Listed, PageDraft, PageLimits, Record};
use crate::service::caller::{caller, check_options};
use crate::service::jobs::{ARTIFACT_BYTES, artifact_end, progress_interval};
use crate::service::{pages, refuse};
use crate::wire::to_proto;

/// Records that a list looks at in one step.
const LOOKED_AT: usize = 256;

/// Creates, shows, cancels and deletes jobs.
pub(super) struct JobCalls {
    gateway: Arc<Gateway>,
}

impl JobCalls {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[tonic::async_trait]
impl JobService for JobCalls {
    type WatchJobStream = BoxStream<'static, Result<Encoded<WatchJobResponse>, Status>>;
    type GetArtifactStream = BoxStream<'static, Result<GetArtifactResponse, Status>>;

    async fn create_job(&self, request: Request<CreateJobRequest>) -> Result<Response<CreateJobResponse>, Status> {
        let caller = caller(&request)?;
        let trace_parent = request.extensions().get().copied();
        let message = request.into_inner();
        let options = message.options.unwrap_or_default();
        check_options(&options).map_err(|error| refuse(&error))?;
        let request = message.request.unwrap_or_default();
        let call = Call { caller, request, options, trace_parent, is_watched: false };
        let created = self.gateway.create(call).await?;
        Ok(Response::new(CreateJobResponse { job: Some(created.job), existed: created.existed }))
    }

    async fn watch_job(&self, request: Request<WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let permit = self.gateway.stream_permit()?;
        let caller = caller(&request)?;
        let message = request.into_inner();
        let start = message.after_sequence.map_or(0, |after| after.saturating_add(1));
        let interval = progress_interval(message.progress_interval_ms);
        let record = self.gateway.accessible(&caller, &message.job_id).await.map_err(|error| refuse(&error))?;
        check_start(&record, start).map_err(|error| refuse(&error))?;
        let job = record.into_job();
        let events = events::read(self.gateway.clone(), job.clone(), start);
        let created = Encoded::<WatchJobResponse>::created(&WatchCreated { job: Some(job), start_sequence: start });
        let messages = stream::unfold((events, start, permit), move |(mut events, next, permit)| async move {
            let (message, next) = match tokio::time::timeout(interval, events.recv()).await {
                Ok(None) => return None,
                Ok(Some(Ok(event))) => {
                    let next = event.sequence + 1;
                    (Ok(Encoded::<WatchJobResponse>::event(event.encode_to_vec().into())), next)
                }
                Ok(Some(Err(error))) => (Err(refuse(&error)), next),
                Err(_) => {
                    let time = Some(to_proto::timestamp(SystemTime::now()));
                    let progress = WatchProgress { next_sequence: next, time, ..WatchProgress::default() };
                    (Ok(Encoded::<WatchJobResponse>::progress(&progress)), next)
                }
            };
            Some((message, (events, next, permit)))
        });
        let mut answer = Response::new(stream::iter([Ok(created)]).chain(messages).boxed());
        // What is large in it is a compressed picture.
        answer.disable_compression();
        Ok(answer)
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<GetJobResponse>, Status> {
        let caller = caller(&request)?;
        let record = self.gateway.accessible(&caller, &request.into_inner().job_id).await;
        let mut job = record.map_err(|error| refuse(&error))?.into_job();
        if job.state() == JobState::Running {
            let last = self.gateway.fleet.log.last_event(&job.job_id).await;
            if let Some(Event::Step(step)) =
                last.map_err(|error| refuse(&to_server(error)))?.and_then(|last| last.event)
            {
                (job.step, job.step_total, job.eta) = (Some(step.index), Some(step.total), step.eta);
            }
        }
        Ok(Response::new(GetJobResponse { job: Some(job) }))
    }

    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        let caller = caller(&request)?;
        let message = request.into_inner();
        let before = pages::start(&message.page_token, JobId::parse).map_err(|error| refuse(&error))?;
        let query = JobQuery::read(message.filter.unwrap_or_default()).map_err(|error| refuse(&error))?;
        let limits = PageLimits { jobs: pages::entries(message.page_size), bytes: pages::BYTES_MAX };
        let mut page = PageDraft::new(caller, before.map(|id| id.to_string()), limits, query);
        let next = 'filled: loop {
            let records = self.gateway.index.below(page.before(), LOOKED_AT);
            if records.is_empty() {
                break None;
            }
            for record in records {
                let job = record.job();
                if let ControlFlow::Break(next) = page.look_at(&job.job_id) {
                    break 'filled next;
                }
                match page.takes(&record) {
                    ControlFlow::Break(next) => break 'filled next,
                    ControlFlow::Continue(true) => page.push(job.clone()),
                    ControlFlow::Continue(false) => {}
                }
                page.pass(job.job_id.clone());
            }
            // A search of many jobs lets other calls in between.
            tokio::task::yield_now().await;
        };
        let Listed { jobs, next } = page.end(next);
        Ok(Response::new(ListJobsResponse { jobs, next_page_token: next.unwrap_or_default() }))
    }

    async fn label_job(&self, request: Request<LabelJobRequest>) -> Result<Response<LabelJobResponse>, Status> {
        let caller = caller(&request)?;
        let LabelJobRequest { job_id, add, remove } = request.into_inner();
        let change = LabelChange::new(add, remove).map_err(|error| refuse(&error))?;
        let record = self.gateway.accessible(&caller, &job_id).await.map_err(|error| refuse(&error))?;
        let job = &record.job().job_id;
        change.apply(&record.job().labels).map_err(|error| refuse(&error))?;
        let apply = |stored: &mut JobRecord| {
            let Some(job) = &mut stored.job else { return ControlFlow::Break(()) };
            // Another call may have changed them meanwhile; the limit of labels holds for each call.
            let Ok(labels) = change.apply(&job.labels) else { return ControlFlow::Break(()) };
            if labels == job.labels {
                return ControlFlow::Break(());
            }
            job.labels = labels;
            ControlFlow::Continue(())
        };
        let changed = self.gateway.fleet.records.change(job, apply).await;
        match changed.map_err(|error| refuse(&to_server(error)))? {
            Some(read) => {
                self.gateway.index.put(read.clone());
                Ok(Response::new(LabelJobResponse { job: read.record.job }))
            }
            None => Err(refuse(&ServerError::UnknownJob(job.clone()))),
        }
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        let caller = caller(&request)?;
        let job_id = request.into_inner().job_id;
        let record = self.gateway.accessible(&caller, &job_id).await.map_err(|error| refuse(&error))?;
        if !record.is_ended() {
            let cancelled = cancel(&self.gateway.fleet, &record.job().job_id, CancelReason::Requested).await;
            cancelled.map_err(|error| refuse(&to_server(error)))?;
        }
        let record = self.gateway.accessible(&caller, &job_id).await.map_err(|error| refuse(&error))?;
        Ok(Response::new(CancelJobResponse { job: Some(record.into_job()) }))
    }

    async fn get_artifact(
        &self,
        request: Request<GetArtifactRequest>,
    ) -> Result<Response<Self::GetArtifactStream>, Status> {
        let permit = self.gateway.stream_permit()?;
        let caller = caller(&request)?;
        let GetArtifactRequest { job_id, image_index, offset, limit, max_edge } = request.into_inner();
        let artifact = self.gateway.artifact(&caller, (&job_id, image_index), max_edge).await;
        let artifact = artifact.map_err(|error| refuse(&error))?;
        let total_size = artifact.file.len() as u64;
        let end = artifact_end(offset, limit, total_size).map_err(|error| refuse(&error))?;
        let pieces = stream::unfold((offset, artifact, permit), move |(offset, artifact, permit)| async move {
            if offset >= end {
                return None;
            }
            let next = end.min(offset + ARTIFACT_BYTES);
            let data = artifact.file.slice(offset as usize..next as usize);
            let format = artifact.format.into();
            let chunk = ImageChunk { image_index, format, offset, total_size, data };
            let answer = GetArtifactResponse { chunk: Some(chunk), sha256: artifact.sha256.clone() };
            Some((Ok(answer), (next, artifact, permit)))
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
        let record = self.gateway.accessible(&caller, &request.into_inner().job_id).await;
        let record = record.map_err(|error| refuse(&error))?;
        match record.job().start_time {
            None => Ok(Response::new(GetJobTelemetryResponse::default())),
            Some(_) => Err(refuse(&ServerError::NoTelemetry(record.job().job_id.clone()))),
        }
    }

    async fn delete_job(&self, request: Request<DeleteJobRequest>) -> Result<Response<DeleteJobResponse>, Status> {
        let caller = caller(&request)?;
        let record = self.gateway.accessible(&caller, &request.into_inner().job_id).await;
        let record = record.map_err(|error| refuse(&error))?;
        if !record.is_ended() {
            return Err(refuse(&ServerError::NotEnded(record.job().job_id.clone())));
        }
        self.gateway.delete(&record).await.map_err(|error| refuse(&to_server(error)))?;
        Ok(Response::new(DeleteJobResponse {}))
    }
}

/// Checks the number at which a reader begins. A reader of a job that has not ended may have seen previews behind its last stored
/// event.
fn check_start(record: &Record, start: u64) -> Result<(), ServerError> {
    let job = record.job();
    let ahead = if record.is_ended() { 0 } else { LOSSY_NUMBERS };
    if (job.oldest_sequence..=job.next_sequence.saturating_add(ahead)).contains(&start) {
        return Ok(());
    }
    let (oldest, next) = (job.oldest_sequence, job.next_sequence);
    Err(ServerError::SequenceRange { job_id: job.job_id.clone(), asked: start, oldest, next })
}
