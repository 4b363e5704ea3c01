//! The Rust client of Sakuga: connect, request pictures, and follow each step.
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
//! A job can outlive its connection: [`GenerationBuilder::start_resuming`] follows it across lost connections and restarts
//! of the server, and [`Client::watch`] follows a job of an earlier call or of another program from any event on.
//!
//! The library checks what the API guarantees: the order of events (gaps are counted in [`Event::missed_before`]), that
//! the pieces of a picture fit together, and that every picture has the checksum that the server named. [`picture`] reads
//! the request from a finished file.
//!
//! | module | concept |
//! |---|---|
//! | `connection`, `credentials` | address, TLS, token, the generated stubs |
//! | `request` | the builder of a request |
//! | `follow` | one job over many connections |
//! | `generation`, `event`, `assemble` | the stream of events, checked; pictures from their pieces |
//! | `asset` | files that requests refer to: upload, download, list, delete |
//! | [`expand`] | prompts with alternatives and wildcards |
//! | [`import`] | settings of other programs as a request |
//! | `error` | typed errors with the server's details |
//! | `client` | the entry point over all of them |

#![forbid(unsafe_code)]

mod assemble;
mod asset;
mod client;
mod connection;
mod credentials;
mod error;
mod event;
pub mod expand;
mod follow;
mod generation;
pub mod import;
pub mod picture;
mod request;

pub use assemble::Picture;
pub use asset::{AssetError, AssetFile};
pub use client::Client;
pub use connection::{ConnectOptions, DEFAULT_ADDRESS, Transport};
pub use credentials::{Authorization, BadToken, TlsOptions, Token};
pub use error::{ClientError, ServerError, Violation};
pub use event::{Completed, Event, EventKind, cancel_reason, stage_name};
pub use follow::Resume;
pub use generation::Generation;
pub use request::GenerationBuilder;

/// The messages of the API, their JSON and their conversions.
pub use sakuga_proto as proto;
