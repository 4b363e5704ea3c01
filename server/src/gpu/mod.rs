//! Samples of the devices' sensors, and the probes that take them.

use std::sync::Arc;
use std::time::SystemTime;

mod energy;
mod host;
mod nvml;
mod pcie;
mod sampler;
#[cfg(test)]
mod sampling_cost;

pub(crate) use sampler::{Sampler, Subscription};

/// One sample. What the source does not report is `None`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceSample {
    /// When it was taken.
    pub time: SystemTime,
    /// Where it comes from.
    pub source: StatsSource,
    /// The device's index; 0 for the host.
    pub device_index: u32,
    /// The device's name.
    pub name: Arc<str>,
    /// The server's name of the device; empty if it does not use it.
    pub device: Arc<str>,
    /// Busy share, in percent.
    pub utilization_percent: Option<f32>,
    /// Busy share of the memory interface, in percent.
    pub memory_utilization_percent: Option<f32>,
    /// Bytes in use.
    pub memory_used_bytes: Option<u64>,
    pub memory_total_bytes: Option<u64>,
    /// Bytes that this process holds.
    pub process_memory_bytes: Option<u64>,
    /// Clock of the multiprocessors, in MHz.
    pub sm_clock_mhz: Option<u32>,
    pub memory_clock_mhz: Option<u32>,
    pub power_watts: Option<f32>,
    /// Temperature, in degrees Celsius.
    pub temperature_celsius: Option<f32>,
    /// Why the clocks are throttled.
    pub throttle_reasons: Vec<&'static str>,
    /// Energy since the driver was loaded, in joules; extrapolated with the power between readings of the counter.
    pub energy_joules: Option<f64>,
    /// PCIe rates.
    pub pcie: Option<PcieRate>,
    /// Device memory of each process.
    pub processes: Vec<ProcessMemory>,
}

/// The current rates of a device over PCIe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PcieRate {
    pub receive_bytes_per_second: u64,
    /// Sent, in bytes a second.
    pub send_bytes_per_second: u64,
}

/// The device's memory that one process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcessMemory {
    pub pid: u32,
    /// Bytes that it holds.
    pub bytes: u64,
    pub is_server: bool,
}

impl Default for DeviceSample {
    fn default() -> Self {
        Self {
            time: SystemTime::now(),
            source: StatsSource::Host,
            device_index: 0,
            name: "".into(),
            device: "".into(),
            utilization_percent: None,
            memory_utilization_percent: None,
            memory_used_bytes: None,
            memory_total_bytes: None,
            process_memory_bytes: None,
            sm_clock_mhz: None,
            memory_clock_mhz: None,
            power_watts: None,
            temperature_celsius: None,
            throttle_reasons: Vec::new(),
            energy_joules: None,
            pcie: None,
            processes: Vec::new(),
        }
    }
}

/// Where a sample comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StatsSource {
    /// NVIDIA's management library.
    Nvml,
    /// The operating system.
    Host,
}

/// Takes samples.
pub(crate) trait Probe: Send {
    /// A sample of its device, now.
    fn sample(&mut self) -> DeviceSample;

    /// Samples of the machine's other devices.
    fn others(&mut self) -> Vec<DeviceSample> {
        Vec::new()
    }
}

/// The probe of a device of the server, under the server's name for it.
pub(crate) type NamedProbe = (Arc<str>, Box<dyn Probe>);

/// The probe for a device: NVML for `cuda:N` if the library is installed, else the host.
pub(crate) fn probe(device: &str) -> Box<dyn Probe> {
    let index = device.strip_prefix("cuda:").and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    if let Some(index) = index {
        match nvml::NvmlProbe::open(index) {
            Ok(probe) => return Box::new(probe),
            Err(error) => tracing::warn!(%error, "no NVML; statistics are the host's"),
        }
    }
    Box::new(host::HostProbe::new())
}

/// Bytes of the host's memory, if known.
pub(crate) fn host_memory_bytes() -> Option<u64> {
    host::memory_bytes()
}

/// The device's name with its product name, if a sample has it: `cuda:0 NVIDIA H100 80GB HBM3`.
pub(crate) fn full_name(device: &str, sample: &DeviceSample) -> String {
    match sample.source {
        StatsSource::Nvml => format!("{device} {}", sample.name),
        StatsSource::Host => device.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_memory() {
        let sample = probe("cpu").sample();
        assert_eq!(sample.source, StatsSource::Host);
        let (used, total) = (sample.memory_used_bytes.expect("known"), sample.memory_total_bytes.expect("known"));
        assert!(0 < used && used <= total);
        assert!(sample.process_memory_bytes.is_some_and(|bytes| bytes > 0));
        assert!(!sample.name.is_empty());
    }

    #[test]
    fn a_gpu_is_named_by_its_make() {
        let sample = DeviceSample { source: StatsSource::Nvml, name: "NVIDIA X".into(), ..DeviceSample::default() };
        assert_eq!(full_name("cuda:1", &sample), "cuda:1 NVIDIA X");
        assert_eq!(full_name("cpu", &DeviceSample::default()), "cpu");
    }

    #[test]
    fn a_missing_gpu_falls_back_to_the_host() {
        assert_eq!(probe("cuda:4095 none").sample().source, StatsSource::Host);
    }
}
