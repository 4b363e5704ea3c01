//! The Sakuga service: queue, engine, events, previews and device statistics over gRPC.
//!
//! A request walks through the files like this:
//!
//! 1. [`service::generation`] or [`service::jobs`] takes the message; [`wire::from_proto`] turns it into a
//!    [`request::UncheckedRequest`], and [`request::UncheckedRequest::check`] into a [`request::Request`] with every default filled in, or into
//!    all of its faults.
//! 2. [`jobs`] writes it down in the [`store`] and makes a [`job::Job`], with a [`journal`] that its readers follow, and
//!    hands it to the [`scheduler`]: admission, queue.
//! 3. [`scheduler::worker`], the one thread that owns the [`engine`], draws it. The engine tells its steps; each becomes
//!    an [`event`], and the engine hears whether to go on.
//! 4. Pixels go to the [`encoder`] thread: previews through [`preview`], pictures through [`picture`], so that the worker
//!    never waits for a codec. Samples of the device come from [`gpu`].
//! 5. [`wire::to_proto`] turns each event into a message, which is written down before a reader gets it; the pieces of
//!    pictures are read from the artifact store as the reader takes them.
//!
//! [`telemetry`] keeps what is seen of the device and of the engine meanwhile, on the thread that takes the samples.
//!
//! Before that, every connection and call passes [`transport`] and [`auth`]; [`metrics`] counts what happens, and
//! [`trace`] exports it to a collector.
//!
//! [`app`] puts it all together; [`config`] says how. Errors are [`error::ServerError`] until [`wire::status`] makes them
//! gRPC's.
//!
//! # Invariants
//!
//! - Every accepted job has exactly one terminal event, and it is the last: a [`job::Job`] that is dropped without one
//!   ends as failed, and a [`journal`] takes nothing after it.
//! - What was acknowledged is not lost: a job is written down before its caller hears of it, and a state event before a
//!   reader sees it. After a restart jobs that waited wait, those that ran are drawn again, and no number comes twice.
//! - Nobody waits for a reader: a slow one loses previews and statistics, and sees so in the sequence numbers.
//! - No tensor, no runtime and no wire type in [`engine`], no wire type in [`scheduler`]; a job that is kept is
//!   a message of the wire, and else only [`wire`] names types of
//!   both sides.
//! - Without the feature `burn` the crate holds no tensor code, and all of its tests pass.

#![forbid(unsafe_code)]

pub mod app;
pub mod auth;
pub mod background;
pub mod config;
pub mod encoder;
pub mod engine;
pub mod error;
pub mod event;
pub mod gpu;
pub mod grpc;
pub mod job;
pub mod job_id;
pub mod jobs;
pub mod journal;
pub mod limits;
pub mod log;
pub mod metrics;
pub mod picture;
pub mod preview;
pub mod request;
pub mod retention;
pub mod scheduler;
pub mod service;
pub mod settings;
pub mod store;
mod sync;
pub mod telemetry;
pub mod trace;
pub mod transport;
pub mod wire;

pub use app::{App, AppError};
pub use background::BackgroundServer;
pub use config::Config;
