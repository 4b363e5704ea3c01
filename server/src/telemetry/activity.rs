//! What the server does at one moment, and who holds the device's memory.

use std::sync::Arc;
use std::time::SystemTime;

use sakuga_model_core::{MemoryPool, Stage};

use crate::gpu::{DeviceSample, ProcessMemory};
use crate::job_id::JobId;

/// What the server does at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// When it was lookup at.
    pub time: SystemTime,
    /// The device's memory as the engine manages it.
    pub pools: Vec<MemoryPool>,
    /// The device's memory by process.
    pub processes: Vec<ProcessMemory>,
    /// Jobs that wait.
    pub queued: usize,
    /// The job that has the device.
    pub running: Option<Running>,
}

/// Where the scheduler is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerSnapshot {
    /// Jobs that wait.
    pub queued: usize,
    /// The job that has the device.
    pub running: Option<Running>,
}

/// The job that has the device, and how far it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The job.
    pub job_id: JobId,
    /// The part of the pipeline; `None` before the first.
    pub stage: Option<Stage>,
    /// Steps that are done.
    pub step: u32,
    /// Steps that it has.
    pub steps: u32,
}

/// Looks at the activity, on any thread and without waiting for the one that draws.
#[derive(Clone)]
pub struct Observer {
    snapshot: Arc<dyn Fn() -> SchedulerSnapshot + Send + Sync>,
    pools: Arc<dyn Fn() -> Vec<MemoryPool> + Send + Sync>,
}

impl Observer {
    /// An observer of a scheduler and of whatever engine it has at the time.
    pub fn new(
        snapshot: impl Fn() -> SchedulerSnapshot + Send + Sync + 'static,
        pools: impl Fn() -> Vec<MemoryPool> + Send + Sync + 'static,
    ) -> Self {
        Self { snapshot: Arc::new(snapshot), pools: Arc::new(pools) }
    }

    /// Where the scheduler is.
    pub fn snapshot(&self) -> SchedulerSnapshot {
        (self.snapshot)()
    }

    /// The device's memory as the engine manages it.
    pub fn pools(&self) -> Vec<MemoryPool> {
        (self.pools)()
    }

    /// The activity as a sample and the scheduler's snapshot tell it.
    pub fn activity(&self, snapshot: SchedulerSnapshot, sample: &DeviceSample) -> Activity {
        Activity {
            time: sample.time,
            pools: self.pools(),
            processes: sample.processes.clone(),
            queued: snapshot.queued,
            running: snapshot.running,
        }
    }
}
