//! Creates jobs: a request becomes a stored job, or is refused and nothing is stored.
//!
//! Cheap checks come first: the client's rate and the queue limit are checked before prompts are parsed and tokens are counted, so a
//! flood of refused calls costs little. A call with an invalid request therefore counts towards the client's rate. Only the lookup of
//! a call's `request_id` comes before: a repeated call gets its job without counting. It costs a SHA-256 of the call and up to two
//! reads of the store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::caller::Caller;
use super::event_encoder::JobEventEncoder;
use super::policy::JobPolicy;
use super::prepare::{Prepared, prepare};
use super::record::{Creation, Record};
use super::registry::{Dependencies, Jobs, Live};
use crate::assets::AssetOwner;
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job::{Job, JobHandle, JobRequest};
use crate::job_id::JobId;
use crate::journal::{Journal, Reader};
use crate::scheduler::{Forecasted, QueuePosition, Reservation};
use crate::store::Write;
use crate::trace::{ObservedEncoder, TraceParent};

/// How long a job that ends with its last reader waits for its first one.
const FIRST_READER: Duration = Duration::from_secs(10);

/// A call that asks for a job.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Who makes the call.
    pub caller: Caller,
    /// What to draw.
    pub request: generation::GenerateRequest,
    /// How to treat the job.
    pub options: generation::JobOptions,
    /// The call's span, if calls are traced.
    pub trace_parent: Option<TraceParent>,
    /// Whether the caller reads the job's events from the first on.
    pub is_watched: bool,
}

/// The job of a call.
pub(crate) struct Created {
    /// The job as it is now.
    pub job: generation::Job,
    /// Its events from the first on, if the call asked for them.
    pub reader: Option<Reader>,
    /// Whether an earlier call created it.
    pub existed: bool,
}

/// The result of looking up a call's `request_id`.
enum Lookup {
    /// The id of the job that an earlier call with the same `request_id` created.
    Known(String),
    /// There is none; the call is admitted and checked.
    New(Box<Admitted>),
}

/// A call that is admitted and checked, and not stored yet.
struct Admitted {
    prepared: Prepared,
    reservation: Reservation,
    forecast: Forecasted,
}

/// Identifies repeated calls.
struct Name {
    /// Empty if the call has no `request_id`.
    key: Vec<u8>,
    /// SHA-256 of the call; also empty.
    fingerprint: Vec<u8>,
}

impl Jobs {
    /// Creates a job, or finds the one that an earlier call with the same `request_id` created.
    ///
    /// # Errors
    ///
    /// [`ServerError`]; then there is no job.
    pub(crate) async fn create(self: &Arc<Self>, call: Call) -> Result<Created, ServerError> {
        let jobs = self.clone();
        // Dropped with the call: then the request is not checked any further and not stored.
        let gone = CancellationToken::new();
        let _call = gone.clone().drop_guard();
        // In its own task: if the caller cancels in between, no job is left that is stored but not enqueued.
        let created = self.runtime.spawn(async move { jobs.create_or_find(call, gone).await });
        created.await.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }

    /// Creates a job under an id that another server gave it. Its `request_id` finds no job here.
    ///
    /// # Errors
    ///
    /// [`ServerError`]; then there is no job.
    #[cfg(feature = "fleet")]
    pub(crate) async fn create_as(self: &Arc<Self>, id: JobId, call: Call) -> Result<Created, ServerError> {
        let jobs = self.clone();
        let created = self.runtime.spawn(async move {
            let (name, policy) = (Name { key: Vec::new(), fingerprint: Vec::new() }, JobPolicy::read(&call.options));
            match jobs.look_up(&name.key, &id, &call, policy, CancellationToken::new()).await? {
                Lookup::Known(job_id) => Err(ServerError::Internal(format!("job {job_id} was found without a name"))),
                Lookup::New(admitted) => jobs.accept(call, id, policy, *admitted, name).await,
            }
        });
        created.await.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }

    async fn create_or_find(self: Arc<Self>, call: Call, gone: CancellationToken) -> Result<Created, ServerError> {
        let key = call.caller.name_key(&call.request.request_id);
        let (_guard, fingerprint) = match key.is_empty() {
            true => (None, Vec::new()),
            false => (Some(self.lock_name(&key).await), fingerprint(&call)),
        };
        let name = Name { key, fingerprint };
        let (id, policy) = (JobId::new(), JobPolicy::read(&call.options));
        match self.look_up(&name.key, &id, &call, policy, gone).await? {
            Lookup::Known(job_id) => self.found(&JobId::named(&job_id), &call, &name.fingerprint).await,
            Lookup::New(admitted) => self.accept(call, id, policy, *admitted, name).await,
        }
    }

    /// Looks for the job of this name and, if there is none, admits and checks the call. Runs on one thread that may block:
    /// each change of threads costs a wait on a busy machine.
    async fn look_up(
        &self,
        key: &[u8],
        id: &JobId,
        call: &Call,
        policy: JobPolicy,
        gone: CancellationToken,
    ) -> Result<Lookup, ServerError> {
        let Some(jobs) = self.this.upgrade() else { return Err(ServerError::ShuttingDown) };
        let (key, id, request) = (key.to_owned(), id.clone(), call.request.clone());
        let caller = (call.caller.client.clone(), call.caller.asset_owner());
        let span = tracing::Span::current();
        let work = move || {
            let store = jobs.dependencies.writer.store();
            if !key.is_empty()
                && let Some(known) = store.named(&key)?
                // A name without its job is damage; the new job takes it.
                && store.job(&known)?.is_some()
            {
                return Ok(Lookup::Known(known));
            }
            let is_gone = || match gone.is_cancelled() {
                true => Err(ServerError::Internal("the call is gone".into())),
                false => Ok(()),
            };
            is_gone()?;
            let admitted = span.in_scope(|| jobs.admit(id, caller, request, policy))?;
            is_gone()?;
            Ok(Lookup::New(Box::new(admitted)))
        };
        let lookup = tokio::task::spawn_blocking(work).await;
        lookup.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }

    /// Admits and checks a call, the cheap checks first.
    fn admit(
        &self,
        id: JobId,
        (client, owner): (Arc<str>, AssetOwner),
        request: generation::GenerateRequest,
        policy: JobPolicy,
    ) -> Result<Admitted, ServerError> {
        if let Some(fault) = self.dependencies.store_fault() {
            return Err(fault.into());
        }
        if let Some(Err(retry_after)) = self.rates.as_ref().map(|rates| rates.take(&client)) {
            let rate = self.dependencies.limits.client_rate_max;
            return Err(ServerError::ClientRate { client: client.to_string(), rate, retry_after });
        }
        let reservation = self.dependencies.scheduler.reserve(&client)?;
        let prepared = prepare(&self.dependencies, id, (client, &owner), request, policy)?;
        self.check_memory(&prepared.request)?;
        let forecast = reservation.position(&prepared.request, policy.timeout)?;
        Ok(Admitted { prepared, reservation, forecast })
    }

    async fn found(&self, id: &JobId, call: &Call, fingerprint: &[u8]) -> Result<Created, ServerError> {
        let record = self.record(id).await?;
        if record.fingerprint() != fingerprint {
            let request_id = call.request.request_id.clone();
            return Err(ServerError::NameTaken { request_id, job_id: id.to_string() });
        }
        let (job, reader) = match call.is_watched {
            true => self.watch(&call.caller, id.as_str(), 0).await.map(|(job, reader)| (job, Some(reader)))?,
            false => (self.with_progress(record.into_job()), None),
        };
        Ok(Created { job, reader, existed: true })
    }

    /// Stores an admitted job and enqueues it.
    async fn accept(
        &self,
        call: Call,
        id: JobId,
        policy: JobPolicy,
        admitted: Admitted,
        name: Name,
    ) -> Result<Created, ServerError> {
        let Admitted { prepared, reservation, forecast } = admitted;
        let QueuePosition { position, eta } = forecast.position;
        let Prepared { context, request, diagnostics, setup, inline_files, .. } = prepared;
        let Dependencies { writer, scheduler, observer, assets, is_durable, .. } = &self.dependencies;
        let deadline = policy.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let creation = Creation {
            client: call.caller.client.to_string(),
            owner: call.caller.owner.to_string(),
            options: call.options,
            fingerprint: name.fingerprint,
            name_key: name.key.clone(),
            trace_parent: call.trace_parent,
            estimated_time: forecast.expected(),
        };
        let record = Record::new(&context, creation);
        let encoder = Box::new(JobEventEncoder::new(context, record.clone(), setup));
        let encoder = ObservedEncoder::over(encoder, observer.as_ref(), &id, &request, call.trace_parent);
        let journal = Arc::new(Journal::new(id.clone(), encoder, writer.clone(), self.hooks()));
        let mut bodies = vec![EventBody::Accepted { diagnostics }];
        if position > 0 {
            bodies.push(EventBody::Queued { position, eta });
        }
        let mut writes = journal.open(bodies);
        if !name.key.is_empty() {
            writes.push(Write::PutName { name: name.key, job: id.to_string() });
        }
        let has_files = *is_durable && !inline_files.is_empty();
        if has_files {
            // Before the job is stored: a restart removes the files of jobs that do not exist.
            assets.keep_for_job(&id, inline_files).await?;
        }
        if let Err(error) = writer.write_once(writes).await {
            if has_files {
                assets.release_job(&id).await;
            }
            return Err(error.into());
        }
        journal.opened();
        log(&id, &request);
        let reader = call.is_watched.then(|| Reader::of_live(journal.clone(), 0));
        let handle = JobHandle::new(id.clone(), deadline);
        let job = self.register(handle, request, journal, policy, call.caller.owner, reservation);
        scheduler.enqueue(job, position);
        if reader.is_none() {
            self.unwatched(&id, FIRST_READER);
        }
        Ok(Created { job: self.with_progress(record.into_job()), reader, existed: false })
    }

    /// Registers a job as live, in place of its reservation.
    pub(super) fn register(
        &self,
        handle: JobHandle,
        request: JobRequest,
        journal: Arc<Journal>,
        policy: JobPolicy,
        owner: Arc<str>,
        reservation: Reservation,
    ) -> Job {
        let deadline = handle.deadline().map(|deadline| {
            let (jobs, id) = (self.this.clone(), handle.id.clone());
            AbortOnDropHandle::new(self.runtime.spawn(async move {
                tokio::time::sleep_until(deadline.into()).await;
                if let Some(jobs) = jobs.upgrade() {
                    jobs.cancel_live(&id, CancelReason::Deadline);
                }
            }))
        });
        let live = Live {
            journal: journal.clone(),
            handle: handle.clone(),
            owner,
            grace: policy.grace,
            _deadline: deadline,
            unwatched: None,
        };
        self.live.lock().insert(handle.id.clone(), live);
        let job = Job::new(handle, request, journal, self.dependencies.scheduler.live());
        // After the job counts as live, so that it counts at every moment.
        drop(reservation);
        job
    }
}

/// SHA-256 of a call.
pub(crate) fn fingerprint(call: &Call) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(call.request.encode_length_delimited_to_vec());
    hash.update(call.options.encode_to_vec());
    hash.finalize().to_vec()
}

fn log(id: &JobId, request: &JobRequest) {
    let spec = &request.spec;
    tracing::info!(
        job_id = %id,
        request_id = request.request_id,
        client = &*request.client,
        images = spec.images,
        steps = spec.computed_steps(),
        width_px = spec.width_px,
        height_px = spec.height_px,
        "accepted"
    );
    tracing::debug!(job_id = %id, text = spec.text, negative = spec.negative, "prompt");
}
