//! [`Parts`]: the parts of the server behind its sockets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::AppError;
use super::models::{self, Opened};
use crate::adapters::Adapters;
use crate::assets::Assets;
use crate::config::Config;
use crate::devices::DeviceId;
use crate::encoder::Encoder;
use crate::gpu::{Sampler, Subscription};
use crate::job::HeldImages;
use crate::jobs::{Dependencies, Jobs};
use crate::metrics::Metrics;
use crate::models::Catalog;
use crate::retention::RetentionGate;
use crate::scheduler::Scheduler;
use crate::service::Context;
use crate::store::place::{DataPlace, OpenError};
use crate::store::writer::StoreWriter;
use crate::store::{ArtifactStore, JobStore, StoreError, StoreFault};
use crate::telemetry::Telemetry;
use crate::trace::Observer;
use crate::transport::outgoing::Outgoing;

/// Interval of the device samples that streams without events carry, to show that the server is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The most ListJobs and GetJob answers that are built at once.
const LARGE_ANSWERS: usize = 4;
/// The most requests that are estimated at once.
const ESTIMATES: usize = 4;

/// The parts of the server behind its sockets: models, stores, queue and registry of jobs.
pub(crate) struct Parts {
    pub(crate) context: Arc<Context>,
    pub(super) background: Background,
}

/// What runs in the background as long as this is kept.
pub(super) struct Background {
    /// Keeps the newest sample of the device up to date.
    _heartbeat: Subscription,
    /// Watches the folder of adapters.
    _adapters: AbortOnDropHandle<()>,
    /// Delete old jobs and assets.
    _retention: [AbortOnDropHandle<()>; 2],
}

impl Parts {
    /// Opens models and resumes the jobs of the stores. `before_engine` is the time since the start of the program.
    ///
    /// # Errors
    ///
    /// [`AppError`] says which part failed.
    pub(crate) async fn open(
        config: Config,
        metrics: &Arc<Metrics>,
        observer: Option<Arc<dyn Observer>>,
        (store, artifacts): (Arc<dyn JobStore>, Arc<dyn ArtifactStore>),
        before_engine: Duration,
    ) -> Result<Self, AppError> {
        let Opened { devices, models, probes, device_memory } = models::open(&config, metrics, before_engine).await?;
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
            observer,
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
        let adapters = AbortOnDropHandle::new(tokio::spawn(adapters.keep_up_to_date()));
        let retention = [
            AbortOnDropHandle::new(tokio::spawn(jobs.retention_loop())),
            AbortOnDropHandle::new(tokio::spawn(assets.retention_loop())),
        ];
        let background = Background { _heartbeat: heartbeat, _adapters: adapters, _retention: retention };
        Ok(Self { context, background })
    }
}

/// Reads the adapters in `folder` and whether they fit these models. A large folder takes a while.
async fn open_adapters(folder: Option<PathBuf>, models: &Catalog) -> Result<Arc<Adapters>, AppError> {
    let inspectors = models.iter().map(|model| model.adapters.clone()).collect();
    let opened = tokio::task::spawn_blocking(move || Adapters::new(folder, inspectors)).await;
    opened.map(Arc::new).map_err(|error| AppError::Thread(std::io::Error::other(error)))
}

/// What exports calls and jobs to the collector, if there is one.
pub(crate) fn observer(config: &Config) -> Result<Option<Arc<dyn Observer>>, AppError> {
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
