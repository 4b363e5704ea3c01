//! The composition root: what is made, in which order, and what is handed to whom.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sakuga_proto::generation::v1::generation_service_server::GenerationServiceServer;
use sakuga_proto::generation::v1::job_service_server::JobServiceServer;
use sakuga_proto::prompt::v1::prompt_service_server::PromptServiceServer;
use sakuga_proto::system::v1::system_service_server::SystemServiceServer;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::config::{Config, EngineChoice};
use crate::encoder::Encoder;
use crate::error::ServerError;
use crate::engine::{EngineError, EngineOpener, scripted};
use crate::gpu::{self, Sampler, Subscription};
use crate::jobs::{Jobs, Parts};
use crate::limits::Limits;
use crate::scheduler::worker::EngineThread;
use crate::scheduler::{EngineStatus, Scheduler};
use crate::service::Context;
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::prompt::Prompts;
use crate::service::system::System;
use crate::store::StoreError;
use crate::store::place::DataPlace;
use crate::store::writer::StoreWriter;

/// Idle connections are probed this often, and given up after as long without an answer: a client that vanished in the
/// middle of a generation is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Streams that a client may reset before the server has looked at them. Dropping a stream is how clients cancel, so a
/// busy one resets many; beyond this the connection is closed as hostile.
const PENDING_RESETS_MAX: usize = 1024;
/// Time between two samples of the device for the signs of life of quiet streams.
const SIGNS: Duration = Duration::from_secs(5);
/// How long, at the end, clients may take to read what was sent to them.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The engine cannot be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The jobs of this server cannot be had.
    #[error("cannot open the jobs of this server: {0}")]
    Store(#[from] StoreError),
    /// What an earlier run left cannot be taken up.
    #[error("cannot take up the jobs of an earlier run: {0}")]
    Recover(#[from] ServerError),
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// The descriptor set is broken.
    #[error("cannot serve reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The transport failed.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// A server whose socket is bound and whose engine is open.
pub struct App {
    local_addr: SocketAddr,
    incoming: TcpIncoming,
    router: Router,
    context: Arc<Context>,
    health: HealthReporter,
    drain_timeout: Duration,
    /// Keeps the newest sample of the device new.
    _signs: Subscription,
    /// Deletes old jobs.
    _housekeeping: AbortOnDropHandle<()>,
}

impl App {
    /// Binds the socket, opens the engine and wires everything up.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part could not be had.
    pub async fn build(config: Config) -> Result<Self, AppError> {
        let listen_error = |source| AppError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let local_addr = listener.local_addr().map_err(listen_error)?;

        let (thread, ready) = EngineThread::open(opener(&config))?;
        let ready = ready.await.unwrap_or_else(|_| Err(EngineError::Panicked("the engine's thread is gone".into())));
        let mut ready = ready?;
        let mut probe = gpu::probe(&ready.info.device);
        let sample = probe.sample();
        let device_memory = sample.memory_total_bytes;
        ready.info.device = gpu::full_name(&ready.info.device, &sample);
        let model = &ready.info.model;
        tracing::info!(engine = ready.info.kind, device = ready.info.device, model = model.name, "engine open");
        if !model.notice.is_empty() {
            tracing::warn!(notice = model.notice, "about the model");
        }

        let sampler = Arc::new(Sampler::start(probe)?);
        let (store, artifacts) = config.jobs.place.open(config.jobs.artifacts.as_deref())?;
        let writer = Arc::new(StoreWriter::start(store)?);
        let encoder = Encoder::start(artifacts.clone(), Handle::current())?;
        let scheduler = Arc::new(Scheduler::start(thread, encoder, sampler.clone(), &config.limits));
        let jobs = Jobs::new(Parts {
            engine: ready.info.clone(),
            tokens: ready.tokens.clone(),
            limits: config.limits.clone(),
            scheduler: scheduler.clone(),
            device_memory,
            writer,
            artifacts,
            retention: config.jobs.retention,
            is_durable: config.jobs.place != DataPlace::Memory,
        });
        jobs.recover().await?;
        let (newest, latest_sample) = watch::channel(None);
        let signs = sampler.subscribe(SIGNS, move |sample| _ = newest.send_replace(Some(sample.clone())));
        let context = Arc::new(Context {
            jobs: jobs.clone(),
            streams: Arc::new(Semaphore::new(config.limits.streams_max.min(Semaphore::MAX_PERMITS))),
            latest_sample,
            engine: ready.info,
            tokens: ready.tokens,
            limits: config.limits,
            scheduler,
            sampler,
            started: SystemTime::now(),
            closing: CancellationToken::new(),
        });

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(sakuga_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let generation = GenerationServiceServer::new(Generation::new(context.clone()));
        let job_calls = JobServiceServer::new(JobCalls::new(context.clone()));
        let prompts = PromptServiceServer::new(Prompts::new(context.clone()));
        let system = SystemServiceServer::new(System::new(context.clone()));
        let router = Server::builder()
            .trace_fn(|request| tracing::info_span!("call", path = request.uri().path(), call_id = %call_id()))
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
            .add_service(generation.max_decoding_message_size(Limits::MESSAGE_BYTES_MAX))
            .add_service(job_calls.max_decoding_message_size(Limits::MESSAGE_BYTES_MAX))
            .add_service(prompts.max_decoding_message_size(Limits::MESSAGE_BYTES_MAX))
            .add_service(system.max_decoding_message_size(Limits::MESSAGE_BYTES_MAX))
            .add_service(health_service)
            .add_service(reflection);

        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let housekeeping = AbortOnDropHandle::new(tokio::spawn(jobs.keep_house()));
        Ok(Self {
            local_addr,
            incoming,
            router,
            context,
            health,
            drain_timeout: config.drain_timeout,
            _signs: signs,
            _housekeeping: housekeeping,
        })
    }

    /// Where the server listens; with port 0 in the configuration, the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is ready, then drains: refuses new jobs, gives up those that wait, lets the running one
    /// finish within the configured time, and closes connections when clients have read their last events.
    ///
    /// # Errors
    ///
    /// [`AppError::Transport`] if the socket fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let Self { incoming, router, context, health, drain_timeout, _signs, _housekeeping, .. } = self;
        let mirror = mirror_engine_status(&context.scheduler, health.clone()).await;
        let stop_accepting = CancellationToken::new();
        let serve = router.serve_with_incoming_shutdown(incoming, stop_accepting.clone().cancelled_owned());
        tokio::pin!(serve);
        tokio::select! {
            served = &mut serve => return served.map_err(AppError::Transport),
            () = shutdown => {}
        }
        let drain = async {
            tracing::info!(limit_s = drain_timeout.as_secs(), "draining");
            drop(mirror);
            report(&health, &SERVICES, ServingStatus::NotServing).await;
            drain_jobs(&context.scheduler, drain_timeout).await;
            context.closing.cancel();
            stop_accepting.cancel();
            // Ends the streams of those who watch the health.
            for service in SERVICES {
                health.clone().clear_service_status(service).await;
            }
            tokio::time::sleep(FLUSH_PATIENCE).await;
        };
        tokio::select! {
            served = &mut serve => served?,
            () = drain => tracing::warn!("clients did not read to the end; closing their connections"),
        }
        let scheduler = context.scheduler.clone();
        // A failure to join is a panic of the worker, which the log has.
        let _ = tokio::task::spawn_blocking(move || scheduler.close(FLUSH_PATIENCE)).await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// What opens the configured engine.
fn opener(config: &Config) -> EngineOpener {
    match &config.engine {
        EngineChoice::Scripted(script) => scripted::opener(script.clone()),
        #[cfg(feature = "burn")]
        EngineChoice::Burn(burn) => crate::engine::burn::opener(burn.clone()),
    }
}

/// Waits for the jobs to end; those that do not in time are given up at their next step.
async fn drain_jobs(scheduler: &Scheduler, limit: Duration) {
    scheduler.drain();
    let mut live = scheduler.live().count();
    // The sender lives in the scheduler, which outlives this.
    if tokio::time::timeout(limit, live.wait_for(|jobs| *jobs == 0)).await.is_err() {
        scheduler.cancel_all();
        if tokio::time::timeout(FLUSH_PATIENCE, live.wait_for(|jobs| *jobs == 0)).await.is_err() {
            tracing::error!("a step takes too long; its job is left behind");
        }
    }
}

/// Tells the health service whether the engine is there, now and whenever it changes.
async fn mirror_engine_status(scheduler: &Scheduler, health: HealthReporter) -> AbortOnDropHandle<()> {
    let mut status = scheduler.engine_status();
    report(&health, &SERVICES, ServingStatus::Serving).await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let now = match *status.borrow_and_update() {
                EngineStatus::Serving => ServingStatus::Serving,
                EngineStatus::Lost(_) => ServingStatus::NotServing,
            };
            report(&health, &NEED_ENGINE, now).await;
            if status.changed().await.is_err() {
                return;
            }
        }
    }))
}

/// What the health service knows: the server as a whole, and each service.
const SERVICES: [&str; 5] = [
    "",
    GenerationServiceServer::<Generation>::NAME,
    JobServiceServer::<JobCalls>::NAME,
    PromptServiceServer::<Prompts>::NAME,
    SystemServiceServer::<System>::NAME,
];
/// Those of them that are of no use without an engine.
const NEED_ENGINE: [&str; 3] = [SERVICES[0], SERVICES[1], SERVICES[2]];

async fn report(health: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in services {
        health.set_service_status(service, status).await;
    }
}

/// Tells calls apart in the log.
fn call_id() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
