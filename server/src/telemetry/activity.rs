//! [`Activity`]: the running jobs and the memory of all devices at one moment.

use std::sync::Arc;
use std::time::SystemTime;

use sakuga_model_core::{MemoryPool, Stage};

use crate::devices::{DeviceId, DeviceState};
use crate::gpu::{DeviceSample, ProcessMemory};
use crate::job_id::JobId;

/// The running jobs and the memory of all devices at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Activity {
    /// When it was recorded.
    pub time: SystemTime,
    /// The number of waiting jobs.
    pub queued: usize,
    /// The devices, in the order of the configuration; in the series of a job only the one that draws it.
    pub devices: Vec<DeviceActivity>,
}

/// The running job and the memory of one device at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceActivity {
    pub name: Arc<str>,
    /// Whether it takes jobs.
    pub state: DeviceState,
    /// Its memory as the engine manages it.
    pub pools: Vec<MemoryPool>,
    /// Memory of the device by process, those of other programs included.
    pub processes: Vec<ProcessMemory>,
    /// The job that runs on it.
    pub running: Option<RunningJob>,
}

/// The waiting and the running jobs of a scheduler at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SchedulerSnapshot {
    /// The number of waiting jobs.
    pub queued: usize,
    /// In the order of the configuration.
    pub devices: Vec<DeviceSnapshot>,
}

/// One device of a scheduler at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeviceSnapshot {
    pub name: Arc<str>,
    /// Whether it takes jobs.
    pub state: DeviceState,
    /// The job that runs on it.
    pub running: Option<RunningJob>,
}

/// A job that has a device, and its progress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunningJob {
    pub job_id: JobId,
    /// Its stage; `None` before the first.
    pub stage: Option<Stage>,
    /// Steps that are done.
    pub step: u32,
    pub steps: u32,
}

/// Reports on the activity of a scheduler and of its present engines, from any thread and without waiting for an engine.
#[derive(Clone)]
pub(crate) struct ActivityProbe {
    snapshot: Arc<dyn Fn() -> SchedulerSnapshot + Send + Sync>,
    pools: Arc<dyn Fn(DeviceId) -> Vec<MemoryPool> + Send + Sync>,
}

impl ActivityProbe {
    /// A probe over these two functions.
    pub(crate) fn new(
        snapshot: impl Fn() -> SchedulerSnapshot + Send + Sync + 'static,
        pools: impl Fn(DeviceId) -> Vec<MemoryPool> + Send + Sync + 'static,
    ) -> Self {
        Self { snapshot: Arc::new(snapshot), pools: Arc::new(pools) }
    }

    /// The waiting and the running jobs.
    pub(crate) fn snapshot(&self) -> SchedulerSnapshot {
        (self.snapshot)()
    }

    /// The memory of a device as its engine manages it.
    pub(crate) fn pools(&self, device: DeviceId) -> Vec<MemoryPool> {
        (self.pools)(device)
    }

    /// The activity of all devices at the time of their samples, which are in the order of the configuration.
    pub(crate) fn activity(&self, snapshot: SchedulerSnapshot, samples: &[DeviceSample]) -> Activity {
        let time = samples.first().map_or_else(SystemTime::now, |sample| sample.time);
        let devices = DeviceId::all(snapshot.devices.len()).zip(snapshot.devices).zip(samples);
        let devices = devices.map(|((id, seen), sample)| self.of_device(id, seen, sample));
        Activity { time, queued: snapshot.queued, devices: devices.collect() }
    }

    /// The activity of one device at the time of a sample of it.
    pub(crate) fn activity_of(&self, device: DeviceId, snapshot: SchedulerSnapshot, sample: &DeviceSample) -> Activity {
        let seen = snapshot.devices.into_iter().nth(device.index());
        let devices = seen.map(|seen| self.of_device(device, seen, sample)).into_iter().collect();
        Activity { time: sample.time, queued: snapshot.queued, devices }
    }

    fn of_device(&self, id: DeviceId, seen: DeviceSnapshot, sample: &DeviceSample) -> DeviceActivity {
        let DeviceSnapshot { name, state, running } = seen;
        DeviceActivity { name, state, running, pools: self.pools(id), processes: sample.processes.clone() }
    }
}
