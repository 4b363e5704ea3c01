//! Figures of the devices, as their newest samples have them.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::gpu::DeviceSample;

/// Figures that are not whole numbers, by device.
type Figures = Family<[(&'static str, String); 1], Gauge<f64, AtomicU64>>;

#[derive(Debug, Default)]
pub(super) struct DeviceMetrics {
    utilization: Figures,
    memory_utilization: Figures,
    memory_used: Figures,
    memory_total: Figures,
    process_memory: Figures,
    sm_clock: Figures,
    memory_clock: Figures,
    power: Figures,
    energy: Family<[(&'static str, String); 1], Counter<f64, AtomicU64>>,
    temperature: Figures,
    pcie_receive: Figures,
    pcie_send: Figures,
}

impl DeviceMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, help, figures) in [
            ("device_utilization_ratio", "Busy share of the device", &self.utilization),
            ("device_memory_utilization_ratio", "Busy share of the memory interface", &self.memory_utilization),
            ("device_memory_used_bytes", "Memory in use", &self.memory_used),
            ("device_memory_total_bytes", "Memory in all", &self.memory_total),
            ("device_process_memory_bytes", "Memory that this process holds", &self.process_memory),
            ("device_sm_clock_hertz", "Clock of the multiprocessors", &self.sm_clock),
            ("device_memory_clock_hertz", "Clock of the memory", &self.memory_clock),
            ("device_power_watts", "Power", &self.power),
            ("device_temperature_celsius", "Temperature", &self.temperature),
            ("device_pcie_receive_bytes_per_second", "Current rate received over PCIe", &self.pcie_receive),
            ("device_pcie_send_bytes_per_second", "Current rate sent over PCIe", &self.pcie_send),
        ] {
            registry.register(name, help, figures.clone());
        }
        registry.register("device_energy_joules", "Energy since the driver was loaded", self.energy.clone());
    }

    /// Sets the figures from a sample; those that it does not have stay as they are.
    pub(super) fn set(&self, sample: &DeviceSample) {
        let label = [("device", sample.device_index.to_string())];
        let set = |figures: &Figures, value: Option<f64>| {
            if let Some(value) = value {
                figures.get_or_create(&label).set(value);
            }
        };
        // No device has 2^53 bytes, so nothing is lost.
        let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
        let ratio = |percent: Option<f32>| percent.map(|percent| f64::from(percent) / 100.0);
        let hertz = |megahertz: Option<u32>| megahertz.map(|megahertz| f64::from(megahertz) * 1e6);
        set(&self.utilization, ratio(sample.utilization_percent));
        set(&self.memory_utilization, ratio(sample.memory_utilization_percent));
        set(&self.memory_used, bytes(sample.memory_used_bytes));
        set(&self.memory_total, bytes(sample.memory_total_bytes));
        set(&self.process_memory, bytes(sample.process_memory_bytes));
        set(&self.sm_clock, hertz(sample.sm_clock_mhz));
        set(&self.memory_clock, hertz(sample.memory_clock_mhz));
        set(&self.power, sample.power_watts.map(f64::from));
        set(&self.temperature, sample.temperature_celsius.map(f64::from));
        set(&self.pcie_receive, bytes(sample.pcie.map(|pcie| pcie.receive_bytes_per_second)));
        set(&self.pcie_send, bytes(sample.pcie.map(|pcie| pcie.send_bytes_per_second)));
        if let Some(joules) = sample.energy_joules {
            // The driver counts; this is its figure.
            self.energy.get_or_create(&label).inner().store(joules.to_bits(), Ordering::Relaxed);
        }
    }
}
