//! The door: a request becomes a job that is written down, or is refused and leaves nothing behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation};
use sakuga_schema::Diagnostic;
use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;

use super::{Jobs, Live, Parts, naming_lock};
use crate::error::ServerError;
use crate::event::{CancelReason, EventBody};
use crate::job::{Job, JobHandle, JobRequest};
use crate::job_id::JobId;
use crate::jobs::record::{self, JobEventEncoder, JobPolicy, JobRecord};
use crate::journal::{Journal, Reader};
use crate::scheduler::Reservation;
use crate::store::Write;
use crate::sync::lock;
use crate::trace::{ObservedEncoder, TraceParent};
use crate::wire::to_proto::JobContext;
use crate::wire::{from_proto, metadata, to_proto};

/// How long a job that is to end with its last reader waits for its first.
const FIRST_READER: Duration = Duration::from_secs(10);

/// A call that asks for a job.
#[derive(Clone, Debug)]
pub struct Call {
    /// Who asks.
    pub client: Arc<str>,
    /// What to draw.
    pub request: generation::GenerateRequest,
    /// How to treat it.
    pub options: generation::JobOptions,
    /// The call's span, if anybody observes.
    pub trace_parent: Option<TraceParent>,
    /// Whether the caller reads its events from now on.
    pub is_watched: bool,
}

/// A job that was asked for.
pub struct Created {
    /// The job as it is now.
    pub job: generation::Job,
    /// Its events from the first on, if the call asked for them.
    pub reader: Option<Reader>,
    /// Whether it was there before.
    pub existed: bool,
}

/// What a call asks for.
enum Lookup {
    /// A job that was accepted before, under the name that the call gives.
    Known(String),
    /// A new one.
    New(Box<Prepared>),
}

/// A checked request in the forms in which it is needed.
pub(super) struct Prepared {
    pub(super) context: JobContext,
    pub(super) request: JobRequest,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Jobs {
    /// Makes a job of a request, or finds the one that it became before.
    ///
    /// # Errors
    ///
    /// [`ServerError`] says why not; then there is no job.
    pub async fn create(self: &Arc<Self>, call: Call) -> Result<Created, ServerError> {
        let jobs = self.clone();
        // A caller that hangs up in the middle must not leave a job that is written down and never drawn.
        let created = self.runtime.spawn(async move { jobs.create_whole(call).await });
        created.await.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }

    async fn create_whole(self: Arc<Self>, call: Call) -> Result<Created, ServerError> {
        let name = name(&call);
        let (_guard, fingerprint) = match name.is_empty() {
            true => (None, Vec::new()),
            false => (Some(self.naming[naming_lock(&name)].lock().await), fingerprint(&call)),
        };
        let (id, policy) = (JobId::new(), JobPolicy::read(&call.options));
        match self.look_up(&name, &id, &call, policy).await? {
            Lookup::Known(job_id) => self.found(&job_id, &call, &fingerprint).await,
            Lookup::New(prepared) => self.accept(call, id, policy, *prepared, name, fingerprint).await,
        }
    }

    async fn found(&self, job_id: &str, call: &Call, fingerprint: &[u8]) -> Result<Created, ServerError> {
        if self.record(job_id).await?.fingerprint != fingerprint {
            let request_id = call.request.request_id.clone();
            return Err(ServerError::NameTaken { request_id, job_id: job_id.to_owned() });
        }
        let (job, reader) = match call.is_watched {
            true => self.watch(job_id, 0).await.map(|(job, reader)| (job, Some(reader)))?,
            false => (self.get(job_id).await?, None),
        };
        Ok(Created { job, reader, existed: true })
    }

    async fn accept(
        &self,
        call: Call,
        id: JobId,
        policy: JobPolicy,
        prepared: Prepared,
        name: Vec<u8>,
        fingerprint: Vec<u8>,
    ) -> Result<Created, ServerError> {
        let Prepared { context, request, diagnostics } = prepared;
        if let Some(Err(retry_after)) = self.rates.as_ref().map(|rates| rates.take(&call.client)) {
            let client = call.client.to_string();
            return Err(ServerError::ClientRate { client, rate: self.parts.limits.client_rate_max, retry_after });
        }
        let accepted = Instant::now();
        let deadline = policy.timeout.and_then(|timeout| accepted.checked_add(timeout));
        let reservation = self.admit(&request, policy)?;
        let record =
            record::new_record(&context, &call.client, call.options, fingerprint, name.clone(), call.trace_parent);
        let encoder = Box::new(JobEventEncoder::new(context, record.clone()));
        let encoder = ObservedEncoder::over(encoder, self.parts.observer.as_ref(), &id, &request, call.trace_parent);
        let journal = Arc::new(Journal::new(id.clone(), encoder, self.parts.writer.clone(), self.hooks()));
        let mut bodies = vec![EventBody::Accepted { diagnostics }];
        if reservation.position > 0 {
            bodies.push(EventBody::Queued { position: reservation.position, eta: reservation.eta });
        }
        let mut writes = journal.open(bodies);
        if !name.is_empty() {
            writes.push(Write::PutName { name, job: id.to_string() });
        }
        self.parts.writer.write_once(writes).await?;
        journal.opened();
        log(&id, &request);
        let reader = call.is_watched.then(|| journal.read(0));
        let announced_position = reservation.position;
        let job = self.register(JobHandle::new(id.clone(), deadline), request, journal, policy, reservation);
        self.parts.scheduler.enqueue(job, announced_position);
        if reader.is_none() {
            self.unwatched(&id, FIRST_READER);
        }
        Ok(Created { job: self.present(record.job()), reader, existed: false })
    }

    /// Looks for the job of that name and, if there is none, checks the request: on a thread that may take its time, and
    /// on one alone, since each change of threads is a wait on a busy machine.
    async fn look_up(&self, name: &[u8], id: &JobId, call: &Call, policy: JobPolicy) -> Result<Lookup, ServerError> {
        let Some(jobs) = self.this.upgrade() else { return Err(ServerError::ShuttingDown) };
        let (name, id, client, request) = (name.to_owned(), id.clone(), call.client.clone(), call.request.clone());
        let span = tracing::Span::current();
        let work = move || {
            let writer = &jobs.parts.writer;
            if !name.is_empty()
                && let Some(known) = writer.store().named(&name)?
            {
                return Ok(Lookup::Known(known));
            }
            if let Some(fault) = writer.fault() {
                return Err(fault.into());
            }
            span.in_scope(|| prepare(&jobs.parts, id, client, request, policy)).map(Box::new).map(Lookup::New)
        };
        let lookup = tokio::task::spawn_blocking(work).await;
        lookup.unwrap_or_else(|error| Err(ServerError::Internal(error.to_string())))
    }

    fn admit(&self, request: &JobRequest, policy: JobPolicy) -> Result<Reservation, ServerError> {
        let needed = self.parts.engine.memory.needed(&request.spec);
        let limit = self.parts.limits.job_memory_max.or(self.parts.device_memory);
        if let Some(limit) = limit.filter(|limit| needed > *limit) {
            return Err(ServerError::Memory { needed, limit });
        }
        self.parts.scheduler.admit(request, policy.timeout)
    }

    /// Counts a job as live.
    pub(super) fn register(
        &self,
        handle: JobHandle,
        request: JobRequest,
        journal: Arc<Journal>,
        policy: JobPolicy,
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
            grace: policy.grace,
            _deadline: deadline,
            unwatched: None,
        };
        lock(&self.live).insert(handle.id.clone(), live);
        let job = Job::new(handle, request, journal, self.parts.scheduler.live());
        drop(reservation);
        job
    }
}

/// The name under which a call finds its job again; empty if it gives none.
fn name(call: &Call) -> Vec<u8> {
    if call.request.request_id.is_empty() {
        return Vec::new();
    }
    [call.client.as_bytes(), b"\0", call.request.request_id.as_bytes()].concat()
}

fn fingerprint(call: &Call) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(call.request.encode_length_delimited_to_vec());
    hash.update(call.options.encode_to_vec());
    hash.finalize().to_vec()
}

/// Checks a request; one that was accepted before, with every default filled in, comes back as it was.
pub(super) fn prepare(
    parts: &Parts,
    job_id: JobId,
    client: Arc<str>,
    message: generation::GenerateRequest,
    policy: JobPolicy,
) -> Result<Prepared, ServerError> {
    let request = from_proto::unchecked(message).check(parts.rules(), draw_seed)?;
    let resolved = to_proto::resolved(&request);
    let metadata: Vec<_> = (0..request.spec().images)
        .map(|index| metadata::image_metadata(&request, &resolved, &parts.engine, index))
        .collect();
    let texts = metadata.iter().map(|metadata| metadata::text_chunks(metadata, &request));
    let job_request = JobRequest {
        request_id: request.request_id().to_owned(),
        client,
        priority: policy.priority,
        is_kept: parts.is_durable && policy.grace.is_none_or(|grace| !grace.is_zero()),
        spec: request.spec().clone(),
        preview: request.preview(),
        stats_interval: request.stats_interval(),
        texts: texts.collect::<Result<_, _>>().map_err(|error| ServerError::Internal(error.to_string()))?,
    };
    let device = parts.engine.device.clone();
    let model_notice = parts.engine.model.notice.clone();
    let diagnostics = request.diagnostics().to_vec();
    Ok(Prepared {
        context: JobContext { job_id, resolved, device, model_notice, metadata },
        request: job_request,
        diagnostics,
    })
}

/// A seed of 32 bits: short enough to be read out and typed again.
fn draw_seed() -> u64 {
    // Without the system's randomness the clock is random enough for a picture.
    let clock = || std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.subsec_nanos());
    getrandom::u32().unwrap_or_else(|_| clock()).into()
}

fn log(id: &JobId, request: &JobRequest) {
    let spec = &request.spec;
    tracing::info!(
        job_id = %id,
        request_id = request.request_id,
        client = &*request.client,
        images = spec.images,
        steps = spec.sampling.steps,
        width_px = spec.width_px,
        height_px = spec.height_px,
        "accepted"
    );
    tracing::debug!(job_id = %id, text = spec.text, negative = spec.negative, "prompt");
}

/// The record of a job, for those who take it up again.
pub(super) fn client_of(record: &JobRecord) -> Arc<str> {
    record.job.as_ref().map_or("", |job| &job.client_id).into()
}
