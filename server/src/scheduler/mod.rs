//! Decides which job has the device: admission, a queue, and one thread that owns the engine.
//!
//! [`queue`], [`estimator`] and `state` are plain data; `shared` puts them behind a lock; `worker` runs on the engine's
//! thread. Every method of [`Scheduler`] but [`Scheduler::close`] returns at once and may be called from any thread. Locks
//! are taken in the order scheduler, then journal, and none is held while an engine runs.

mod context;
mod engine_thread;
pub mod estimator;
mod job_monitor;
pub mod queue;
mod reservation;
mod scheduler_handle;
mod shared;
mod state;
mod watchdog;
mod worker;

pub use engine_thread::{EngineThread, Ready};
pub use reservation::{QueuePosition, Reservation};
pub use scheduler_handle::{JobProgress, Scheduler};
pub use shared::EngineStatus;
