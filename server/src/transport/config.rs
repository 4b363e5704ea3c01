//! The limits and files of connections and calls.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::file_limit;
use crate::auth::access::Scopes;
use crate::auth::identity::check_certificate_name;
use crate::settings::{address, defaults, mebibytes, number, seconds};

/// The limits and files of connections and calls. The defaults are safe on an open network and enough for a busy team.
#[derive(Args, Clone, Debug, PartialEq)]
#[command(next_help_heading = "Connections, tokens and metrics")]
pub struct TransportConfig {
    /// Keys and certificates; `None`: connections are not encrypted.
    #[command(flatten)]
    pub tls: Option<TlsFiles>,
    /// Require a bearer token of every call; this file has the hashes of the tokens, and `sakuga-server token new` makes
    /// one. Health checks need none. The file is read again when it changes; while it is missing or empty no token is
    /// valid.
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// What clients may do that show a certificate and no token, with --tls-client-ca and without --tokens: any of `generate`,
    /// `metrics` and `admin`, separated by commas.
    #[arg(long, value_name = "SCOPES", default_value = "generate,metrics", value_parser = str::parse::<Scopes>)]
    pub certificate_scopes: Scopes,
    /// A certificate that has the scope `admin` as well: its whole subject such as `CN=ops`, an alternative name such as
    /// `DNS:ops.example`, or `sha256:` and its fingerprint. Can be given several times; a list in the file, separated by
    /// semicolons in the environment.
    #[arg(
        long = "admin-certificate",
        value_name = "NAME",
        value_delimiter = ';',
        value_parser = check_certificate_name
    )]
    pub admin_certificates: Vec<String>,
    /// How often certificates and tokens are checked for changes; SIGHUP does it at once. 0: on SIGHUP only. Calls of a
    /// token that was removed or has expired are ended then.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds(0..=86_400))]
    pub reload_interval: Duration,
    /// How long the TLS handshake may take, then the first byte of a connection, and then the request of each call.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds(1..=86_400))]
    pub handshake_timeout: Duration,
    /// How long a connection may stay open without a call. Clients connect again by themselves.
    #[arg(long, value_name = "SECONDS", default_value = "300", value_parser = seconds(1..=86_400))]
    pub idle_timeout: Duration,
    /// Connections that may be open, within the limit of open files. When all are open, a new one closes the one that has
    /// been idle for longest or, where calls need a token or a certificate, one that has shown neither; if there is no
    /// such connection the new one is closed.
    #[arg(
        long = "max-connections",
        value_name = "N",
        default_value = "4096",
        value_parser = number::<usize>(1..=1_000_000)
    )]
    pub connections_max: usize,
    /// Calls that one connection may have open; more wait in the client.
    #[arg(
        long = "max-connection-streams",
        value_name = "N",
        default_value = "256",
        value_parser = number::<u32>(1..=100_000)
    )]
    pub connection_streams_max: u32,
    /// Bytes that the headers of a call may have.
    #[arg(
        long = "max-header-bytes",
        value_name = "N",
        default_value = "16384",
        value_parser = number::<u32>(1024..=1 << 20)
    )]
    pub header_bytes_max: u32,
    /// Streams that a client may open and reset before the server has handled them (rapid reset). Dropping a stream is
    /// how clients cancel; beyond this the connection is closed.
    #[arg(
        long = "max-pending-resets",
        value_name = "N",
        default_value = "1024",
        value_parser = number::<usize>(1..=1_000_000)
    )]
    pub pending_resets_max: usize,
    /// Streams that a client may make the server reset by breaking the protocol before its connection is closed.
    #[arg(
        long = "max-fault-resets",
        value_name = "N",
        default_value = "1024",
        value_parser = number::<usize>(1..=1_000_000)
    )]
    pub fault_resets_max: usize,
    /// MiB of all answers together that may be handed to connections before their clients have read them. Beyond this,
    /// streams leave out previews, and each stream gets its next message when its last one is written.
    #[arg(
        long = "max-unsent-mib",
        value_name = "MIB",
        default_value = "64",
        value_parser = mebibytes(1..=1 << 20)
    )]
    pub unsent_bytes_max: usize,
    /// How often a silent connection is probed.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds(1..=86_400))]
    pub keepalive_interval: Duration,
    /// How long the answer to a probe may take before the connection is closed and its calls end. A client that takes no
    /// byte of what is sent to it for as long as both times together is disconnected too.
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds(1..=86_400))]
    pub keepalive_timeout: Duration,
    /// Serve gRPC-Web as well as gRPC, over HTTP/1.1 too: for browsers, or for a proxy without HTTP/2.
    #[arg(
        long = "grpc-web",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        action = ArgAction::Set
    )]
    pub accepts_grpc_web: bool,
    /// Let pages of this origin, such as `https://studio.example`, call the server by gRPC-Web; `*` is any. Can be given
    /// several times; a list in the file, separated by commas in the environment.
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_delimiter = ',', value_parser = origin)]
    pub cors_origins: Vec<String>,
    /// Serve metrics for Prometheus at http://ADDR:PORT/metrics, unencrypted: on the loopback, unless --insecure-listen.
    /// With --tokens a scrape needs one with the scope `metrics`.
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub metrics_listen: Option<SocketAddr>,
}

/// The files of TLS, in PEM.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Encrypt connections with this certificate: PEM, followed by the certificates between it and its CA. It is read
    /// again when it changes.
    #[arg(long = "tls-cert", value_name = "FILE", required = false)]
    pub cert: PathBuf,
    /// The private key of --tls-cert, in PEM.
    #[arg(long = "tls-key", value_name = "FILE", required = false)]
    pub key: PathBuf,
    /// Accept only clients with a certificate that one of these CAs signed (mutual TLS). Without --tokens such a client
    /// has the scopes of --certificate-scopes and owns the jobs of the names in its certificate.
    #[arg(long = "tls-client-ca", value_name = "FILE")]
    pub client_ca: Option<PathBuf>,
    /// Refuse the client certificates that these revocation lists name, in PEM, one list for each CA that signs client
    /// certificates; a certificate whose CA has no list is refused too. The file is read again when it changes, and calls of a
    /// certificate that was revoked end then. Needs --tls-client-ca.
    #[arg(long = "tls-client-crl", value_name = "FILE")]
    pub client_crl: Option<PathBuf>,
}

impl Default for TransportConfig {
    fn default() -> Self {
        defaults()
    }
}

impl TransportConfig {
    /// The configuration with as many connections as the limit of open files has room for, after raising that limit as far
    /// as the system allows. Logs when it is fewer than configured.
    pub fn within_open_files(&self) -> Self {
        let files = file_limit::raise();
        let connections_max = file_limit::connections_max(self.connections_max, files);
        if connections_max < self.connections_max {
            tracing::warn!(
                max_connections = self.connections_max,
                allowed = connections_max,
                open_files = files,
                "fewer connections than configured: raise the limit of open files (LimitNOFILE, ulimit -n)"
            );
        }
        Self { connections_max, ..self.clone() }
    }

    /// Whether gRPC-Web is served: when it is configured, or an origin of pages is.
    pub fn grpc_web(&self) -> bool {
        self.accepts_grpc_web || !self.cors_origins.is_empty()
    }
}

/// An origin as browsers send it, or `*`.
fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let uri: Option<http::Uri> = text.parse().ok();
    let is_origin = uri.is_some_and(|uri| uri.scheme().is_some() && uri.path() == "/" && !text.ends_with('/'));
    if text == "*" || is_origin {
        return Ok(text.to_owned());
    }
    Err("is not an origin; write scheme and host without a slash at the end, such as https://studio.example, or `*`"
        .into())
}
