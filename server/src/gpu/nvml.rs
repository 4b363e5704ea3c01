//! Samples of an NVIDIA GPU through NVML, which is looked for at run time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::energy::EnergyMeter;
use super::pcie::PcieMeter;
use super::{DeviceSample, Probe, ProcessMemory, StatsSource};

/// Asks NVML about the engine's GPU, and about the machine's others.
pub(crate) struct NvmlProbe {
    nvml: Arc<Nvml>,
    pcie: Option<PcieMeter>,
    own: Board,
    others: Vec<Board>,
}

/// A GPU: what identifies it, and its latest readings.
struct Board {
    device_index: u32,
    uuid: String,
    name: Arc<str>,
    energy: EnergyMeter,
    /// When its processes were asked for, and what they were.
    processes: Option<(Instant, Vec<ProcessMemory>)>,
}

/// Interval of the list of processes, which costs as much as all other values of a sample and changes slowly.
const PROCESSES_PERIOD: Duration = Duration::from_millis(450);

impl Board {
    fn of(device: &Device<'_>) -> Result<Self, NvmlError> {
        let (device_index, uuid, name) = (device.index()?, device.uuid()?, device.name()?.into());
        Ok(Self { device_index, uuid, name, energy: EnergyMeter::default(), processes: None })
    }
}

impl NvmlProbe {
    /// A probe of the GPU that CUDA calls `cuda_index`.
    ///
    /// # Errors
    ///
    /// NVML's error if there is no driver or no such GPU.
    pub(crate) fn open(cuda_index: u32) -> Result<Self, NvmlError> {
        let nvml = Arc::new(Nvml::init()?);
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let device = match physical(visible.as_deref(), cuda_index) {
            Physical::Index(index) => nvml.device_by_index(index)?,
            Physical::Uuid(uuid) => nvml.device_by_uuid(uuid)?,
        };
        let own = Board::of(&device)?;
        // A board that cannot be queried, such as one without permission, is left out.
        let others = (0..nvml.device_count()?).filter_map(|index| Board::of(&nvml.device_by_index(index).ok()?).ok());
        let others = others.filter(|board| board.uuid != own.uuid).collect();
        let meter = PcieMeter::start(nvml.clone());
        let pcie =
            meter.inspect_err(|error| tracing::warn!(%error, "cannot start a thread; PCIe rates are left out")).ok();
        Ok(Self { own, others, pcie, nvml })
    }
}

impl Board {
    fn look(&mut self, nvml: &Nvml, pcie: Option<&PcieMeter>) -> DeviceSample {
        let mut sample = DeviceSample {
            time: SystemTime::now(),
            source: StatsSource::Nvml,
            device_index: self.device_index,
            name: self.name.clone(),
            pcie: pcie.and_then(|meter| meter.rate(&self.uuid)),
            ..DeviceSample::default()
        };
        // A handle borrows the library, so it is looked up each time; that is a table look-up in NVML.
        if let Ok(device) = nvml.device_by_uuid(self.uuid.as_str()) {
            fill(&mut sample, &device);
            let now = Instant::now();
            let known = self.processes.take().filter(|(at, _)| now.duration_since(*at) < PROCESSES_PERIOD);
            let (at, processes) = known.unwrap_or_else(|| (now, processes(&device)));
            // Unknown inside a container with its own process ids, where NVML reports the host's.
            sample.process_memory_bytes = processes.iter().find(|process| process.is_server).map(|own| own.bytes);
            sample.processes = processes.clone();
            self.processes = Some((at, processes));
            let counter = || device.total_energy_consumption().ok().map(|millijoules| millijoules as f64 / 1000.0);
            sample.energy_joules = self.energy.sample(now, sample.power_watts.map(f64::from), counter);
        }
        sample
    }
}

impl Probe for NvmlProbe {
    fn sample(&mut self) -> DeviceSample {
        self.own.look(&self.nvml, self.pcie.as_ref())
    }

    fn others(&mut self) -> Vec<DeviceSample> {
        self.others.iter_mut().map(|board| board.look(&self.nvml, self.pcie.as_ref())).collect()
    }
}

/// Queries everything; boards differ in what they report, and what they do not report stays absent.
fn fill(sample: &mut DeviceSample, device: &Device<'_>) {
    if let Ok(utilization) = device.utilization_rates() {
        sample.utilization_percent = Some(utilization.gpu as f32);
        sample.memory_utilization_percent = Some(utilization.memory as f32);
    }
    if let Ok(memory) = device.memory_info() {
        sample.memory_used_bytes = Some(memory.used);
        sample.memory_total_bytes = Some(memory.total);
    }
    sample.sm_clock_mhz = device.clock_info(Clock::SM).ok();
    sample.memory_clock_mhz = device.clock_info(Clock::Memory).ok();
    sample.power_watts = device.power_usage().ok().map(|milliwatts| milliwatts as f32 / 1000.0);
    sample.temperature_celsius = device.temperature(TemperatureSensor::Gpu).ok().map(|celsius| celsius as f32);
    sample.throttle_reasons = device.current_throttle_reasons().map(throttle_names).unwrap_or_default();
}

/// The processes that hold the device's memory; those without a figure from the driver are left out.
fn processes(device: &Device<'_>) -> Vec<ProcessMemory> {
    let running = device.running_compute_processes().unwrap_or_default();
    let known = running.into_iter().filter_map(|process| match process.used_gpu_memory {
        UsedGpuMemory::Used(bytes) => {
            Some(ProcessMemory { pid: process.pid, bytes, is_server: process.pid == std::process::id() })
        }
        UsedGpuMemory::Unavailable => None,
    });
    known.collect()
}

/// The reasons by NVML's names. An idle GPU is not held down, so that reason is left out.
fn throttle_names(reasons: ThrottleReasons) -> Vec<&'static str> {
    [
        (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications_clocks_setting"),
        (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
        (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
        (ThrottleReasons::SYNC_BOOST, "sync_boost"),
        (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
        (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
        (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clock_setting"),
    ]
    .into_iter()
    .filter(|(reason, _)| reasons.contains(*reason))
    .map(|(_, name)| name)
    .collect()
}

#[derive(Debug, PartialEq)]
enum Physical<'a> {
    Index(u32),
    Uuid(&'a str),
}

/// The GPU behind a CUDA index: `CUDA_VISIBLE_DEVICES` renumbers what CUDA sees, but not what NVML sees.
fn physical(visible: Option<&str>, cuda_index: u32) -> Physical<'_> {
    let entry = visible.and_then(|list| list.split(',').map(str::trim).nth(cuda_index as usize));
    match entry {
        Some(uuid) if uuid.starts_with("GPU-") => Physical::Uuid(uuid),
        Some(index) => Physical::Index(index.parse().unwrap_or(cuda_index)),
        None => Physical::Index(cuda_index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuda_s_numbers_become_nvml_s() {
        assert_eq!(physical(None, 1), Physical::Index(1));
        assert_eq!(physical(Some("3, 5"), 1), Physical::Index(5));
        assert_eq!(physical(Some("GPU-ab,GPU-cd"), 1), Physical::Uuid("GPU-cd"));
        assert_eq!(physical(Some("MIG-x"), 0), Physical::Index(0));
    }

    #[test]
    fn throttle_reasons_have_names() {
        let reasons = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::GPU_IDLE | ThrottleReasons::HW_SLOWDOWN;
        assert_eq!(throttle_names(reasons), ["sw_power_cap", "hw_slowdown"]);
        assert!(throttle_names(ThrottleReasons::NONE).is_empty());
    }
}
