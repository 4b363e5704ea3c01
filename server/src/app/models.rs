//! Opens the models of the configuration on every device.

use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::{EngineError, ModelDescription};
use tokio::sync::oneshot;

use super::AppError;
use super::engines::{self, CpuShare, Engine};
use crate::config::Config;
use crate::devices::DeviceInfo;
use crate::gpu::{self, NamedProbe};
use crate::limits::Limits;
use crate::metrics::{Metrics, engine};
use crate::models::{Catalog, MemoryBudget, ModelId, ModelTable, ServedModel, StartError};
use crate::scheduler::{EngineThread, OpenDevice, Ready};

/// The devices with their open models.
pub(super) struct Opened {
    pub(super) devices: Vec<OpenDevice>,
    pub(super) models: Arc<Catalog>,
    /// In the order of the devices.
    pub(super) probes: Vec<NamedProbe>,
    /// Bytes of memory of the device that has the least, if known.
    pub(super) device_memory: Option<u64>,
}

/// Opens the models on each device. `since_start` is the time that the program has run, for the phases of loading.
///
/// The first device is opened before the others, which are opened at once: it unpacks and compiles what all of them use.
pub(super) async fn open(config: &Config, metrics: &Metrics, since_start: Duration) -> Result<Opened, AppError> {
    let engines = engines::of(&config.models);
    let budget = config.models.budget(engines.len());
    let begin = |engine: &Engine| {
        let metered = engine.sources.iter().map(|source| engine::metered(source.clone(), metrics.engine.clone()));
        EngineThread::open(metered.collect(), budget)
    };
    let mut opened = Vec::with_capacity(engines.len());
    let mut others = engines.as_slice();
    if let Some(first) = others.split_off_first() {
        let (thread, ready) = begin(first)?;
        opened.push((thread, wait(first, ready, engines.len()).await?));
    }
    let begun: Vec<_> = others.iter().map(begin).collect::<Result<_, _>>()?;
    for (engine, (thread, ready)) in others.iter().zip(begun) {
        opened.push((thread, wait(engine, ready, engines.len()).await?));
    }
    let mut parts = Parts::default();
    for (engine, (thread, Ready { models, table })) in engines.iter().zip(opened) {
        for status in table.statuses() {
            if let Some(took) = table.load_time(status.id) {
                metrics.models.loaded(&status.name, took);
            }
        }
        parts.add(engine, thread, table, models);
    }
    Ok(parts.into_opened(&config.limits, since_start))
}

/// Waits until the models of an engine are open.
async fn wait(
    engine: &Engine,
    ready: oneshot::Receiver<Result<Ready, StartError>>,
    engines: usize,
) -> Result<Ready, StartError> {
    let gone = |_| Err(StartError::Engine(EngineError::Panicked("the engine's thread is gone".into())));
    ready.await.unwrap_or_else(gone).map_err(|error| match engines {
        1 => error,
        _ => StartError::OnDevice { device: engine.name.clone(), source: Box::new(error) },
    })
}

/// What was opened so far.
#[derive(Default)]
struct Parts {
    devices: Vec<OpenDevice>,
    probes: Vec<NamedProbe>,
    /// The models, as the first device describes them.
    models: Vec<ModelDescription>,
    device_memory: Option<u64>,
}

impl Parts {
    fn add(&mut self, engine: &Engine, thread: EngineThread, table: ModelTable, models: Vec<ModelDescription>) {
        let opened_as = models.first().map_or("cpu", |model| model.info.device.as_str());
        let mut probe = gpu::probe(opened_as);
        let sample = probe.sample();
        let full_name = match &engine.share {
            Some(CpuShare { place, engines }) => format!("cpu:{place} 1/{engines} of the cores"),
            // Scripted models report the CPU as their device, whatever the configuration names, and names must differ.
            None if engine.names_another_device(opened_as) => engine.name.clone(),
            None => gpu::full_name(opened_as, &sample),
        };
        let info = DeviceInfo::new(&full_name);
        let share = engine.share.as_ref().map_or(1, |share| share.engines as u64);
        if let Some(bytes) = sample.memory_total_bytes.map(|bytes| bytes / share) {
            self.device_memory = Some(self.device_memory.map_or(bytes, |least| least.min(bytes)));
        }
        if self.devices.is_empty() {
            self.models = models;
        }
        self.probes.push((info.name.clone(), probe));
        self.devices.push(OpenDevice { info, thread, table });
    }

    fn into_opened(self, limits: &Limits, since_start: Duration) -> Opened {
        let Self { devices, probes, models, device_memory } = self;
        let served = ModelId::all(models.len()).zip(models).map(|(id, description)| {
            let ModelDescription { mut info, tokens, adapters, .. } = description;
            info.loading.iter_mut().for_each(|phase| phase.begin += since_start);
            if let Some(first) = devices.first() {
                info.device = first.info.full_name.to_string();
            }
            for device in &devices {
                let (model, device_name) = (&info.model.name, &*device.info.full_name);
                let is_loaded = device.table.is_loaded(id);
                tracing::info!(model, engine = info.kind, device = device_name, is_loaded, "model served");
            }
            if !info.model.notice.is_empty() {
                tracing::warn!(model = info.model.name, notice = info.model.notice, "about the model");
            }
            let pixels_max = info.pixels_max.map_or(limits.pixels_max, |pixels| limits.pixels_max.min(pixels));
            ServedModel { id, info, tokens, limits: Limits { pixels_max, ..limits.clone() }, adapters }
        });
        let models = Arc::new(Catalog::new(served.collect()));
        Opened { devices, models, probes, device_memory }
    }
}

/// What weights may take: on each device, and for all of them in host memory.
pub(super) fn budget(devices: &[OpenDevice]) -> MemoryBudget {
    let budgets = devices.iter().map(|device| device.table.budget());
    let all = budgets.reduce(|all, one| MemoryBudget { host_bytes: all.host_bytes + one.host_bytes, ..all });
    all.unwrap_or_default()
}
