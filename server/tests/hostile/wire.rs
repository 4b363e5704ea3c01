//! A connection between a client and a server that can be delayed, cut anywhere, and stalled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// The wire. Every connection through it ends with it.
pub(crate) struct Wire {
    pub url: String,
    shared: Arc<Shared>,
    _listening: AbortOnDropHandle<()>,
}

struct Shared {
    server: SocketAddr,
    /// How long every byte is under way, in each direction.
    delay: Duration,
    /// Bytes to clients after which a connection ends; 0: never.
    cut_after: AtomicU64,
    is_silent: AtomicBool,
    cuts: AtomicU64,
    end: CancellationToken,
}

impl Wire {
    /// A wire to a server.
    pub(crate) async fn to(server: &str, delay: Duration) -> Self {
        let server = server.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            server,
            delay,
            cut_after: AtomicU64::new(0),
            is_silent: AtomicBool::new(false),
            cuts: AtomicU64::new(0),
            end: CancellationToken::new(),
        });
        let accepting = shared.clone();
        let listening = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().join(client));
            }
        }));
        Self { url, shared, _listening: listening }
    }

    /// From now on, ends each new connection after `bytes` bytes to the client, even within a frame.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Lets nothing through any more, in either direction, and keeps every connection open.
    pub(crate) fn fall_silent(&self) {
        self.shared.is_silent.store(true, Ordering::SeqCst);
    }

    /// Connections that were cut.
    pub(crate) fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.end.cancel();
    }
}

impl Shared {
    /// Passes bytes on until either side ends, or the wire is cut.
    async fn join(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.server).await else { return };
        let budget = match self.cut_after.load(Ordering::SeqCst) {
            0 => u64::MAX,
            bytes => bytes,
        };
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.carry(from_client, to_server, u64::MAX) => {}
            () = self.carry(from_server, to_client, budget) => {}
            () = self.end.cancelled() => {}
        }
    }

    /// One direction. Bytes keep their order and distance in time.
    async fn carry(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut budget: u64) {
        let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
        let read = async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = from.read(&mut buffer).await {
                if under_way.send((Instant::now() + self.delay, buffer[..count].to_vec())).await.is_err() {
                    return;
                }
            }
            // What is under way still arrives.
            drop(under_way);
            std::future::pending::<()>().await;
        };
        let write = async {
            while let Some((when, mut bytes)) = arriving.recv().await {
                tokio::time::sleep_until(when).await;
                if self.is_silent.load(Ordering::SeqCst) {
                    continue;
                }
                bytes.truncate(usize::try_from(budget).unwrap_or(usize::MAX));
                budget -= bytes.len() as u64;
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                if budget == 0 {
                    self.cuts.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
        };
        tokio::select! {
            () = read => {}
            () = write => {}
        }
    }
}
