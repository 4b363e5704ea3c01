//! Accepts connections: each gets a place, makes its handshake beside the others, and is handed on.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_util::task::AbortOnDropHandle;

use super::Door;
use super::connection::{self, Connection, Connections, Place};
use super::tls::Tls;

/// Connections that have made their handshake and wait to be served. The server takes them at once.
const READY_MAX: usize = 64;
/// How long to wait after the system had no room for a connection: until some are closed, there is nothing to do.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// The connections of a listener. Dropping it closes the socket.
pub struct Incoming {
    ready: mpsc::Receiver<Connection>,
    _accepting: AbortOnDropHandle<()>,
}

impl Incoming {
    /// Begins to accept.
    pub fn start(listener: TcpListener, door: &Door) -> Self {
        let (sender, ready) = mpsc::channel(READY_MAX);
        let accepting = accept(listener, door.tls.clone(), door.connections.clone(), sender);
        Self { ready, _accepting: AbortOnDropHandle::new(tokio::spawn(accepting)) }
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
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let Some(place) = connections.enter() else {
            tracing::debug!(peer = %address, "too many connections");
            continue;
        };
        let (tls, connections, ready) = (tls.clone(), connections.clone(), ready.clone());
        // As many of these tasks at once as there are places.
        tokio::spawn(async move {
            let taken = place.taken();
            let shaken = tokio::select! {
                () = taken => return,
                shaken = tokio::time::timeout(connections.handshake_timeout(), shake(stream, tls)) => shaken,
            };
            match shaken {
                Ok(Ok(stream)) => hand_on(stream, address, place, &ready).await,
                Ok(Err(error)) => {
                    connections.handshake_failed();
                    tracing::debug!(peer = %address, %error, "no handshake");
                }
                Err(_) => {
                    connections.handshake_failed();
                    tracing::debug!(peer = %address, "the handshake takes too long");
                }
            }
        });
    }
}

async fn shake(stream: TcpStream, tls: Option<Arc<Tls>>) -> io::Result<connection::Stream> {
    stream.set_nodelay(true)?;
    Ok(match tls {
        None => connection::Stream::Plain(stream),
        Some(tls) => connection::Stream::Tls(Box::new(tls.acceptor().accept(stream).await?)),
    })
}

async fn hand_on(stream: connection::Stream, address: SocketAddr, place: Place, ready: &mpsc::Sender<Connection>) {
    // Nobody takes it when the server goes down, which closes it.
    let _ = ready.send(Connection::new(stream, address, place)).await;
}
