//! Connections and calls, before any service sees them.
//!
//! A connection passes [`listener`] (a bound on their number, TLS, time limits; its life is in [`connection`]), and each
//! of its calls passes [`layer`]: authentication, authorisation and quotas by [`crate::auth`], then the limits of its
//! [`message`], then counting until the answer has ended, and a bound on what of it waits to be read. [`serve`] adds the limits
//! of HTTP/2, gRPC-Web and CORS. Certificates, revocation lists and tokens are files that [`reload`] reads again when they
//! change, without a restart.

mod compression;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod credentials;
mod cutoff;
mod file_limit;
pub(crate) mod large_answer;
pub(crate) mod layer;
pub(crate) mod listener;
pub(crate) mod message;
pub(crate) mod metrics_listener;
mod open_calls;
pub(crate) mod outgoing;
pub(crate) mod raw_answer;
pub(crate) mod refusal;
mod refusal_log;
pub(crate) mod reload;
mod revocation;
pub(crate) mod serve;
mod stall;
pub(crate) mod tls;

pub use config::{TlsFiles, TransportConfig};
