//! Accepts connections; TLS handshakes run concurrently.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;

use super::connection::{self, Connection, Connections, Slot};
use super::tls::Tls;
use crate::rate::{Rate, RateLimiter};

/// Connections whose handshake is done and that wait to be served; the server takes them at once.
const READY_MAX: usize = 64;
/// Rate of the warnings that a connection cannot be accepted: while the host lacks a resource, each attempt fails.
const WARNINGS: Rate = Rate { calls: NonZeroU32::new(6).expect("not zero"), per: Duration::from_secs(60) };
/// How long to wait after `accept` failed for want of file descriptors or memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The connections of a listener. Dropping it closes the socket.
pub(crate) struct Incoming {
    ready: mpsc::Receiver<Connection>,
    _accepting: AbortOnDropHandle<()>,
}

impl Incoming {
    /// Begins to accept.
    pub(crate) fn start(listener: TcpListener, tls: Option<Arc<Tls>>, connections: Arc<Connections>) -> Self {
        let (sender, ready) = mpsc::channel(READY_MAX);
        let accepting = accept(listener, tls, connections, sender);
        Self { ready, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
    }
}

impl Incoming {
    /// The next connection; `None` when the listener has ended.
    pub(super) async fn next(&mut self) -> Option<Connection> {
        self.ready.recv().await
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ready.poll_recv(context).map(|connection| connection.map(Ok))
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    connections: Arc<Connections>,
    ready: mpsc::Sender<Connection>,
) {
    let warnings = RateLimiter::new(WARNINGS);
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if warnings.take().is_ok() {
                    tracing::warn!(%error, "a connection cannot be accepted");
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let Some(slot) = connections.admit() else {
            tracing::debug!(peer = %address, "too many connections");
            continue;
        };
        let (tls, connections, ready) = (tls.clone(), connections.clone(), ready.clone());
        // At most as many of these tasks as there are slots.
        tokio::spawn(async move {
            let evicted = slot.evicted();
            let outcome = tokio::select! {
                () = evicted => return,
                done = tokio::time::timeout(connections.handshake_timeout(), handshake(stream, tls)) => done,
            };
            match outcome {
                Ok(Ok(stream)) => hand_over(stream, address, slot, &ready).await,
                Ok(Err(error)) => {
                    connections.handshake_failed();
                    tracing::debug!(peer = %address, %error, "the TLS handshake failed");
                }
                Err(_) => {
                    connections.handshake_failed();
                    tracing::debug!(peer = %address, "the TLS handshake timed out");
                }
            }
        });
    }
}

async fn handshake(stream: TcpStream, tls: Option<Arc<Tls>>) -> io::Result<connection::Stream> {
    stream.set_nodelay(true)?;
    Ok(match tls {
        None => connection::Stream::Plain(stream),
        Some(tls) => connection::Stream::Tls(Box::new(tls.acceptor().accept(stream).await?)),
    })
}

async fn hand_over(stream: connection::Stream, address: SocketAddr, slot: Slot, ready: &mpsc::Sender<Connection>) {
    // While the server shuts down nothing receives it; dropping it closes the connection.
    let _ = ready.send(Connection::new(stream, address, slot)).await;
}
