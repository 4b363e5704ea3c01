//! Connections and calls, before any service sees them.
//!
//! A connection passes [`listener`] (a bound on their number, TLS, time limits; its life is in [`connection`]), and each
//! of its calls passes [`layer`]: authentication, authorisation and quotas by [`crate::auth`], then counting until the
//! answer has ended. [`serve`] adds the limits of HTTP/2, gRPC-Web and CORS. Certificates and tokens are files that
//! [`reload`] reads again when they change, without a restart.

pub mod config;
pub mod connection;
pub mod credentials;
pub mod layer;
pub mod listener;
pub mod reload;
pub mod serve;
pub mod settings;
pub mod tls;

pub use config::{TlsFiles, TransportConfig};
