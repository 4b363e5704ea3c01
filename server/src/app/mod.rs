//! The composition root: creates the parts of the server in their order and connects them.

mod drain;
mod engines;
mod error;
mod health;
mod listen;
mod methods;
mod models;
mod routes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic_health::server::HealthReporter;
use tower::Layer as _;

pub use self::error::AppError;
use crate::adapters::Adapters;
use crate::assets::Assets;
use crate::config::Config;
use crate::devices::{DeviceId, DeviceStatus};
use crate::encoder::Encoder;
use crate::gpu::{DeviceSample, Sampler, Subscription};
use crate::job::HeldImages;
use crate::jobs::{Dependencies, Jobs};
use crate::metrics::{DeviceFigures, Metrics, QueueFigures};
use crate::models::{Catalog, ModelState, ModelStatus};
use crate::openai::{self, OpenAi};
use crate::retention::RetentionGate;
use crate::scheduler::{EngineStatus, Scheduler};
use crate::service::Context;
use crate::store::place::{DataPlace, OpenError};
use crate::store::writer::StoreWriter;
use crate::store::{ArtifactStore, JobStore, StoreError, StoreFault};
use crate::studio::api::{ApiLayer, Route};
use crate::studio::layer::StudioLayer;
use crate::telemetry::{ActivityProbe, Telemetry};
use crate::trace::Observer;
use crate::transport::connection::Connections;
use crate::transport::credentials::Credentials;
use crate::transport::layer::CallLayer;
use crate::transport::listener::Incoming;
use crate::transport::message::Messages;
use crate::transport::metrics_listener::{self, Page};
use crate::transport::outgoing::Outgoing;
use crate::transport::reload::Reloader;
use crate::transport::serve::{self, Serving};
use listen::{Sockets, warn_about_exposure};
use models::Opened;
use routes::routes;

/// Interval of the device samples that streams without events carry, to show that the server is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The most ListJobs and GetJob answers that are built at once.
const LARGE_ANSWERS: usize = 4;
/// The most requests that are estimated at once.
const ESTIMATES: usize = 4;
/// How long the page of metrics waits for a sample of the device.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(1);

/// A server whose socket is bound and whose models are open.
pub struct App {
    local_addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    studio_addr: Option<SocketAddr>,
    is_encrypted: bool,
    serving: Serving,
    stop_accepting: CancellationToken,
    connections: Arc<Connections>,
    context: Arc<Context>,
    health: HealthReporter,
    drain_timeout: Duration,
    place: DataPlace,
    /// The store of jobs, if it was opened here: it is closed at the end.
    store: Option<Arc<dyn JobStore>>,
    observer: Option<Arc<dyn Observer>>,
    _reloader: Reloader,
    _metrics_listener: Option<AbortOnDropHandle<()>>,
    /// Keeps the newest sample of the device up to date.
    _heartbeat: Subscription,
    /// Watches the folder of adapters.
    _adapters: AbortOnDropHandle<()>,
    /// Delete old jobs and assets.
    _retention: [AbortOnDropHandle<()>; 2],
}

impl App {
    /// Binds the socket, opens the store and the models, and wires everything up. The socket is first: a second server on
    /// the port finds it taken before it waits for the store of the first.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part failed.
    pub async fn build(config: Config) -> Result<Self, AppError> {
        let sockets = Sockets::bind(&config).await?;
        let (jobs, artifacts) = config.jobs.place.open(config.jobs.artifacts.as_deref())?;
        let app = Self::build_on(config, sockets, jobs.clone(), artifacts).await?;
        Ok(Self { store: Some(jobs), ..app })
    }

    /// As [`App::build`], over stores that the caller has opened.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part failed.
    #[doc(hidden)]
    pub async fn build_over(
        config: Config,
        store: Arc<dyn JobStore>,
        artifacts: Arc<dyn ArtifactStore>,
    ) -> Result<Self, AppError> {
        let sockets = Sockets::bind(&config).await?;
        Self::build_on(config, sockets, store, artifacts).await
    }

    async fn build_on(
        config: Config,
        sockets: Sockets,
        store: Arc<dyn JobStore>,
        artifacts: Arc<dyn ArtifactStore>,
    ) -> Result<Self, AppError> {
        let begun = Instant::now();
        let http = Route::TEMPLATES.map(str::to_owned);
        let metrics = Arc::new(Metrics::new(methods::all().iter().map(methods::name).chain(http)));
        let credentials = Credentials::load(&config.transport)?;
        let connections =
            Arc::new(Connections::new(&config.transport.within_open_files(), metrics.connections.clone()));
        let observer = observer(&config)?;
        warn_about_exposure(&config, &credentials);

        let before_engine = begun.elapsed();
        let Opened { devices, models, probes, device_memory } = models::open(&config, &metrics, before_engine).await?;
        let adapters = open_adapters(config.models.adapters.clone(), &models).await?;
        let (limits, memory_budget) = (config.limits, models::budget(&devices));
        let sampler = Arc::new(Sampler::start(probes)?);
        let writer = Arc::new(StoreWriter::start(store)?);
        let assets = {
            let (place, writer, settings) = (config.jobs.place.clone(), writer.clone(), config.jobs.assets.clone());
            let opened = tokio::task::spawn_blocking(move || Assets::open(&place, writer, settings)).await;
            let opened = opened.unwrap_or_else(|error| Err(StoreError::Io(error.to_string())));
            opened.map_err(|error| AppError::Recover(OpenError { place: config.jobs.place.clone(), error }))?
        };
        let gate = Arc::new(RetentionGate::new(config.jobs.retention));
        let artifact_fault = StoreFault::default();
        let encoder = Encoder::start(artifacts.clone(), gate.clone(), artifact_fault.clone(), Handle::current())?;
        let telemetry = Telemetry::default();
        let model_metrics = metrics.models.clone();
        let scheduler = Scheduler::start(devices, encoder, sampler.clone(), telemetry.clone(), model_metrics, &limits);
        let scheduler = Arc::new(scheduler);
        let jobs = Jobs::new(Dependencies {
            models: models.clone(),
            adapters: adapters.clone(),
            memory_budget,
            limits: limits.clone(),
            scheduler: scheduler.clone(),
            device_memory,
            writer,
            artifacts,
            artifact_fault,
            assets: assets.clone(),
            telemetry,
            gate,
            observer: observer.clone(),
            is_durable: config.jobs.place != DataPlace::Memory,
            held_images: HeldImages::default(),
        });
        let place = config.jobs.place;
        let failed = |error| AppError::Recover(OpenError { place: place.clone(), error });
        jobs.recover().await.map_err(failed)?;
        let (newest, latest_sample) = watch::channel(None);
        let heartbeat = sampler.subscribe(DeviceId::FIRST, HEARTBEAT, move |sample| {
            newest.send_replace(Some(sample.clone()));
        });
        let context = Arc::new(Context {
            jobs: jobs.clone(),
            assets: assets.clone(),
            asset_idle: config.jobs.assets.idle,
            streams: Arc::new(Semaphore::new(limits.streams_max.min(Semaphore::MAX_PERMITS))),
            outgoing: Outgoing::new(config.transport.unsent_bytes_max),
            estimates: Arc::new(Semaphore::new(ESTIMATES)),
            large_answers: Arc::new(Semaphore::new(LARGE_ANSWERS)),
            latest_sample,
            models,
            adapters: adapters.clone(),
            memory_budget,
            limits,
            activity: scheduler.activity_probe(),
            scheduler,
            sampler,
            started: SystemTime::now(),
            closing: CancellationToken::new(),
        });

        let (routes, health) = routes(&context)?;
        let adapters = AbortOnDropHandle::new(tokio::spawn(adapters.keep_up_to_date()));
        let retention = [
            AbortOnDropHandle::new(tokio::spawn(jobs.retention_loop())),
            AbortOnDropHandle::new(tokio::spawn(assets.retention_loop())),
        ];
        let stop_accepting = CancellationToken::new();
        let (listener, local_addr) = sockets.api;
        let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
        let methods = methods::all().into_iter().map(|method| {
            let limits = methods::limits(&method);
            (method, limits)
        });
        let messages = Messages::new(methods, config.transport.handshake_timeout).with_bodies(openai::bodies());
        let layer =
            CallLayer::new(&credentials, messages, context.outgoing.clone(), metrics.calls.clone(), observer.clone());
        let is_encrypted = credentials.tls.is_some();
        let studio_addr = sockets.studio.as_ref().map(|(_, address)| *address);
        let api = match config.studio.has_openai_api && sockets.studio.is_some() {
            true => Some(layer.layer(OpenAi::new(context.clone(), is_encrypted).map_err(AppError::Signing)?)),
            false => None,
        };
        let studio = sockets.studio.map(|(listener, _)| {
            let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
            let page = (StudioLayer::new(&config.studio, is_encrypted), ApiLayer::new(api));
            serve::serve_studio(
                &config.transport,
                page,
                layer.clone(),
                routes.clone(),
                incoming,
                stop_accepting.clone(),
            )
        });
        let api = serve::serve(&config.transport, layer, routes, incoming, stop_accepting.clone());
        let serving = serve::both(api, studio);
        let metrics_addr = sockets.metrics.as_ref().map(|(_, address)| *address);
        let metrics_listener = sockets.metrics.map(|(listener, address)| {
            tracing::info!(%address, "serving metrics");
            metrics_listener::serve(listener, credentials.tokens.clone(), metrics_page(metrics, &context))
        });
        Ok(Self {
            local_addr,
            metrics_addr,
            studio_addr,
            is_encrypted,
            serving,
            stop_accepting,
            connections,
            context,
            health,
            drain_timeout: config.drain_timeout,
            place,
            store: None,
            observer,
            _reloader: credentials.watch(),
            _metrics_listener: metrics_listener,
            _heartbeat: heartbeat,
            _adapters: adapters,
            _retention: retention,
        })
    }

    /// The address as clients write it.
    pub fn url(&self) -> String {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        format!("{scheme}://{}", self.local_addr)
    }

    /// Where the metrics are served, if they are.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// The address of the studio as a person opens it, if it is served.
    pub fn studio_url(&self) -> Option<String> {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        self.studio_addr.map(|address| format!("{scheme}://{address}/"))
    }

    /// Where the studio is served, if it is.
    pub fn studio_addr(&self) -> Option<SocketAddr> {
        self.studio_addr
    }

    /// Where the server listens; with port 0 in the configuration, the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// Reads the adapters in `folder` and whether they fit these models. A large folder takes a while.
async fn open_adapters(folder: Option<PathBuf>, models: &Catalog) -> Result<Arc<Adapters>, AppError> {
    let inspectors = models.iter().map(|model| model.adapters.clone()).collect();
    let opened = tokio::task::spawn_blocking(move || Adapters::new(folder, inspectors)).await;
    opened.map(Arc::new).map_err(|error| AppError::Thread(std::io::Error::other(error)))
}

/// What exports calls and jobs to the collector, if there is one.
fn observer(config: &Config) -> Result<Option<Arc<dyn Observer>>, AppError> {
    let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
    #[cfg(feature = "otlp")]
    {
        use crate::trace::otlp::Collector;
        let collector = Collector::at(endpoint, crate::wire::status::reason);
        let collector = collector.map_err(|error| AppError::Collector(error.to_string()))?;
        tracing::info!(endpoint, "traces and metrics go to a collector");
        Ok(Some(Arc::new(collector)))
    }
    #[cfg(not(feature = "otlp"))]
    Err(AppError::Collector(format!("{endpoint}: this program was built without the feature `otlp`")))
}

/// The text of the page of metrics: counters, and the queue, the memory and the devices at the moment.
fn metrics_page(metrics: Arc<Metrics>, context: &Arc<Context>) -> Page {
    let live = context.scheduler.live().count();
    let (status, models) = (context.scheduler.engine_status(), context.scheduler.model_statuses());
    let devices = context.scheduler.device_statuses();
    let (observer, sampler) = (context.activity.clone(), context.sampler.clone());
    Box::new(move || {
        let (metrics, observer, sampler) = (metrics.clone(), observer.clone(), sampler.clone());
        let (live, status, models, devices) = (live.clone(), status.clone(), models.clone(), devices.clone());
        Box::pin(async move {
            let samples = tokio::time::timeout(SAMPLE_TIMEOUT, samples(&sampler)).await.ok().flatten();
            let is_loaded = |model: &ModelStatus| (model.name.clone(), model.state == ModelState::Loaded);
            // Copied: a borrow that is alive while the observer locks the scheduler, which sends to these channels, could block both.
            let devices = devices.borrow().clone();
            let live = *live.borrow();
            let is_serving = *status.borrow() == EngineStatus::Serving;
            let models = models.borrow().iter().map(is_loaded).collect();
            let queue = QueueFigures { live, is_serving, models, devices: device_figures(&devices, &observer) };
            metrics.page(queue, &samples.unwrap_or_default())
        })
    })
}

fn device_figures(statuses: &[DeviceStatus], probe: &ActivityProbe) -> Vec<DeviceFigures> {
    let seen = probe.snapshot().devices;
    let devices = DeviceId::all(statuses.len()).zip(statuses).zip(seen);
    let figures = devices.map(|((id, status), seen)| DeviceFigures {
        status: status.clone(),
        is_busy: seen.running.is_some(),
        pools: probe.pools(id),
    });
    figures.collect()
}

async fn samples(sampler: &Sampler) -> Option<Vec<DeviceSample>> {
    let (sender, receiver) = oneshot::channel();
    let mut sender = Some(sender);
    let _subscription = sampler.subscribe_own(Duration::from_secs(3600), move |samples| {
        if let Some(sender) = sender.take() {
            // The receiver is gone if the samples came too late.
            let _ = sender.send(samples.own.to_vec());
        }
    });
    receiver.await.ok()
}
