//! The life of a connection: its open calls, its idle timeout, and which idle connection is closed when the limit is
//! reached.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::config::TransportConfig;
use super::stall::Stall;
use crate::auth::identity::ClientCertificate;
use crate::metrics::ConnectionMetrics;

/// The open connections, in bounded number.
pub(crate) struct Connections {
    connections_max: usize,
    handshake_timeout: Duration,
    idle_timeout: Duration,
    stall_timeout: Duration,
    next_id: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Activity>>>,
    metrics: ConnectionMetrics,
}

impl Connections {
    /// Without any connection.
    pub(crate) fn new(config: &TransportConfig, metrics: ConnectionMetrics) -> Self {
        Self {
            connections_max: config.connections_max,
            handshake_timeout: config.handshake_timeout,
            idle_timeout: config.idle_timeout,
            stall_timeout: config.keepalive_interval + config.keepalive_timeout,
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
            metrics,
        }
    }

    /// How long a handshake may take.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// A slot for a new connection. When all are taken, another connection is closed for it: the one that has been idle
    /// for longest, of those without an identity if there are any; else the oldest whose calls have no identity; else
    /// `None`.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Slot> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let activity = Arc::new(Activity::new(self.handshake_timeout, self.idle_timeout));
        let mut open = self.open.lock();
        if open.len() >= self.connections_max {
            let candidates = open.iter().filter_map(|(id, activity)| Some((activity.expendable()?, *id)));
            let Some((_, longest)) = candidates.min() else {
                self.metrics.refused.inc();
                return None;
            };
            if let Some(activity) = open.remove(&longest) {
                self.metrics.evicted.inc();
                activity.closing.cancel();
            }
        }
        open.insert(id, activity.clone());
        self.metrics.open.set(open.len() as i64);
        Some(Slot { id, activity, connections: self.clone() })
    }

    /// Closes every open connection, with or without calls. Used at the end of a drain.
    pub(crate) fn close_all(&self) {
        for activity in self.open.lock().values() {
            activity.closing.cancel();
        }
    }

    /// Counts a failed handshake.
    pub(crate) fn handshake_failed(&self) {
        self.metrics.handshakes_failed.inc();
    }
}

/// One of the connections that may be open; freed when dropped.
pub(crate) struct Slot {
    id: u64,
    activity: Arc<Activity>,
    connections: Arc<Connections>,
}

impl Slot {
    /// Completes when the slot was given to another connection.
    pub(crate) fn evicted(&self) -> WaitForCancellationFutureOwned {
        self.activity.closing.clone().cancelled_owned()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.remove(&self.id);
        self.connections.metrics.open.set(open.len() as i64);
    }
}

/// The open calls of a connection, and since when it has none.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<ActivityState>,
    closing: CancellationToken,
    handshake_timeout: Duration,
    idle_timeout: Duration,
}

#[derive(Debug)]
struct ActivityState {
    calls: usize,
    /// Those of them that have an identity.
    identified_calls: usize,
    /// Whether any call had an identity.
    had_identity: bool,
    has_received: bool,
    /// When the last call ended, or the connection began, or its first byte came.
    since: Instant,
}

impl Activity {
    fn new(handshake_timeout: Duration, idle_timeout: Duration) -> Self {
        let state = ActivityState {
            calls: 0,
            identified_calls: 0,
            had_identity: false,
            has_received: false,
            since: Instant::now(),
        };
        Self { state: Mutex::new(state), closing: CancellationToken::new(), handshake_timeout, idle_timeout }
    }

    /// Counts a call until the guard is dropped. A connection that only answers keepalive probes is idle.
    pub(crate) fn begin_call(self: &Arc<Self>) -> CallGuard {
        self.state.lock().calls += 1;
        CallGuard { activity: self.clone(), is_identified: false }
    }

    fn received_bytes(&self) {
        let mut state = self.state.lock();
        if !state.has_received {
            state.has_received = true;
            state.since = Instant::now();
        }
    }

    /// How expendable the connection is, the most first; `None` if it has calls with an identity.
    fn expendable(&self) -> Option<(Expendable, Instant)> {
        let state = self.state.lock();
        let rank = match (state.calls, state.identified_calls, state.had_identity) {
            (0, _, false) => Expendable::IdleStranger,
            (0, _, true) => Expendable::Idle,
            (_, 0, false) => Expendable::BusyStranger,
            _ => return None,
        };
        Some((rank, state.since))
    }

    /// When the connection is closed as idle, unless a call begins before.
    fn deadline(&self) -> Instant {
        let state = self.state.lock();
        let timeout = if state.has_received { self.idle_timeout } else { self.handshake_timeout };
        let since = if state.calls == 0 { state.since } else { Instant::now() };
        since + timeout
    }
}

/// Which connections are closed first when others need their slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Expendable {
    /// Without a call, and no call had an identity.
    IdleStranger,
    /// Without a call.
    Idle,
    /// With calls of which none has or had an identity.
    BusyStranger,
}

/// One call of a connection.
#[derive(Debug)]
pub(crate) struct CallGuard {
    activity: Arc<Activity>,
    is_identified: bool,
}

impl CallGuard {
    /// Marks the call as one that has an identity or needs none.
    pub(crate) fn identify(&mut self) {
        if !std::mem::replace(&mut self.is_identified, true) {
            let mut state = self.activity.state.lock();
            state.identified_calls += 1;
            state.had_identity = true;
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        let mut state = self.activity.state.lock();
        state.calls -= 1;
        state.identified_calls -= usize::from(self.is_identified);
        state.since = Instant::now();
    }
}

/// What a call knows of its connection, as an extension of its request.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The client's certificate.
    pub certificate: Option<ClientCertificate>,
    /// The connection's open calls.
    pub activity: Arc<Activity>,
}

/// A connection, encrypted or not. It reads as closed by the client when it is idle for too long or is evicted.
pub(crate) struct Connection {
    stream: Stream,
    peer: Peer,
    timer: Pin<Box<Sleep>>,
    evicted: Pin<Box<WaitForCancellationFutureOwned>>,
    stall: Stall,
    received: Counter,
    sent: Counter,
    _slot: Slot,
}

/// The socket, with TLS or without.
pub(crate) enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// A connection that has passed its handshake.
    pub(crate) fn new(stream: Stream, address: SocketAddr, slot: Slot) -> Self {
        let certificate = match &stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => super::tls::client_certificate(stream.get_ref().1),
        };
        let activity = slot.activity.clone();
        // The first byte has its own timeout, which begins after the handshake.
        activity.state.lock().since = Instant::now();
        Self {
            stream,
            timer: Box::pin(tokio::time::sleep_until(activity.deadline())),
            evicted: Box::pin(slot.evicted()),
            stall: Stall::new(slot.connections.stall_timeout),
            peer: Peer { address, certificate, activity },
            received: slot.connections.metrics.received_bytes.clone(),
            sent: slot.connections.metrics.sent_bytes.clone(),
            _slot: slot,
        }
    }

    /// The client's address.
    pub(super) fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// Whether the connection has to end; otherwise the task is woken when that changes.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.evicted.as_mut().poll(context).is_ready() {
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
            this.peer.activity.received_bytes();
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
        this.stall.pass(written, context)
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
        this.stall.pass(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        // A flush of a plain socket never waits, and would hide that a write does.
        if flushed.is_pending() { this.stall.pass(flushed, context) } else { flushed }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        this.stall.pass(shut, context)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}
