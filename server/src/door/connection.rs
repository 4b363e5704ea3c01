//! The life of a connection: what it is busy with, when it is idle for too long, and which one gives way when as many are
//! open as may be.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::identity::CertificateFingerprint;
use super::settings::DoorConfig;
use crate::metrics::ConnectionMetrics;
use crate::sync::lock;

/// The connections that are open.
pub struct Connections {
    connections_max: usize,
    handshake_timeout: Duration,
    idle_timeout: Duration,
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    metrics: ConnectionMetrics,
}

impl Connections {
    /// None yet.
    pub fn new(config: &DoorConfig, metrics: ConnectionMetrics) -> Self {
        Self {
            connections_max: config.connections_max,
            handshake_timeout: config.handshake_timeout,
            idle_timeout: config.idle_timeout,
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
            metrics,
        }
    }

    /// How long a handshake may take.
    pub fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// A place for a new connection. When all are taken, the connection that is idle for longest gives its own up; when
    /// none is idle, there is no place.
    pub fn enter(self: &Arc<Self>) -> Option<Place> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new(self.handshake_timeout, self.idle_timeout));
        let mut open = lock(&self.open);
        if open.len() >= self.connections_max {
            let idle = open.iter().filter_map(|(id, activity)| Some((activity.idle_since()?, *id)));
            let Some((_, longest)) = idle.min() else {
                self.metrics.refused.inc();
                return None;
            };
            if let Some(activity) = open.remove(&longest) {
                self.metrics.given_up.inc();
                activity.closing.cancel();
            }
        }
        open.insert(id, activity.clone());
        self.metrics.open.set(open.len() as i64);
        Some(Place { id, activity, connections: self.clone() })
    }

    /// Closes every connection that is open, whatever it is busy with: at the end, for clients that do not go by
    /// themselves.
    pub fn close_all(&self) {
        for activity in lock(&self.open).values() {
            activity.closing.cancel();
        }
    }

    /// Notes why a handshake led to nothing.
    pub fn handshake_failed(&self) {
        self.metrics.handshakes_failed.inc();
    }
}

/// A connection's place among those that may be open, until it is dropped.
pub struct Place {
    id: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

impl Place {
    /// Ready when the place was given to another connection.
    pub fn taken(&self) -> WaitForCancellationFutureOwned {
        self.activity.closing.clone().cancelled_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = lock(&self.connections.open);
        open.remove(&self.id);
        self.connections.metrics.open.set(open.len() as i64);
    }
}

/// What a connection is busy with.
#[derive(Debug)]
pub struct Activity {
    state: Mutex<ActivityState>,
    closing: CancellationToken,
    handshake_timeout: Duration,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct ActivityState {
    calls: usize,
    has_spoken: bool,
    /// When the last call ended, or the connection began, or it spoke for the first time.
    since: Instant,
}

impl Activity {
    fn new(handshake_timeout: Duration, idle_timeout: Duration) -> Self {
        let state = ActivityState { calls: 0, has_spoken: false, since: Instant::now() };
        Self { state: Mutex::new(state), closing: CancellationToken::new(), handshake_timeout, idle_timeout }
    }

    /// Counts a call until the guard is dropped. Probes are no calls: what only answers them is idle.
    pub fn begin_call(self: &Arc<Self>) -> CallGuard {
        lock(&self.state).calls += 1;
        CallGuard(self.clone())
    }

    fn speaks(&self) {
        let mut state = lock(&self.state);
        if !state.has_spoken {
            state.has_spoken = true;
            state.since = Instant::now();
        }
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.calls == 0).then_some(state.since)
    }

    /// When the connection will have been idle for too long, unless a call comes.
    fn deadline(&self) -> Instant {
        let state = lock(&self.state);
        let patience = if state.has_spoken { self.idle_timeout } else { self.handshake_timeout };
        let since = if state.calls == 0 { state.since } else { Instant::now() };
        since + patience
    }
}

/// One call of a connection.
#[derive(Debug)]
pub struct CallGuard(Arc<Activity>);

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.calls -= 1;
        state.since = Instant::now();
    }
}

/// What a call can learn of its connection, as an extension of its request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// The client's certificate.
    pub certificate: Option<CertificateFingerprint>,
    /// What the connection is busy with.
    pub activity: Arc<Activity>,
}

/// A connection, encrypted or not. It ends, as if the client had closed it, when it is idle for too long or has to give
/// way.
pub struct Connection {
    stream: Stream,
    peer: Peer,
    timer: Pin<Box<Sleep>>,
    given_way: Pin<Box<WaitForCancellationFutureOwned>>,
    received: Counter,
    sent: Counter,
    _place: Place,
}

/// What bytes go through.
pub enum Stream {
    /// As they are.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// A connection that has passed its handshake.
    pub fn new(stream: Stream, address: SocketAddr, place: Place) -> Self {
        let certificate = match &stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => super::tls::fingerprint(stream.get_ref().1),
        };
        let activity = place.activity.clone();
        // The handshake has had its time; what follows has its own.
        lock(&activity.state).since = Instant::now();
        Self {
            stream,
            timer: Box::pin(tokio::time::sleep_until(activity.deadline())),
            given_way: Box::pin(place.taken()),
            peer: Peer { address, certificate, activity },
            received: place.connections.metrics.received_bytes.clone(),
            sent: place.connections.metrics.sent_bytes.clone(),
            _place: place,
        }
    }

    /// Whether the connection has to end; otherwise the task is woken when that changes.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.given_way.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            let deadline = self.peer.activity.deadline();
            if deadline <= Instant::now() {
                tracing::debug!(peer = %self.peer.address, "idle for too long");
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_pending() {
            return this.poll_end(context).map(Ok);
        }
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            this.peer.activity.speaks();
            this.received.inc_by(bytes as u64);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        if let Poll::Ready(Ok(bytes)) = written {
            this.sent.inc_by(bytes as u64);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        if let Poll::Ready(Ok(bytes)) = written {
            this.sent.inc_by(bytes as u64);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}
