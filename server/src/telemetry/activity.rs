//! What the server does at one moment, and who holds the device's memory.

use std::sync::Arc;
use std::time::SystemTime;

use crate::engine::{MemoryPool, Stage};
use crate::gpu::{DeviceSample, ProcessMemory};
use crate::job::JobId;

/// What the server does at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Activity {
    /// When it was looked at.
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
pub struct Standing {
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
    standing: Arc<dyn Fn() -> Standing + Send + Sync>,
    pools: Arc<dyn Fn() -> Vec<MemoryPool> + Send + Sync>,
}

impl Observer {
    /// An observer of a scheduler and of whatever engine it has at the time.
    pub fn new(
        standing: impl Fn() -> Standing + Send + Sync + 'static,
        pools: impl Fn() -> Vec<MemoryPool> + Send + Sync + 'static,
    ) -> Self {
        Self { standing: Arc::new(standing), pools: Arc::new(pools) }
    }

    /// Where the scheduler is.
    pub fn standing(&self) -> Standing {
        (self.standing)()
    }

    /// The device's memory as the engine manages it.
    pub fn pools(&self) -> Vec<MemoryPool> {
        (self.pools)()
    }

    /// The activity as a sample and the scheduler's standing tell it.
    pub fn activity(&self, standing: Standing, sample: &DeviceSample) -> Activity {
        Activity {
            time: sample.time,
            pools: self.pools(),
            processes: sample.processes.clone(),
            queued: standing.queued,
            running: standing.running,
        }
    }
}
