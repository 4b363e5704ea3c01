//! Figures of the devices that jobs are drawn on: whether each takes jobs, what it did, and how its engine uses its memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::DeviceFigures;
use crate::devices::DeviceState;

/// The label with the name of a device, such as `cuda:0`. The label `device` of other figures is the driver's index.
type EngineLabel = [(&'static str, Arc<str>); 1];
/// As [`EngineLabel`], with the purpose of memory.
type PoolLabels = [(&'static str, Arc<str>); 2];

#[derive(Debug, Default)]
pub(super) struct PoolMetrics {
    serving: Family<EngineLabel, Gauge>,
    busy: Family<EngineLabel, Gauge>,
    jobs: Family<EngineLabel, Counter>,
    losses: Family<EngineLabel, Counter>,
    used: Family<PoolLabels, Gauge>,
    held: Family<PoolLabels, Gauge>,
}

impl PoolMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let serving = "1 while the device takes jobs, 0 while it is lost or out of service";
        registry.register("engine_device_serving", serving, self.serving.clone());
        registry.register("engine_device_busy", "1 while a job has the device", self.busy.clone());
        registry.register("engine_device_jobs", "Jobs that the device took", self.jobs.clone());
        registry.register("engine_device_losses", "How often the device was lost", self.losses.clone());
        registry.register("engine_memory_used_bytes", "Memory in use, by device and purpose", self.used.clone());
        let held = "Memory held, in use or not, by device and purpose";
        registry.register("engine_memory_held_bytes", held, self.held.clone());
    }

    /// Sets the state of the devices. Memory that a device does not report, such as that of a disabled one, is left
    /// out.
    pub(super) fn set(&self, devices: &[DeviceFigures]) {
        self.used.clear();
        self.held.clear();
        devices.iter().for_each(|device| self.set_device(device));
    }

    fn set_device(&self, device: &DeviceFigures) {
        let DeviceFigures { status, is_busy, pools } = device;
        let label = [("engine", status.info.name.clone())];
        self.serving.get_or_create(&label).set((status.state == DeviceState::Serving).into());
        self.busy.get_or_create(&label).set((*is_busy).into());
        // The scheduler counts; this is its figure.
        self.jobs.get_or_create(&label).inner().store(status.jobs, Ordering::Relaxed);
        self.losses.get_or_create(&label).inner().store(status.losses, Ordering::Relaxed);
        let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        for pool in pools {
            let labels = [("engine", status.info.name.clone()), ("pool", pool.name.into())];
            self.used.get_or_create(&labels).set(whole(pool.used_bytes));
            self.held.get_or_create(&labels).set(whole(pool.held_bytes));
        }
    }
}
