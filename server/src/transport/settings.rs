//! The settings of the transport: keys, tokens, and the limits of a connection.

use std::net::SocketAddr;
use std::time::Duration;

use super::config::{TlsFiles, TransportConfig};
use crate::config::Reader;
use crate::settings::Setting;

/// The settings, as the help lists them.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "tls-cert",
        value: "FILE",
        default: "",
        help: "Encrypt connections with this certificate: PEM, with those between it and its CA behind it. It is read \
               again when it changes.",
    },
    Setting { name: "tls-key", value: "FILE", default: "", help: "The private key of --tls-cert, in PEM." },
    Setting {
        name: "tls-client-ca",
        value: "FILE",
        default: "",
        help: "Let in only clients with a certificate that one of these CAs signed (mutual TLS). Without --tokens such \
               a client may do everything.",
    },
    Setting {
        name: "tokens",
        value: "FILE",
        default: "",
        help: "Ask every call for a bearer token whose hash is in this file; `sakuga-server token new` makes one. \
               Health checks need none. The file is read again when it changes.",
    },
    Setting {
        name: "reload-interval",
        value: "SECONDS",
        default: "30",
        help: "How often certificates and tokens are looked at for changes; SIGHUP does it at once. 0: on SIGHUP only.",
    },
    Setting {
        name: "handshake-timeout",
        value: "SECONDS",
        default: "10",
        help: "How long the TLS handshake may take, and then the first byte of a connection.",
    },
    Setting {
        name: "idle-timeout",
        value: "SECONDS",
        default: "300",
        help: "How long a connection may stay open without a call. Clients connect again by themselves.",
    },
    Setting {
        name: "max-connections",
        value: "N",
        default: "4096",
        help: "Connections that may be open. A further one takes the place of the one that is idle for longest, or is \
               closed if every one has a call.",
    },
    Setting {
        name: "max-connection-streams",
        value: "N",
        default: "256",
        help: "Calls that one connection may have open; more wait in the client.",
    },
    Setting {
        name: "max-header-bytes",
        value: "N",
        default: "16384",
        help: "Bytes that the headers of a call may have.",
    },
    Setting {
        name: "max-pending-resets",
        value: "N",
        default: "1024",
        help: "Streams that a client may open and reset before the server has looked at them (rapid reset). Dropping a \
               stream is how clients cancel; beyond this the connection is closed.",
    },
    Setting {
        name: "max-fault-resets",
        value: "N",
        default: "1024",
        help: "Streams that a client may make the server reset by breaking the protocol before its connection is closed.",
    },
    Setting {
        name: "keepalive-interval",
        value: "SECONDS",
        default: "20",
        help: "How often a silent connection is probed.",
    },
    Setting {
        name: "keepalive-timeout",
        value: "SECONDS",
        default: "20",
        help: "How long the answer to a probe may take before the connection and its calls are given up.",
    },
    Setting {
        name: "grpc-web",
        value: "",
        default: "false",
        help: "Speak gRPC-Web besides gRPC, over HTTP/1.1 too: for browsers, or for a proxy that does not speak HTTP/2.",
    },
    Setting {
        name: "cors-origin",
        value: "ORIGIN",
        default: "",
        help: "Let pages of this origin, such as https://studio.example, call the server by gRPC-Web; `*` is any. Can be \
               given several times; a list in the file, separated by commas in the environment.",
    },
    Setting {
        name: "metrics-listen",
        value: "ADDR:PORT",
        default: "",
        help: "Serve figures for Prometheus at http://ADDR:PORT/metrics, unencrypted: on the loopback, unless \
               --insecure-listen. With --tokens a scrape needs one with the scope `metrics`.",
    },
];

/// Reads the settings of the transport.
pub(crate) fn read(reader: &mut Reader<'_>) -> Option<TransportConfig> {
    // Each is read before any is needed, so that every problem is found.
    let tls = tls_files(reader);
    let tokens = reader.path("tokens");
    let seconds = |reader: &mut Reader<'_>, name, least| reader.count(name, least..=86_400).map(Duration::from_secs);
    let reload_interval = seconds(reader, "reload-interval", 0);
    let handshake_timeout = seconds(reader, "handshake-timeout", 1);
    let idle_timeout = seconds(reader, "idle-timeout", 1);
    let connections_max = reader.count("max-connections", 1..=1_000_000);
    let streams_max = reader.count("max-connection-streams", 1..=100_000);
    let header_bytes_max = reader.count("max-header-bytes", 1024..=1 << 20);
    let pending_resets_max = reader.count("max-pending-resets", 1..=1_000_000);
    let fault_resets_max = reader.count("max-fault-resets", 1..=1_000_000);
    let keepalive_interval = seconds(reader, "keepalive-interval", 1);
    let keepalive_timeout = seconds(reader, "keepalive-timeout", 1);
    let accepts_grpc_web = reader.switch("grpc-web");
    let cors_origins = origins(reader);
    let metrics_listen = metrics_listen(reader);
    Some(TransportConfig {
        tls: tls?,
        tokens,
        reload_interval: reload_interval?,
        handshake_timeout: handshake_timeout?,
        idle_timeout: idle_timeout?,
        connections_max: connections_max? as usize,
        streams_max: streams_max? as u32,
        header_bytes_max: header_bytes_max? as u32,
        pending_resets_max: pending_resets_max? as usize,
        fault_resets_max: fault_resets_max? as usize,
        keepalive_interval: keepalive_interval?,
        keepalive_timeout: keepalive_timeout?,
        accepts_grpc_web: accepts_grpc_web?,
        cors_origins: cors_origins?,
        metrics_listen: metrics_listen?,
    })
}

/// The outer `None` is a problem, the inner one no TLS.
fn tls_files(reader: &mut Reader<'_>) -> Option<Option<TlsFiles>> {
    let client_ca = reader.path("tls-client-ca");
    match (reader.path("tls-cert"), reader.path("tls-key")) {
        (Some(cert), Some(key)) => Some(Some(TlsFiles { cert, key, client_ca })),
        (None, None) if client_ca.is_none() => Some(None),
        (cert, _) => {
            let missing = if cert.is_none() { "--tls-cert" } else { "--tls-key" };
            reader.problem(format!(
                "{missing} is missing: TLS needs --tls-cert and --tls-key, and --tls-client-ca needs both"
            ));
            None
        }
    }
}

fn origins(reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let (values, origin) = reader.list("cors-origin");
    for value in &values {
        let uri: Option<http::Uri> = value.parse().ok();
        let is_origin = uri.is_some_and(|uri| uri.scheme().is_some() && uri.path() == "/" && !value.ends_with('/'));
        if value != "*" && !is_origin {
            reader.problem(format!(
                "{origin}: `{value}` is no origin; write scheme and host without a slash behind, such as \
                 https://studio.example, or `*`"
            ));
            return None;
        }
    }
    Some(values)
}

/// The outer `None` is a problem, the inner one no such listener.
fn metrics_listen(reader: &mut Reader<'_>) -> Option<Option<SocketAddr>> {
    if !reader.is_given("metrics-listen") {
        return Some(None);
    }
    let is_insecure = reader.switch("insecure-listen")?;
    let address: SocketAddr = reader.parse("metrics-listen", "write an address and a port, such as 127.0.0.1:9464")?;
    if !address.ip().is_loopback() && !is_insecure {
        reader.problem(format!(
            "--metrics-listen {address} can be reached by other machines, and the figures are not encrypted; serve them \
             on 127.0.0.1, or allow it with --insecure-listen"
        ));
        return None;
    }
    Some(Some(address))
}
