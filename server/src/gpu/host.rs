//! Samples of the host: the CPU's load and memory, on machines without a management library for GPUs.

use std::sync::Arc;
use std::time::SystemTime;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

use super::{DeviceSample, Probe, ProcessMemory, StatsSource};

/// Bytes of this host's memory, if known.
pub(super) fn memory_bytes() -> Option<u64> {
    let kinds = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(kinds).ok()?;
    Some(system.total_memory()).filter(|bytes| *bytes > 0)
}

/// Asks the operating system.
pub(crate) struct HostProbe {
    /// `None` on a system that sysinfo does not know.
    system: Option<System>,
    process: Option<Pid>,
    name: Arc<str>,
}

impl HostProbe {
    /// A probe of this host. Its first load is the average since now.
    pub(crate) fn new() -> Self {
        let kinds = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kinds).ok();
        let cpus = system.as_ref().map_or(&[][..], System::cpus);
        let brand = cpus.first().map(|cpu| cpu.brand().trim()).filter(|brand| !brand.is_empty()).unwrap_or("CPU");
        let name = format!("{brand} ({} threads)", cpus.len()).into();
        Self { process: sysinfo::get_current_pid().ok(), system, name }
    }
}

impl Probe for HostProbe {
    fn sample(&mut self) -> DeviceSample {
        let mut sample = DeviceSample {
            time: SystemTime::now(),
            source: StatsSource::Host,
            name: self.name.clone(),
            ..DeviceSample::default()
        };
        let Some(system) = &mut self.system else { return sample };
        system.refresh_cpu_usage();
        system.refresh_memory();
        sample.utilization_percent = Some(system.global_cpu_usage()).filter(|load| load.is_finite());
        sample.memory_used_bytes = Some(system.used_memory());
        sample.memory_total_bytes = Some(system.total_memory());
        if let Some(pid) = self.process {
            // Without its threads: the list of them is most of the work, and they share its memory.
            let kind = ProcessRefreshKind::nothing().with_memory().without_tasks();
            system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, kind);
            sample.process_memory_bytes = system.process(pid).map(sysinfo::Process::memory);
            let own = |bytes| ProcessMemory { pid: pid.as_u32(), bytes, is_server: true };
            sample.processes = sample.process_memory_bytes.map(own).into_iter().collect();
        }
        sample
    }
}
