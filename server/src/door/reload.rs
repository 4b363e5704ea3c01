//! Certificates and tokens are read again when their files change, or at once on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;

use super::DoorError;
use super::tls::Tls;
use super::tokens::Tokens;

/// Keeps the files fresh until it is dropped.
pub struct Reloader {
    _task: AbortOnDropHandle<()>,
}

impl Reloader {
    /// Looks at the files every `interval`, unless it is zero, and on SIGHUP.
    pub fn start(tls: Option<Arc<Tls>>, tokens: Option<Arc<Tokens>>, interval: Duration) -> Self {
        let mut watched: Vec<Watched> = Vec::new();
        if let Some(tls) = tls {
            let paths = tls.files().map(Path::to_owned).collect();
            watched.push(Watched::new("certificates", paths, move || tls.reload()));
        }
        if let Some(tokens) = tokens {
            let paths = vec![tokens.path().to_owned()];
            watched.push(Watched::new("tokens", paths, move || tokens.reload()));
        }
        // Listened to without files too: unheard, the signal would end the program.
        let told = Told::listen();
        Self { _task: AbortOnDropHandle::new(tokio::spawn(keep_fresh(watched, interval, told))) }
    }
}

async fn keep_fresh(mut watched: Vec<Watched>, interval: Duration, mut told: Told) {
    loop {
        tokio::select! {
            () = pause(interval) => {}
            () = told.next() => tracing::info!("SIGHUP: looking at certificates and tokens"),
        }
        // A folder on a slow network must not hold up the calls.
        let looked = tokio::task::spawn_blocking(move || {
            watched.iter_mut().for_each(Watched::look);
            watched
        });
        let Ok(back) = looked.await else { return };
        watched = back;
    }
}

async fn pause(interval: Duration) {
    if interval.is_zero() {
        return std::future::pending().await;
    }
    tokio::time::sleep(interval).await;
}

/// Files that belong together, and what reads them.
struct Watched {
    what: &'static str,
    paths: Vec<PathBuf>,
    seen: [u8; 32],
    reload: Box<dyn Fn() -> Result<(), DoorError> + Send>,
}

impl Watched {
    fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        reload: impl Fn() -> Result<(), DoorError> + Send + 'static,
    ) -> Self {
        // Nothing is seen yet: what changed since it was first read is noticed too.
        Self { what, paths, seen: [0; 32], reload: Box::new(reload) }
    }

    /// Reads the files again if what is in them has changed. Contents are compared, not times: links are exchanged, and
    /// clocks are coarse. What cannot be used is told once, and what there was goes on.
    fn look(&mut self) {
        let is_first = self.seen == [0; 32];
        let now = digest(&self.paths);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match (self.reload)() {
            Ok(()) if is_first => {}
            Ok(()) => tracing::info!(what = self.what, "read again"),
            Err(error) => tracing::error!(what = self.what, %error, "cannot be read again; the old ones stay in use"),
        }
    }
}

fn digest(paths: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for path in paths {
        // A file that is missing for the moment of an exchange differs from one that is there.
        let content = std::fs::read(path).unwrap_or_default();
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

/// SIGHUP, where there is one.
struct Told {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Told {
    #[cfg(unix)]
    fn listen() -> Self {
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        Self { signal: signal.inspect_err(|error| tracing::warn!(%error, "SIGHUP will not reload")).ok() }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        Self {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
