//! Assigns jobs to devices and decides which models are loaded: admission, one queue for all devices, and one thread for each device
//! that owns its models.
//!
//! [`queue`] and `state` are plain data; `shared` puts them behind a lock; a `worker` runs on the thread of each device.
//! `state::DevicePool` decides which device a job is for. All methods of [`Scheduler`] except [`Scheduler::close`] return at once
//! and may be called from any thread. Locks are taken in the order scheduler, then journal, and none is held while an engine runs.

mod assist;
mod command;
mod context;
mod drawn;
mod engine_thread;
#[cfg(test)]
mod event_order_tests;
mod exchange;
mod in_service;
#[cfg(test)]
mod in_service_tests;
mod job_monitor;
pub(crate) mod queue;
mod reservation;
mod residents;
mod scene;
mod scheduler_handle;
mod share;
mod shared;
mod start;
mod state;
mod watchdog;
mod worker;
mod worker_id;

pub(crate) use command::ModelChange;
pub(crate) use engine_thread::EngineThread;
pub(crate) use reservation::Reservation;
pub(crate) use scheduler_handle::{DeviceChange, JobProgress, OpenDevice, Scheduler};
pub(crate) use shared::EngineStatus;
pub(crate) use start::Ready;
pub(crate) use state::{Forecasted, QueuePosition};
