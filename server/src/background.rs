//! A server in its own task, for programs that embed one, and for tests.

use std::net::SocketAddr;
use std::panic;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{App, AppError};

/// A server that runs in a task of the current runtime. Dropping it stops the server without waiting for its end.
#[derive(Debug)]
pub struct BackgroundServer {
    url: String,
    local_addr: SocketAddr,
    metrics_addr: Option<SocketAddr>,
    studio_addr: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), AppError>>,
}

impl App {
    /// Serves in a task of the current runtime.
    ///
    /// # Panics
    ///
    /// There is no tokio runtime.
    pub fn spawn(self) -> BackgroundServer {
        let (url, local_addr) = (self.url(), self.local_addr());
        let (metrics_addr, studio_addr) = (self.metrics_addr(), self.studio_addr());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(self.run_until(async {
            // A dropped sender stops the server too.
            let _ = stopped.await;
        }));
        BackgroundServer { url, local_addr, metrics_addr, studio_addr, stop: Some(stop), task }
    }
}

impl BackgroundServer {
    /// The address as clients write it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The socket address.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of the metrics, if they are served.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics_addr
    }

    /// The address of the studio, if it is served.
    pub fn studio_addr(&self) -> Option<SocketAddr> {
        self.studio_addr
    }

    /// Begins to drain and stop. A second call does nothing.
    pub fn begin_stop(&mut self) {
        // Dropping the sender is the signal.
        self.stop = None;
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    ///
    /// Those of [`App::run_until`].
    ///
    /// # Panics
    ///
    /// The server panicked.
    pub async fn ended(self) -> Result<(), AppError> {
        // The sender is alive while this waits, so that waiting alone does not stop the server.
        let Self { stop: _alive, task, .. } = self;
        match task.await {
            Ok(ended) => ended,
            Err(error) => panic::resume_unwind(error.into_panic()),
        }
    }

    /// Drains, stops, and waits for the end.
    ///
    /// # Errors
    ///
    /// Those of [`App::run_until`].
    ///
    /// # Panics
    ///
    /// The server panicked.
    pub async fn stop(mut self) -> Result<(), AppError> {
        self.begin_stop();
        self.ended().await
    }
}
