//! Figures of the models: which are on the device, and how often and how long they were loaded.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The label with the name of a model.
type ModelLabel = [(&'static str, Arc<str>); 1];

#[derive(Clone, Debug)]
pub(crate) struct ModelMetrics {
    loaded: Family<ModelLabel, Gauge>,
    load: Family<ModelLabel, Histogram>,
    evictions: Family<ModelLabel, Counter>,
    estimates: Family<ModelLabel, Histogram>,
}

/// Bounds of the ratio of true to estimated time: close around 1, and a factor of four on both sides.
const RATIOS: [f64; 14] = [0.25, 0.5, 0.67, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0, 4.0];

impl ModelMetrics {
    pub(super) fn new() -> Self {
        Self {
            loaded: Family::default(),
            // From 10 ms, a small model, to 11 minutes, a large one from a slow disk.
            load: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 2.0, 17))),
            evictions: Family::default(),
            estimates: Family::new_with_constructor(|| Histogram::new(RATIOS)),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("model_loaded", "1 while the model is on the device, by model", self.loaded.clone());
        registry.register("model_load_seconds", "Time of putting a model on the device, by model", self.load.clone());
        let evictions = "Models that left the device to make room for another, by model";
        registry.register("model_evictions", evictions, self.evictions.clone());
        let estimates = "Time of completed jobs in the device and the encoder of files, divided by its estimate at their start, \
                         by model";
        registry.register("job_time_ratio", estimates, self.estimates.clone());
    }

    /// Records the time of a load.
    pub(crate) fn loaded(&self, model: &Arc<str>, took: Duration) {
        self.load.get_or_create(&[("model", model.clone())]).observe(took.as_secs_f64());
    }

    /// Records the ratio of a job's time to its estimate.
    pub(crate) fn estimated(&self, model: &Arc<str>, ratio: f64) {
        self.estimates.get_or_create(&[("model", model.clone())]).observe(ratio);
    }

    /// Counts an eviction.
    pub(crate) fn evicted(&self, model: &Arc<str>) {
        self.evictions.get_or_create(&[("model", model.clone())]).inc();
    }

    /// Sets whether each model is on the device.
    pub(super) fn set(&self, models: &[(Arc<str>, bool)]) {
        for (model, is_loaded) in models {
            self.loaded.get_or_create(&[("model", model.clone())]).set((*is_loaded).into());
        }
    }
}
