//! A worker: the single server without its sockets, which draws the jobs of a fleet. One slot for each of its devices takes a job only
//! when it has none.

mod answer;
mod draw;
mod drawing;
mod slot;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use sakuga_fleet::{AnnouncedDevice, Announcement, Fleet, Objects, Presence, Role};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::answer::Answers;
use self::drawing::Drawing;
use super::RoleError;
use super::connect::connect;
use crate::app::parts::{Parts, observer};
use crate::app::{AppError, methods};
use crate::config::{Config, FleetConfig};
use crate::devices::DeviceState;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::models::ModelState;
use crate::scheduler::Scheduler;
use crate::store::place::DataPlace;

/// How long the jobs that were cancelled at a shutdown have to end, and the scheduler to stop.
const END: Duration = Duration::from_secs(10);
/// The pause before calls are heard again after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// What the slots of a worker share.
struct Worker {
    name: String,
    fleet: Fleet,
    objects: Objects,
    jobs: Arc<Jobs>,
    scheduler: Arc<Scheduler>,
    /// The models that it has, by name.
    models: Vec<String>,
    drawing: Drawing,
    /// How often a job may be begun on any worker.
    attempts_max: u32,
    /// Cancelled at a shutdown: no more jobs are taken.
    stopping: CancellationToken,
}

/// A worker whose models are open and that has joined its fleet.
pub struct WorkerApp {
    worker: Arc<Worker>,
    parts: Parts,
    slots: Vec<JoinHandle<()>>,
    drain_timeout: Duration,
    _background: [AbortOnDropHandle<()>; 2],
}

impl WorkerApp {
    /// Opens the models, joins the fleet and begins to take jobs.
    ///
    /// # Errors
    ///
    /// [`RoleError`] says which part failed.
    pub async fn build(config: Config, fleet: FleetConfig) -> Result<Self, RoleError> {
        let begun = Instant::now();
        let metrics = Arc::new(Metrics::new(methods::names()));
        let (attempts_max, drain_timeout) = (config.limits.attempts_max, config.drain_timeout);
        let stores = DataPlace::Memory.open(None).map_err(AppError::from)?;
        let observer = observer(&config)?;
        let parts = Parts::open(config, &metrics, observer, stores, begun.elapsed()).await?;
        let (shared, objects) = connect(&fleet, Role::Worker).await?;
        let context = &parts.context;
        let worker = Arc::new(Worker {
            name: fleet.worker,
            fleet: shared,
            objects,
            jobs: context.jobs.clone(),
            scheduler: context.scheduler.clone(),
            models: context.models.iter().map(|model| model.name().to_owned()).collect(),
            drawing: Drawing::default(),
            attempts_max,
            stopping: CancellationToken::new(),
        });
        let answers = Answers::new(context, worker.fleet.calls.bytes_max())?;
        let background = [
            AbortOnDropHandle::new(tokio::spawn(worker.clone().serve_calls(answers))),
            AbortOnDropHandle::new(tokio::spawn(worker.clone().announce())),
        ];
        let slots = worker.scheduler.devices().into_iter().map(|_| tokio::spawn(worker.clone().slot())).collect();
        Ok(Self { worker, parts, slots, drain_timeout, _background: background })
    }

    /// The name of the worker.
    pub fn name(&self) -> &str {
        &self.worker.name
    }

    /// Draws until `shutdown` is ready. Then no more jobs are taken, and running ones end within the configured time or go back to the
    /// fleet.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { worker, parts, slots, drain_timeout, _background } = self;
        shutdown.await;
        tracing::info!(limit_s = drain_timeout.as_secs(), "draining");
        worker.stopping.cancel();
        let mut ended = Box::pin(join_all(slots));
        if tokio::time::timeout(drain_timeout, &mut ended).await.is_err() {
            worker.scheduler.cancel_all();
            if tokio::time::timeout(END, ended).await.is_err() {
                tracing::error!("a step takes too long; its job goes to another worker when this one is silent");
            }
        }
        if let Err(error) = worker.fleet.presence.withdraw(&worker.name).await {
            tracing::debug!(%error, "this worker counts as present for some seconds more");
        }
        let (scheduler, jobs) = (worker.scheduler.clone(), parts.context.jobs.clone());
        // A failure to join is a panic, which is logged already.
        let _ = tokio::task::spawn_blocking(move || {
            scheduler.close(END);
            jobs.close_writer();
        })
        .await;
        tracing::info!("stopped");
    }
}

impl Worker {
    /// Answers the calls of gateways without end.
    async fn serve_calls(self: Arc<Self>, answers: Arc<Answers>) {
        loop {
            let answer = {
                let answers = answers.clone();
                move |question| {
                    let answers = answers.clone();
                    async move { answers.answer(question).await }
                }
            };
            match self.fleet.calls.serve(&self.models, answer).await {
                Ok(()) => tracing::warn!("calls are heard again"),
                Err(error) => tracing::warn!(%error, "calls of gateways are not heard"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Announces this worker without end.
    async fn announce(self: Arc<Self>) {
        loop {
            if let Err(error) = self.fleet.presence.announce(&self.announcement()).await {
                tracing::warn!(%error, "this worker is not announced");
            }
            tokio::time::sleep(Presence::PERIOD).await;
        }
    }

    fn announcement(&self) -> Announcement {
        let devices = self.scheduler.devices().into_iter().map(|(device, running)| AnnouncedDevice {
            name: device.info.full_name.to_string(),
            is_free: running.is_none() && device.state == DeviceState::Serving,
            loaded: device.models.iter().map(|model| model.to_string()).collect(),
            loadable: self.models.clone(),
        });
        Announcement {
            worker: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            devices: devices.collect(),
        }
    }

    /// The models whose weights are on a device.
    fn loaded(&self) -> Vec<String> {
        let statuses = self.scheduler.model_statuses();
        statuses
            .borrow()
            .iter()
            .filter(|model| model.state == ModelState::Loaded)
            .map(|model| model.name.to_string())
            .collect()
    }
}
