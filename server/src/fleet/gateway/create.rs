//! Creates jobs: a worker checks the request, the `request_id` is claimed, and the job exists once its record is stored.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sakuga_fleet::{Claim, FleetError, Tail};
use sakuga_proto::generation::v1::{CreateJobRequest, GenerateRequest, Job, adapter, image_source};
use tonic::Status;

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::error::to_server;
use crate::fleet::question::{DESCRIBE, NewJob, Question};
use crate::fleet::record;
use crate::job_id::JobId;
use crate::jobs::{Call, Record, fingerprint};
use crate::service::refuse;

/// When to try again after the limit of jobs was reached.
const RETRY: Duration = Duration::from_secs(5);
/// How long the gateway that claimed a `request_id` has until it has stored the job. Then it counts as dead.
const CLAIM_PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked for meanwhile.
const CLAIM_LOOK: Duration = Duration::from_millis(100);
/// How often a call begins again because another one with its `request_id` was faster.
const TRIES: u32 = 8;

/// The job of a call.
pub(super) struct Created {
    pub(super) job: Job,
    /// Whether an earlier call created it.
    pub(super) existed: bool,
}

impl Gateway {
    /// Creates a job, or finds the one that an earlier call with the same `request_id` created on any gateway.
    ///
    /// # Errors
    ///
    /// The status of the refusal; then there is no job.
    pub(super) async fn create(self: &Arc<Self>, call: Call) -> Result<Created, Status> {
        let gateway = self.clone();
        // In its own task: if the caller cancels in between, the job is created as a whole or not at all.
        let created = tokio::spawn(async move { gateway.create_or_find(call).await }).await;
        created.unwrap_or_else(|error| Err(refuse(&ServerError::Internal(error.to_string()))))
    }

    async fn create_or_find(&self, call: Call) -> Result<Created, Status> {
        check_has_no_files(&call.request).map_err(|error| refuse(&error))?;
        let (key, fingerprint) = (call.caller.name_key(&call.request.request_id), fingerprint(&call));
        for is_first in std::iter::once(true).chain(std::iter::repeat_n(false, TRIES as usize)) {
            let mut abandoned = None;
            if !key.is_empty()
                && let Some((job, revision)) = self.fleet.claims.find(&key).await.map_err(failed)?
            {
                match self.claimed(&job).await.map_err(failed)? {
                    Some(record) => return found(record, &call, &fingerprint).map_err(|error| refuse(&error)),
                    None => abandoned = Some(revision),
                }
            }
            if is_first {
                self.admit(&call).map_err(|error| refuse(&error))?;
            }
            let id = JobId::new();
            let NewJob { record, accepted, has_files } = self.describe(&id, &call).await?;
            let (Some(record), Some(accepted), false) = (record, accepted, has_files) else {
                return Err(refuse(&ServerError::Internal("a worker described no job".into())));
            };
            let is_claimed = match (key.is_empty(), abandoned) {
                (true, _) => true,
                (false, Some(revision)) => match self.fleet.claims.replace(&key, id.as_str(), revision).await {
                    Ok(()) => true,
                    Err(FleetError::Conflict(_)) => false,
                    Err(error) => return Err(failed(error)),
                },
                (false, None) => {
                    matches!(self.fleet.claims.claim(&key, id.as_str()).await.map_err(failed)?, Claim::New)
                }
            };
            if !is_claimed {
                continue;
            }
            self.fleet.log.append(&mut Tail::before_first(id.as_str()), &accepted).await.map_err(failed)?;
            let revision = self.fleet.records.create(id.as_str(), &record).await.map_err(failed)?;
            tracing::info!(job_id = %id, client = &*call.caller.client, "accepted");
            self.index.created(record.clone(), revision);
            return Ok(Created { job: record.job.unwrap_or_default(), existed: false });
        }
        Err(failed(FleetError::Conflict("the request_id".into())))
    }

    /// The record of a job whose `request_id` is claimed; `None` if its gateway died before it had stored the job.
    async fn claimed(&self, job: &str) -> Result<Option<Record>, FleetError> {
        let until = tokio::time::Instant::now() + CLAIM_PATIENCE;
        loop {
            if let Some(read) = record::read(&self.fleet, job).await? {
                return Ok(Some(Record::of_message(read.record)));
            }
            if tokio::time::Instant::now() >= until {
                return Ok(None);
            }
            tokio::time::sleep(CLAIM_LOOK).await;
        }
    }

    /// Checks the limits of the client and of the queue.
    fn admit(&self, call: &Call) -> Result<(), ServerError> {
        let client = &call.caller.client;
        if self.closing.is_cancelled() {
            return Err(ServerError::ShuttingDown);
        }
        if let Some(Err(retry_after)) = self.rates.as_ref().map(|rates| rates.take(client)) {
            let rate = self.limits.client_rate_max;
            return Err(ServerError::ClientRate { client: client.to_string(), rate, retry_after });
        }
        let (live, of_client) = self.index.live_count(client);
        if self.limits.client_jobs_max > 0 && of_client >= self.limits.client_jobs_max {
            return Err(ServerError::ClientJobs { client: client.to_string(), jobs: of_client, retry_after: RETRY });
        }
        if live >= self.limits.queued_max {
            return Err(ServerError::QueueFull { waiting: live, retry_after: RETRY });
        }
        Ok(())
    }

    async fn describe(&self, id: &JobId, call: &Call) -> Result<NewJob, Status> {
        let create = CreateJobRequest { request: Some(call.request.clone()), options: Some(call.options) };
        let question = Question {
            path: DESCRIBE.into(),
            message: create.encode_to_vec().into(),
            client: call.caller.client.to_string(),
            owner: call.caller.owner.to_string(),
            job_id: id.to_string(),
        };
        let answer = self.ask(&call.request.model, &question).await?;
        NewJob::decode(answer)
            .map_err(|error| refuse(&ServerError::Internal(format!("the answer of a worker: {error}"))))
    }
}

/// The job of an earlier call with the same `request_id`.
fn found(record: Record, call: &Call, fingerprint: &[u8]) -> Result<Created, ServerError> {
    if record.fingerprint() != fingerprint {
        let request_id = call.request.request_id.clone();
        return Err(ServerError::NameTaken { request_id, job_id: record.job().job_id.clone() });
    }
    Ok(Created { job: record.into_job(), existed: true })
}

/// Refuses a request with images or with adapters that clients upload.
fn check_has_no_files(request: &GenerateRequest) -> Result<(), ServerError> {
    let images = [
        request.init.as_ref().and_then(|init| init.image.as_ref()),
        request.mask.as_ref().and_then(|mask| mask.image.as_ref()),
        request.scene.as_ref().and_then(|scene| scene.protection.as_ref()?.image.as_ref()),
    ];
    let controls = request.controls.iter().filter_map(|control| control.image.as_ref());
    let mut images = images.into_iter().flatten().chain(controls).filter_map(|image| image.source.as_ref());
    let of_scene = request.scene.iter().flat_map(|scene| &scene.adapters);
    let mut adapters = request.adapters.iter().chain(of_scene).filter_map(|adapter| adapter.source.as_ref());
    let has_image =
        images.any(|source| matches!(source, image_source::Source::Inline(_) | image_source::Source::Asset(_)));
    let has_upload = adapters.any(|source| matches!(source, adapter::Source::Sha256(_)));
    let what = match (has_image, has_upload) {
        (true, _) => "requests with images are not",
        (_, true) => "adapters of clients are not",
        _ => return Ok(()),
    };
    Err(ServerError::NotInFleet { what, instead: "send the request to a single server" })
}

fn failed(error: FleetError) -> Status {
    refuse(&to_server(error))
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::{Adapter, ImageSource, InitImage};

    use super::*;

    #[test]
    fn files_of_clients_are_refused_by_name() {
        let text = |request: &GenerateRequest| check_has_no_files(request).expect_err("files").to_string();
        let image = ImageSource { source: Some(image_source::Source::Inline("png".into())) };
        let init = Some(InitImage { image: Some(image), ..InitImage::default() });
        assert!(
            text(&GenerateRequest { init, ..GenerateRequest::default() })
                .contains("requests with images are not in a fleet")
        );
        let adapter = Adapter { source: Some(adapter::Source::Sha256("ab".into())), ..Adapter::default() };
        let adapters = vec![adapter];
        assert!(text(&GenerateRequest { adapters, ..GenerateRequest::default() }).contains("adapters of clients"));
        let named = Adapter { source: Some(adapter::Source::Name("style".into())), ..Adapter::default() };
        assert!(check_has_no_files(&GenerateRequest { adapters: vec![named], ..GenerateRequest::default() }).is_ok());
    }
}
