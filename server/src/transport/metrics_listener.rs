//! The page of metrics over HTTP, on its own listener with small limits.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use super::config::TransportConfig;
use super::connection::{Connection, Connections};
use super::listener::Incoming;
use crate::auth::access::{Scope, Scopes};
use crate::auth::bearer::bearer;
use crate::auth::refusal::Refusal;
use crate::auth::tokens::Tokens;
use crate::metrics::ConnectionMetrics;

/// The media type of the page.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections that may be open; a further one closes the oldest.
const CONNECTIONS_MAX: usize = 32;
/// How long a connection may be open without its first byte, and how long after it. A scrape takes milliseconds, and
/// scrapers reconnect.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes the text of the page.
pub(crate) type Page = Box<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

struct Scrapes {
    page: Page,
    tokens: Option<Arc<Tokens>>,
}

/// Serves the page until the handle is dropped, to the holders of `tokens` with the scope `metrics`, or to everyone.
pub(crate) fn serve(listener: TcpListener, tokens: Option<Arc<Tokens>>, page: Page) -> AbortOnDropHandle<()> {
    let limits = TransportConfig {
        connections_max: CONNECTIONS_MAX,
        handshake_timeout: CONNECTION_TIMEOUT,
        idle_timeout: CONNECTION_TIMEOUT,
        ..TransportConfig::default()
    };
    let connections = Arc::new(Connections::new(&limits, ConnectionMetrics::default()));
    let address = listener.local_addr();
    let incoming = Listener { incoming: Incoming::start(listener, None, connections), address };
    let router = Router::new().route("/metrics", get(read)).with_state(Arc::new(Scrapes { page, tokens }));
    AbortOnDropHandle::new(tokio::spawn(async move {
        let served: io::Result<()> = axum::serve(incoming, router).await;
        if let Err(error) = served {
            tracing::error!(%error, "metrics are no longer served");
        }
    }))
}

/// Connections as axum accepts them.
struct Listener {
    incoming: Incoming,
    address: io::Result<SocketAddr>,
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.incoming.next().await {
            Some(connection) => {
                let address = connection.address();
                (connection, address)
            }
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.address {
            Ok(address) => Ok(*address),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

async fn read(State(scrapes): State<Arc<Scrapes>>, headers: HeaderMap) -> Response {
    if let Some(tokens) = &scrapes.tokens
        && let Err(refused) = may_read(tokens, &headers)
    {
        return refused;
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], (scrapes.page)().await).into_response()
}

#[expect(clippy::result_large_err, reason = "a response is large, and a refusal is rare")]
fn may_read(tokens: &Tokens, headers: &HeaderMap) -> Result<(), Response> {
    let token = bearer(headers).map_err(|refusal| refuse(&refusal))?;
    let holder = tokens.find(token, SystemTime::now()).map_err(|bad| refuse(&Refusal::from(bad)))?;
    if holder.identity.scopes.allow(Scopes::one(Scope::Metrics)) {
        return Ok(());
    }
    Err((StatusCode::FORBIDDEN, "the token lacks the scope `metrics`\n").into_response())
}

fn refuse(refusal: &Refusal) -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{refusal}\n")).into_response()
}
