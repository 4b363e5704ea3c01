//! The composition root: what is made, in which order, and what is handed to whom.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sakuga_model_core::{EngineError, ModelOpener};
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
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::auth::error::CredentialError;
use crate::config::{Config, EngineChoice};
use crate::encoder::Encoder;
use crate::engine::scripted;
use crate::error::ServerError;
use crate::gpu::{self, Sampler, Subscription};
use crate::jobs::{Jobs, Parts};
use crate::limits::Limits;
use crate::metrics::listener::Page;
use crate::metrics::{Metrics, QueueFigures, engine, listener};
use crate::retention::RetentionGate;
use crate::scheduler::worker::EngineThread;
use crate::scheduler::{EngineStatus, Scheduler};
use crate::service::Context;
use crate::service::generation::Generation;
use crate::service::jobs::JobCalls;
use crate::service::prompt::Prompts;
use crate::service::system::System;
use crate::store::place::DataPlace;
use crate::store::writer::StoreWriter;
use crate::store::{ArtifactStore, JobStore, StoreError};
use crate::telemetry::Telemetry;
use crate::trace::Observer;
use crate::transport::connection::Connections;
use crate::transport::credentials::Credentials;
use crate::transport::layer::CallLayer;
use crate::transport::listener::Incoming;
use crate::transport::reload::Reloader;
use crate::transport::serve::{self, Serving};

/// Interval of the device samples that quiet event streams carry as a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long, at the end, clients may take to read what was sent to them.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);
/// How long, at the end, the collector may take to get what is left.
const COLLECTOR_PATIENCE: Duration = Duration::from_secs(2);

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
    /// Keys, certificates or tokens cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
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
    /// The address of the collector is none.
    #[error("cannot send to the collector: {0}")]
    Collector(String),
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
    metrics_addr: Option<SocketAddr>,
    is_encrypted: bool,
    serving: Serving,
    stop_accepting: CancellationToken,
    connections: Arc<Connections>,
    context: Arc<Context>,
    health: HealthReporter,
    drain_timeout: Duration,
    observer: Option<Arc<dyn Observer>>,
    _reloader: Reloader,
    _metrics_listener: Option<AbortOnDropHandle<()>>,
    /// Keeps the newest sample of the device up to date.
    _heartbeat: Subscription,
    /// Deletes old jobs.
    _retention: AbortOnDropHandle<()>,
}

impl App {
    /// Binds the socket, opens the engine and wires everything up.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part could not be had.
    pub async fn build(config: Config) -> Result<Self, AppError> {
        let (jobs, artifacts) = config.jobs.place.open(config.jobs.artifacts.as_deref())?;
        Self::build_over(config, jobs, artifacts).await
    }

    /// The same over stores of the caller's.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part could not be had.
    pub async fn build_over(
        config: Config,
        store: Arc<dyn JobStore>,
        artifacts: Arc<dyn ArtifactStore>,
    ) -> Result<Self, AppError> {
        let begun = Instant::now();
        let metrics = Arc::new(Metrics::new(methods()));
        let credentials = Credentials::load(&config.transport)?;
        let connections = Arc::new(Connections::new(&config.transport, metrics.connections.clone()));
        let observer = observer(&config)?;
        warn_about_exposure(&config, &credentials);
        let (listener, local_addr) = bind(config.listen).await?;
        let figures = match config.transport.metrics_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };

        let before_engine = begun.elapsed();
        let (thread, ready) = EngineThread::open(engine::metered(opener(&config), metrics.engine.clone()))?;
        let ready = ready.await.unwrap_or_else(|_| Err(EngineError::Panicked("the engine's thread is gone".into())));
        let mut ready = ready?;
        ready.info.loading.iter_mut().for_each(|phase| phase.begin += before_engine);
        let mut probe = gpu::probe(&ready.info.device);
        let sample = probe.sample();
        let device_memory = sample.memory_total_bytes;
        ready.info.device = gpu::full_name(&ready.info.device, &sample);
        let model = &ready.info.model;
        tracing::info!(engine = ready.info.kind, device = ready.info.device, model = model.name, "engine open");
        if !model.notice.is_empty() {
            tracing::warn!(notice = model.notice, "about the model");
        }

        let mut limits = config.limits;
        limits.pixels_max = ready.info.pixels_max.map_or(limits.pixels_max, |pixels| limits.pixels_max.min(pixels));
        let sampler = Arc::new(Sampler::start(probe)?);
        let writer = Arc::new(StoreWriter::start(store)?);
        let gate = Arc::new(RetentionGate::new(config.jobs.retention));
        let encoder = Encoder::start(artifacts.clone(), gate.clone(), Handle::current())?;
        let telemetry = Telemetry::default();
        let scheduler = Scheduler::start(thread, encoder, sampler.clone(), telemetry.clone(), &limits);
        let scheduler = Arc::new(scheduler);
        let jobs = Jobs::new(Parts {
            engine: ready.info.clone(),
            tokens: ready.tokens.clone(),
            limits: limits.clone(),
            scheduler: scheduler.clone(),
            device_memory,
            writer,
            artifacts,
            telemetry,
            gate,
            observer: observer.clone(),
            is_durable: config.jobs.place != DataPlace::Memory,
        });
        jobs.recover().await?;
        let (newest, latest_sample) = watch::channel(None);
        let heartbeat = sampler.subscribe(HEARTBEAT, move |sample| _ = newest.send_replace(Some(sample.clone())));
        let context = Arc::new(Context {
            jobs: jobs.clone(),
            streams: Arc::new(Semaphore::new(limits.streams_max.min(Semaphore::MAX_PERMITS))),
            latest_sample,
            engine: ready.info,
            tokens: ready.tokens,
            limits,
            observer: scheduler.observer(),
            scheduler,
            sampler,
            started: SystemTime::now(),
            closing: CancellationToken::new(),
        });

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(sakuga_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        // Every service has its limits here; a message that is larger is refused with OUT_OF_RANGE by tonic.
        let generation = GenerationServiceServer::new(Generation::new(context.clone()))
            .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
        let job_calls = JobServiceServer::new(JobCalls::new(context.clone()))
            .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
        let prompts = PromptServiceServer::new(Prompts::new(context.clone()))
            .max_decoding_message_size(Limits::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
        let system = SystemServiceServer::new(System::new(context.clone()))
            .max_decoding_message_size(Limits::QUESTION_BYTES_MAX)
            .max_encoding_message_size(Limits::ANSWER_BYTES_MAX);
        let routes = Routes::new(generation)
            .add_service(job_calls)
            .add_service(prompts)
            .add_service(system)
            .add_service(health_service.max_decoding_message_size(Limits::QUESTION_BYTES_MAX))
            .add_service(reflection().build_v1()?.max_decoding_message_size(Limits::QUESTION_BYTES_MAX))
            .add_service(reflection().build_v1alpha()?.max_decoding_message_size(Limits::QUESTION_BYTES_MAX));

        let retention = AbortOnDropHandle::new(tokio::spawn(jobs.retention_loop()));
        let stop_accepting = CancellationToken::new();
        let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
        let layer = CallLayer::new(&credentials, metrics.calls.clone(), observer.clone());
        let serving = serve::serve(&config.transport, layer, routes, incoming, stop_accepting.clone());
        let metrics_addr = figures.as_ref().map(|(_, address)| *address);
        let metrics_listener = figures.map(|(listener, address)| {
            tracing::info!(%address, "metrics");
            let queue = Box::new(queue_figures(&context));
            let (observer, sampler) = (context.observer.clone(), context.sampler.clone());
            listener::serve(listener, Page { metrics, queue, observer, sampler, tokens: credentials.tokens.clone() })
        });
        Ok(Self {
            local_addr,
            metrics_addr,
            is_encrypted: credentials.tls.is_some(),
            serving,
            stop_accepting,
            connections,
            context,
            health,
            drain_timeout: config.drain_timeout,
            observer,
            _reloader: credentials.watch(),
            _metrics_listener: metrics_listener,
            _heartbeat: heartbeat,
            _retention: retention,
        })
    }

    /// The address as clients write it.
    pub fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Where the figures are served, if they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
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
        let Self {
            serving: mut serve,
            stop_accepting,
            connections,
            context,
            health,
            drain_timeout,
            observer,
            _reloader,
            _metrics_listener,
            _heartbeat,
            _retention,
            ..
        } = self;
        let services = Arc::new(HealthNames::new(&context.engine.model.name));
        let mirror = mirror_engine_status(&context.scheduler, health.clone(), services.clone()).await;
        tokio::select! {
            served = &mut serve => return served.map_err(AppError::Transport),
            () = shutdown => {}
        }
        let drain = async {
            tracing::info!(limit_s = drain_timeout.as_secs(), "draining");
            drop(mirror);
            report(&health, &services.all(), ServingStatus::NotServing).await;
            drain_jobs(&context.scheduler, drain_timeout).await;
            context.closing.cancel();
            stop_accepting.cancel();
            // Ends the streams of those who watch the health.
            for service in services.all() {
                health.clone().clear_service_status(service).await;
            }
            tokio::time::sleep(FLUSH_PATIENCE).await;
        };
        tokio::select! {
            served = &mut serve => served?,
            () = drain => {
                tracing::warn!("clients did not read to the end; closing their connections");
                connections.close_all();
            }
        }
        let scheduler = context.scheduler.clone();
        // A failure to join is a panic of the worker, which the log has.
        let _ = tokio::task::spawn_blocking(move || scheduler.close(FLUSH_PATIENCE)).await;
        if let Some(observer) = observer {
            let _ = tokio::task::spawn_blocking(move || observer.close(COLLECTOR_PATIENCE)).await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// What opens the configured engine.
fn opener(config: &Config) -> ModelOpener {
    match &config.engine {
        EngineChoice::Scripted(script) => scripted::opener(script.clone()),
        #[cfg(feature = "burn")]
        EngineChoice::Burn(burn) => crate::engine::burn::opener(burn.clone()),
    }
}

/// Who is told of calls and jobs, if anybody is.
fn observer(config: &Config) -> Result<Option<Arc<dyn Observer>>, AppError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    #[cfg(feature = "otlp")]
    {
        use crate::trace::otlp::Collector;
        let collector = Collector::at(endpoint).map_err(|error| AppError::Collector(error.to_string()))?;
        tracing::info!(endpoint, "traces and metrics go to a collector");
        Ok(Some(Arc::new(collector)))
    }
    #[cfg(not(feature = "otlp"))]
    Err(AppError::Collector(format!("{endpoint}: this program was built without the feature `otlp`")))
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
async fn mirror_engine_status(
    scheduler: &Scheduler,
    health: HealthReporter,
    services: Arc<HealthNames>,
) -> AbortOnDropHandle<()> {
    let mut status = scheduler.engine_status();
    report(&health, &services.all(), ServingStatus::Serving).await;
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let now = match *status.borrow_and_update() {
                EngineStatus::Serving => ServingStatus::Serving,
                EngineStatus::Lost(_) => ServingStatus::NotServing,
            };
            report(&health, &services.need_engine(), now).await;
            if status.changed().await.is_err() {
                return;
            }
        }
    }))
}

/// What the health service knows: the server as a whole (the empty name), each service, and the model.
struct HealthNames {
    model: String,
}

impl HealthNames {
    fn new(model: &str) -> Self {
        Self { model: format!("model/{model}") }
    }

    fn all(&self) -> [&str; 6] {
        let [whole, generation, jobs, model] = self.need_engine();
        let [prompts, system] = [PromptServiceServer::<Prompts>::NAME, SystemServiceServer::<System>::NAME];
        [whole, generation, jobs, model, prompts, system]
    }

    /// Those that are of no use without an engine.
    fn need_engine(&self) -> [&str; 4] {
        ["", GenerationServiceServer::<Generation>::NAME, JobServiceServer::<JobCalls>::NAME, &self.model]
    }
}

async fn report(health: &HealthReporter, services: &[&str], status: ServingStatus) {
    for service in services {
        health.set_service_status(service, status).await;
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |source| AppError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Says what an operator may not have meant.
fn warn_about_exposure(config: &Config, credentials: &Credentials) {
    if config.listen.ip().is_loopback() {
        return;
    }
    if !credentials.requires_identity() {
        tracing::warn!(
            "whoever reaches the port can draw; ask for tokens with --tokens, or certificates with --tls-client-ca"
        );
    }
    if credentials.tls.is_none() {
        tracing::warn!(
            "connections are not encrypted, and tokens can be read on the way; encrypt with --tls-cert and --tls-key"
        );
    }
}

/// Every method of the server, written `package.Service/Method`.
fn methods() -> Vec<String> {
    let sets = [
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let pools = sets.iter().filter_map(|set| prost_reflect::DescriptorPool::decode(*set).ok());
    let methods = pools.flat_map(|pool| {
        let services: Vec<_> = pool.services().collect();
        services.into_iter().flat_map(|service| {
            let names: Vec<String> =
                service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect();
            names
        })
    });
    methods.collect()
}

/// What the queue tells the page of figures.
fn queue_figures(context: &Arc<Context>) -> impl Fn() -> QueueFigures + Send + Sync + 'static {
    let live = context.scheduler.live().count();
    let status = context.scheduler.engine_status();
    move || QueueFigures { live: *live.borrow(), is_serving: *status.borrow() == EngineStatus::Serving }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::access::{Access, Scope, Scopes, access};

    #[test]
    fn every_method_has_an_access_rule() {
        let methods = methods();
        assert!(methods.len() >= 10, "{methods:?}");
        let admin = Access::Scoped(Scopes::one(Scope::Admin));
        for method in methods {
            assert_ne!(access(&format!("/{method}")), admin, "say in auth::access who may call {method}");
        }
    }
}
