//! The composition root: creates the parts of the server in their order and connects them.

mod drain;
mod engines;
mod error;
mod health;
pub(crate) mod listen;
pub(crate) mod methods;
mod models;
pub(crate) mod parts;
pub(crate) mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic_health::server::HealthReporter;
use tower::Layer as _;

pub use self::error::AppError;
use self::parts::{Background, Parts, observer};
use crate::config::Config;
use crate::devices::{DeviceId, DeviceStatus};
use crate::gpu::{DeviceSample, Sampler};
use crate::metrics::{DeviceFigures, Metrics, QueueFigures};
use crate::models::{ModelState, ModelStatus};
use crate::openai::{self, OpenAi};
use crate::scheduler::EngineStatus;
use crate::service::Context;
use crate::store::place::DataPlace;
use crate::store::{ArtifactStore, JobStore};
use crate::studio::api::{ApiLayer, Route};
use crate::studio::layer::StudioLayer;
use crate::telemetry::ActivityProbe;
use crate::trace::Observer;
use crate::transport::connection::Connections;
use crate::transport::credentials::Credentials;
use crate::transport::layer::CallLayer;
use crate::transport::listener::Incoming;
use crate::transport::metrics_listener::{self, Page};
use crate::transport::reload::Reloader;
use crate::transport::serve::{self, Serving};
use listen::{Sockets, warn_about_exposure};
use routes::routes;

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
    _background: Background,
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
        let metrics = Arc::new(Metrics::new(methods::names().chain(http)));
        let credentials = Credentials::load(&config.transport)?;
        let connections =
            Arc::new(Connections::new(&config.transport.within_open_files(), metrics.connections.clone()));
        let observer = observer(&config)?;
        warn_about_exposure(&config, &credentials);

        let (transport, studio_config, drain_timeout) =
            (config.transport.clone(), config.studio.clone(), config.drain_timeout);
        let place = config.jobs.place.clone();
        let parts = Parts::open(config, &metrics, observer.clone(), (store, artifacts), begun.elapsed()).await?;
        let Parts { context, background } = parts;

        let (routes, health) = routes(&context)?;
        let stop_accepting = CancellationToken::new();
        let (listener, local_addr) = sockets.api;
        let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
        let messages = methods::messages(&transport).with_bodies(openai::bodies());
        let layer =
            CallLayer::new(&credentials, messages, context.outgoing.clone(), metrics.calls.clone(), observer.clone());
        let is_encrypted = credentials.tls.is_some();
        let studio_addr = sockets.studio.as_ref().map(|(_, address)| *address);
        let api = match studio_config.has_openai_api && sockets.studio.is_some() {
            true => Some(layer.layer(OpenAi::new(context.clone(), is_encrypted).map_err(AppError::Signing)?)),
            false => None,
        };
        let studio = sockets.studio.map(|(listener, _)| {
            let incoming = Incoming::start(listener, credentials.tls.clone(), connections.clone());
            let page = (StudioLayer::new(&studio_config, is_encrypted), ApiLayer::new(api));
            serve::serve_studio(&transport, page, layer.clone(), routes.clone(), incoming, stop_accepting.clone())
        });
        let api = serve::serve(&transport, layer, routes, incoming, stop_accepting.clone());
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
            drain_timeout,
            place,
            store: None,
            observer,
            _reloader: credentials.watch(),
            _metrics_listener: metrics_listener,
            _background: background,
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
