//! The sockets of the server, and warnings about who can reach them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::AppError;
use crate::config::Config;
use crate::settings::is_loopback;
use crate::transport::credentials::Credentials;

/// The bound sockets.
pub(crate) struct Sockets {
    pub(super) api: (TcpListener, SocketAddr),
    /// Of the metrics, if they are served.
    pub(super) metrics: Option<(TcpListener, SocketAddr)>,
    /// Of the studio, if it is served.
    pub(super) studio: Option<(TcpListener, SocketAddr)>,
}

impl Sockets {
    /// The socket for clients alone.
    #[cfg(feature = "fleet")]
    pub(crate) async fn bind_api(config: &Config) -> Result<(TcpListener, SocketAddr), AppError> {
        bind(config.listen, "--listen").await
    }

    pub(super) async fn bind(config: &Config) -> Result<Self, AppError> {
        let api = bind(config.listen, "--listen").await?;
        let metrics = match config.transport.metrics_listen {
            Some(address) => Some(bind(address, "--metrics-listen").await?),
            None => None,
        };
        let studio = bind_first(&config.studio.addresses(config.listen), "--studio").await?;
        Ok(Self { api, metrics, studio })
    }
}

/// The first of the addresses whose port is not taken; `None` if there is no address.
async fn bind_first(
    addresses: &[SocketAddr],
    flag: &'static str,
) -> Result<Option<(TcpListener, SocketAddr)>, AppError> {
    let mut taken = None;
    for address in addresses {
        match bind(*address, flag).await {
            Ok(bound) => return Ok(Some(bound)),
            Err(error @ AppError::PortTaken { .. }) => taken = Some(error),
            Err(error) => return Err(error),
        }
    }
    taken.map_or(Ok(None), Err)
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<(TcpListener, SocketAddr), AppError> {
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::AddrInUse => AppError::PortTaken { address, flag },
        _ => AppError::Listen { address, source },
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Warns of a server that other machines reach without tokens or without encryption.
pub(crate) fn warn_about_exposure(config: &Config, credentials: &Credentials) {
    if is_loopback(config.listen.ip()) {
        return;
    }
    if !credentials.requires_identity() {
        tracing::warn!(
            "everyone who reaches the port can generate images; require tokens with --tokens, or certificates with \
             --tls-client-ca"
        );
    }
    if credentials.tls.is_none() {
        tracing::warn!(
            "connections are not encrypted, and tokens can be read on the way; encrypt with --tls-cert and --tls-key"
        );
    }
}
