//! A connection that a test cuts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes connections on to a server.
pub(crate) struct Proxy {
    address: SocketAddr,
    /// Answers are swallowed, and the connection ends with the first of them.
    loses_answers: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let loses_answers = Arc::new(AtomicBool::new(false));
        let loses = loses_answers.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, None));
                tokio::spawn(pass(from_server, to_client, Some(loses.clone())));
            }
        });
        Self { address, loses_answers, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The server gets what is sent from now on, and its next answer is lost with the connection.
    pub(crate) fn lose_next_answer(&self) {
        self.loses_answers.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, loses: Option<Arc<AtomicBool>>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if loses.as_ref().is_some_and(|loses| loses.swap(false, Ordering::SeqCst)) {
            break;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    // Both directions end: the other side sees the end of its stream.
    let _ = to.shutdown().await;
}
