//! Decides which job has the device and which models are on it: admission, a queue, and one thread that owns the models.
//!
//! [`queue`] and `state` are plain data; `shared` puts them behind a lock; `worker` runs on the engine's
//! thread. Every method of [`Scheduler`] but [`Scheduler::close`] returns at once and may be called from any thread. Locks
//! are taken in the order scheduler, then journal, and none is held while an engine runs.

mod command;
mod context;
mod engine_thread;
#[cfg(test)]
mod event_order_tests;
mod job_monitor;
pub(crate) mod queue;
mod reservation;
mod residents;
mod scheduler_handle;
mod shared;
mod start;
mod state;
mod watchdog;
mod worker;

pub(crate) use command::ModelChange;
pub(crate) use engine_thread::EngineThread;
pub(crate) use reservation::Reservation;
pub(crate) use scheduler_handle::{JobProgress, Scheduler};
pub(crate) use shared::EngineStatus;
pub(crate) use start::Ready;
pub(crate) use state::{Forecasted, QueuePosition};
