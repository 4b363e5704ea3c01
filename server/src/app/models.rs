//! Opens the models of the configuration.

use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::{EngineError, ModelDescription, ModelSource};

use super::AppError;
use crate::config::{Config, ConfiguredModel, EngineChoice};
use crate::engine::scripted;
use crate::gpu::{self, Probe};
use crate::limits::Limits;
use crate::metrics::{Metrics, engine};
use crate::models::{Catalog, ModelId, ModelTable, NamedSource, ServedModel, StartError};
use crate::scheduler::{EngineThread, Ready};

/// The open models, and the device that they are on.
pub(super) struct Opened {
    pub(super) thread: EngineThread,
    pub(super) table: ModelTable,
    pub(super) models: Arc<Catalog>,
    pub(super) probe: Box<dyn Probe>,
    /// Bytes of the device's memory, if known.
    pub(super) device_memory: Option<u64>,
}

/// Opens the models. `since_start` is the time that the program has run, for the phases of loading.
pub(super) async fn open(config: &Config, metrics: &Metrics, since_start: Duration) -> Result<Opened, AppError> {
    let sources = config.models.models.iter().map(|model| engine::metered(source(model), metrics.engine.clone()));
    let budget = config.models.budget();
    let (thread, ready) = EngineThread::open(sources.collect(), budget)?;
    let gone = |_| Err(StartError::Engine(EngineError::Panicked("the engine's thread is gone".into())));
    let Ready { models, table } = ready.await.unwrap_or_else(gone)?;
    for status in table.statuses() {
        if let Some(took) = table.load_time(status.id) {
            metrics.models.loaded(&status.name, took);
        }
    }
    let mut probe = gpu::probe(models.first().map_or("cpu", |model| &model.info.device));
    let sample = probe.sample();
    let served = ModelId::all(models.len()).zip(models).map(|(id, description)| {
        let ModelDescription { mut info, tokens, adapters, .. } = description;
        info.loading.iter_mut().for_each(|phase| phase.begin += since_start);
        info.device = gpu::full_name(&info.device, &sample);
        let is_loaded = table.is_loaded(id);
        tracing::info!(model = info.model.name, engine = info.kind, device = info.device, is_loaded, "model served");
        if !info.model.notice.is_empty() {
            tracing::warn!(model = info.model.name, notice = info.model.notice, "about the model");
        }
        let pixels_max =
            info.pixels_max.map_or(config.limits.pixels_max, |pixels| config.limits.pixels_max.min(pixels));
        ServedModel { id, info, tokens, limits: Limits { pixels_max, ..config.limits.clone() }, adapters }
    });
    let models = Arc::new(Catalog::new(served.collect()));
    Ok(Opened { thread, table, models, probe, device_memory: sample.memory_total_bytes })
}

/// A model of the configuration, under the name that it has there.
fn source(model: &ConfiguredModel) -> Arc<dyn ModelSource> {
    let source = match &model.engine {
        EngineChoice::Scripted(script) => scripted::source(script.clone()),
        #[cfg(feature = "burn")]
        EngineChoice::Burn(options) => crate::engine::burn::source(options.clone()),
    };
    NamedSource::over(source, model.name.clone())
}
