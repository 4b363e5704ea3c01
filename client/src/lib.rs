//! The client of Sakuga: connect, ask for pictures, and follow the drawing step by step.
//!
//! ```no_run
//! use sakuga_client::{Client, EventKind, proto::generation::v1::PreviewMethod};
//!
//! # async fn draw() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("http://127.0.0.1:50051").await?;
//! let mut generation = client
//!     .generation()
//!     .xml("<character_1><n>fox</n><gender>1girl</gender></character_1>")
//!     .size(1024, 1024)
//!     .seed(42)
//!     .preview(PreviewMethod::Linear)
//!     .start()
//!     .await?;
//! while let Some(event) = generation.next_event().await? {
//!     match event.kind {
//!         EventKind::Step(step) => println!("step {} of {}", step.index, step.total),
//!         EventKind::Completed(completed) => std::fs::write("fox.png", &completed.pictures[0].bytes)?,
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A [`Generation`] is also a [`Stream`](tokio_stream::Stream). Dropping it cancels the job at the next step.
//!
//! A job can outlive its connection: [`GenerationBuilder::start_resuming`] follows it through cuts and restarts of the
//! server, and [`Client::watch`] takes up a job of an earlier call, or of another program, behind any event.
//!
//! What the stream promises is checked here and not left to the caller: the order of events (holes are counted, see
//! [`Event::missed_before`]), that the pieces of a picture fit together, and that each picture has the checksum that
//! the server names. [`picture`] reads the request back from a finished file.

#![forbid(unsafe_code)]

mod assemble;
mod connect;
mod credentials;
mod error;
mod event;
mod follow;
mod generation;
mod hash;
pub mod json;
pub mod picture;
mod request;
pub mod typed;

pub use assemble::Picture;
pub use connect::{Client, ConnectOptions, DEFAULT_ADDRESS, Transport};
pub use credentials::{Authorization, BadToken, TlsOptions, Token};
pub use error::{ClientError, ServerError, Violation};
pub use event::{
    CancelReason, Cancelled, Completed, Event, EventKind, Preview, Stage, Started, Step, Timings, kind_name,
};
pub use follow::Resume;
pub use generation::Generation;
pub use hash::sha256_hex;
pub use request::GenerationBuilder;

/// The messages as they travel, for the fields that this crate hands on as they are.
pub use sakuga_proto as proto;
