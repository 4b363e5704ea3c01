//! The Sakuga service: queue, engine, events, previews and device statistics over gRPC.
//!
//! # The route of one request
//!
//! 1. `transport/` accepts the connection, `auth/` checks who calls, and `service/generation.rs` or `service/jobs.rs` takes
//!    the message.
//! 2. `jobs/create.rs` finds the job of a repeated call or admits the call, the cheap checks first: the client's rate in
//!    `rate.rs`, then a place in the queue in `scheduler/reservation.rs`.
//! 3. Then `jobs/prepare.rs` looks up the model in `models/catalog.rs`. `wire/from_proto.rs` and `wire/sampling.rs` convert the
//!    message to a `request::UncheckedRequest` (`request/unchecked.rs`), and `adapters` looks up the adapters that it names.
//!    `request/mod.rs` with `request/rules.rs`, `request/faults.rs` and `request/images/` checks it and makes a
//!    `request::Request` with every default filled in, or reports all of its faults. Limits come from
//!    [`sakuga_model_core::limits`]. `jobs/scene.rs` with `wire/scene.rs` checks a scene in the same way for its own model.
//! 4. `jobs/memory.rs` refuses a job that cannot fit into the device's memory, and `Reservation::position` one whose estimate
//!    exceeds its timeout. Then the record of `jobs/record.rs` and the first events are committed by `store/writer.rs`; the
//!    request becomes a `job::Job` with a journal and waits in `scheduler/queue.rs`.
//! 5. `scheduler/state/pool.rs` decides which device runs the job. `scheduler/worker.rs` runs on the thread that owns the models of
//!    that device. It loads the job's model if necessary; `models/table.rs` decides what is evicted. Then it passes the job's
//!    [`GenerationSpec`](sakuga_model_core::GenerationSpec) to [`ImageModel::generate`](sakuga_model_core::ImageModel::generate),
//!    through `metrics/engine.rs`, and `scheduler/scene.rs` has the model of a scene draw over the pictures. Models are opened by
//!    `engine/burn.rs`, or by `engine/scripted.rs` in tests. `scheduler/state/assistance.rs` may give the job a second device, whose
//!    worker runs `scheduler/assist.rs`; `scheduler/exchange.rs` connects both workers.
//! 6. `encoder/finish.rs` encodes the pixels to files on its own thread (`picture.rs`), `encoder/sink.rs` writes them to
//!    `store/artifacts.rs`, and the terminal event is published.
//!
//! # The route of one event
//!
//! 1. `scheduler/job_monitor.rs` gets [`Progress`](sakuga_model_core::Progress) from the model; `encoder/` adds previews
//!    (`preview.rs`) and pictures; `gpu/sampler.rs` adds samples of the device. Each becomes an `event::EventBody`.
//! 2. `journal/publish.rs` takes it; `journal/state.rs` numbers it and refuses what is out of order. `jobs/event_encoder.rs`
//!    with `wire/to_proto/` and `wire/frame.rs` encodes it, once for the store and all readers; `ObservedEncoder` of `trace/`
//!    observes it there.
//! 3. `store/writer.rs` writes it before a reader may see it, unless it is a preview or a sample, which a slow reader may miss.
//! 4. `journal/publish.rs` then wakes the readers (`journal/readers.rs`). `journal/reader.rs` returns the event as an
//!    `event_frame::EventFrame` to `service/event_stream.rs`, through `service/generation.rs` or `service/watch_stream.rs`. The pieces
//!    of pictures are read from the artifact store in `jobs/artifacts.rs` when they are sent.
//! 5. `transport/outgoing.rs` counts what connections have not written yet. All streams of WatchJob hand the same bytes to their
//!    connections; a preview for which the budget has no room is left out.
//!
//! # Other modules
//!
//! - `studio` serves a page for browsers and its calls on a port of its own; on the same port, `openai` serves OpenAI's images API.
//! - `estimate` predicts time and energy of jobs from measurements of earlier ones.
//! - `assets` stores files that clients upload, `adapters` reads the folder of adapters, `pull` downloads models.
//! - `models` has the models and where their weights are, `devices` the names and states of devices.
//! - `fleet` has the roles `gateway` and `worker`, which share jobs over NATS. No other module names it.
//! - `metrics` counts, `trace` exports to a collector, `telemetry` keeps samples of the newest jobs.
//! - [`config`] reads the options, `app` creates and connects all parts, and [`maintenance`] works on the data folder of a stopped
//!   server.
//!
//! Errors are `error::ServerError` until `wire::status` converts them to gRPC statuses.
//!
//! # Invariants
//!
//! - Every accepted job has exactly one terminal event, and it is the last: a `job::Job` that is dropped without one
//!   ends as failed, and a `journal` refuses events after it.
//! - Acknowledged jobs and events are durable: a job is written before its caller gets the answer, and a state event before a
//!   reader sees it. After a restart, waiting jobs wait again, running ones start again, and no sequence number is used twice.
//! - Nothing waits for a reader: a slow one misses previews and samples, and sees gaps in the sequence numbers.
//! - [`engine`], `models` and `scheduler` name no type of the wire and no tensor. Only `wire`, `service`, `openai`, `jobs`,
//!   `assets` and `fleet` name types of the wire; `app` registers the services.
//! - No file names a network or a text encoder of a model: those are lists in
//!   [`ModelInfo`](sakuga_model_core::ModelInfo).
//! - Without the feature `burn` the crate holds no tensor code, and all of its tests pass.
//! - The modules have no import cycle.

#![forbid(unsafe_code)]

mod adapters;
mod app;
mod assets;
pub mod auth;
mod background;
pub mod config;
mod devices;
mod encoder;
pub mod engine;
mod error;
mod estimate;
mod event;
mod event_frame;
#[cfg(feature = "fleet")]
pub mod fleet;
mod gpu;
mod grpc;
mod job;
mod job_id;
mod jobs;
mod journal;
mod limits;
pub mod log;
pub mod maintenance;
mod metrics;
mod models;
mod named_file;
mod openai;
mod picture;
mod preview;
#[cfg(feature = "burn")]
pub mod pull;
mod rate;
mod request;
mod retention;
mod scheduler;
mod service;
mod settings;
pub mod store;
mod studio;
mod telemetry;
mod trace;
mod transport;
mod user_folder;
mod wire;

pub use app::{App, AppError};
pub use background::BackgroundServer;
pub use config::Config;
