//! The limits and files of connections and calls.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How connections and calls are let in. The defaults are safe on an open network and enough for a busy team.
#[derive(Clone, Debug, PartialEq)]
pub struct TransportConfig {
    /// Keys and certificates; `None`: connections are not encrypted.
    pub tls: Option<TlsFiles>,
    /// The file of bearer tokens; `None`: calls need none.
    pub tokens: Option<PathBuf>,
    /// How often files are looked at for changes; zero: on SIGHUP only.
    pub reload_interval: Duration,
    /// How long TLS, and the first byte of a connection, may take.
    pub handshake_timeout: Duration,
    /// How long a connection may be open without a call.
    pub idle_timeout: Duration,
    /// Connections that may be open.
    pub connections_max: usize,
    /// Streams that one connection may have open.
    pub streams_max: u32,
    /// Bytes of a call's headers.
    pub header_bytes_max: u32,
    /// Streams that a client may reset before the server has looked at them.
    pub pending_resets_max: usize,
    /// Streams that the server may have to reset for a client's faults.
    pub fault_resets_max: usize,
    /// How often a silent connection is probed.
    pub keepalive_interval: Duration,
    /// How long the answer to a probe may take.
    pub keepalive_timeout: Duration,
    /// Whether browsers may speak gRPC-Web.
    pub accepts_grpc_web: bool,
    /// Pages of which origins may do so; `*` is any.
    pub cors_origins: Vec<String>,
    /// Where the figures are served for Prometheus.
    pub metrics_listen: Option<SocketAddr>,
}

/// The files of TLS, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate and those between it and its CA.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The CAs of clients' certificates; with them every client needs one.
    pub client_ca: Option<PathBuf>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self {
            tls: None,
            tokens: None,
            reload_interval: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(300),
            connections_max: 4096,
            streams_max: 256,
            header_bytes_max: 16 * 1024,
            pending_resets_max: 1024,
            fault_resets_max: 1024,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(20),
            accepts_grpc_web: false,
            cors_origins: Vec::new(),
            metrics_listen: None,
        }
    }
}

impl TransportConfig {
    /// Whether gRPC-Web is spoken: when it is asked for, or pages of some origin are let in.
    pub fn grpc_web(&self) -> bool {
        self.accepts_grpc_web || !self.cors_origins.is_empty()
    }
}
