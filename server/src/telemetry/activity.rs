//! What the server does at one moment, and who holds the device's memory.

use std::sync::Arc;
use std::time::SystemTime;

use sakuga_model_core::{MemoryPool, Stage};

use crate::gpu::{DeviceSample, ProcessMemory};
use crate::job_id::JobId;

/// What the server does at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Activity {
    /// When it was lookup at.
    pub time: SystemTime,
    /// The device's memory as the engine manages it.
    pub pools: Vec<MemoryPool>,
    /// The device's memory by process.
    pub processes: Vec<ProcessMemory>,
    /// The number of waiting jobs.
    pub queued: usize,
    /// The job that has the device.
    pub running: Option<RunningJob>,
}

/// The waiting and the running job of a scheduler at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SchedulerSnapshot {
    /// The number of waiting jobs.
    pub queued: usize,
    /// The job that has the device.
    pub running: Option<RunningJob>,
}

/// The job that has the device, and its progress.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunningJob {
    pub job_id: JobId,
    /// Its stage; `None` before the first.
    pub stage: Option<Stage>,
    /// Steps that are done.
    pub step: u32,
    pub steps: u32,
}

/// Reports on the activity of a scheduler and of its present engine, from any thread and without waiting for the engine.
#[derive(Clone)]
pub(crate) struct ActivityProbe {
    snapshot: Arc<dyn Fn() -> SchedulerSnapshot + Send + Sync>,
    pools: Arc<dyn Fn() -> Vec<MemoryPool> + Send + Sync>,
}

impl ActivityProbe {
    /// A probe that asks these two functions.
    pub(crate) fn new(
        snapshot: impl Fn() -> SchedulerSnapshot + Send + Sync + 'static,
        pools: impl Fn() -> Vec<MemoryPool> + Send + Sync + 'static,
    ) -> Self {
        Self { snapshot: Arc::new(snapshot), pools: Arc::new(pools) }
    }

    /// The waiting and the running job.
    pub(crate) fn snapshot(&self) -> SchedulerSnapshot {
        (self.snapshot)()
    }

    /// The device's memory as the engine manages it.
    pub(crate) fn pools(&self) -> Vec<MemoryPool> {
        (self.pools)()
    }

    /// The activity at the time of a device sample.
    pub(crate) fn activity(&self, snapshot: SchedulerSnapshot, sample: &DeviceSample) -> Activity {
        Activity {
            time: sample.time,
            pools: self.pools(),
            processes: sample.processes.clone(),
            queued: snapshot.queued,
            running: snapshot.running,
        }
    }
}
