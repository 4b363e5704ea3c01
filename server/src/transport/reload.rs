//! Reads certificates and tokens again when their files change or on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio_util::task::AbortOnDropHandle;

use super::tls::Tls;
use crate::auth::error::CredentialError;
use crate::auth::tokens::Tokens;

/// Reads the files again when they change, until it is dropped.
pub(crate) struct Reloader {
    _task: AbortOnDropHandle<()>,
}

impl Reloader {
    /// Looks at the files every `interval`, unless it is zero, and on SIGHUP.
    pub(crate) fn start(tls: Option<Arc<Tls>>, tokens: Option<Arc<Tokens>>, interval: Duration) -> Self {
        let mut watched: Vec<Watched> = Vec::new();
        let expiring = tokens.clone();
        if let Some(tls) = tls {
            let paths = tls.files().map(Path::to_owned).collect();
            watched.push(Watched::new("certificates", paths, move || tls.reload()));
        }
        if let Some(tokens) = tokens {
            let paths = vec![tokens.path().to_owned()];
            watched.push(Watched::new("tokens", paths, move || tokens.reload()));
        }
        // Also without files: an unhandled SIGHUP would end the program.
        let hangup = Hangup::listen();
        Self { _task: AbortOnDropHandle::new(tokio::spawn(watch(watched, expiring, interval, hangup))) }
    }
}

async fn watch(mut watched: Vec<Watched>, tokens: Option<Arc<Tokens>>, interval: Duration, mut hangup: Hangup) {
    loop {
        tokio::select! {
            () = pause(interval) => {}
            () = hangup.next() => tracing::info!("SIGHUP: reading certificates and tokens again"),
        }
        // Reading may block for long on a network file system; calls must not wait for it.
        let checked = tokio::task::spawn_blocking(move || {
            watched.iter_mut().for_each(Watched::check);
            watched
        });
        let Ok(back) = checked.await else { return };
        watched = back;
        if let Some(tokens) = &tokens {
            tokens.revoke_expired(SystemTime::now());
        }
    }
}

async fn pause(interval: Duration) {
    if interval.is_zero() {
        return std::future::pending().await;
    }
    tokio::time::sleep(interval).await;
}

/// Files that belong together, and the function that reads them.
struct Watched {
    what: &'static str,
    paths: Vec<PathBuf>,
    seen: [u8; 32],
    reload: Box<dyn Fn() -> Result<(), CredentialError> + Send>,
}

impl Watched {
    fn new(
        what: &'static str,
        paths: Vec<PathBuf>,
        reload: impl Fn() -> Result<(), CredentialError> + Send + 'static,
    ) -> Self {
        // All zeros differ from any digest, so a change between the first reading and now is noticed.
        Self { what, paths, seen: [0; 32], reload: Box::new(reload) }
    }

    /// Reads the files again if their contents have changed. Contents are compared, not times: certificate managers
    /// exchange links, and time stamps are coarse. A file that cannot be used is logged once, and the previous
    /// contents stay in use.
    fn check(&mut self) {
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

/// A digest of the contents, and of the problem of each file that cannot be read.
fn digest(paths: &[PathBuf]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for path in paths {
        match CredentialError::read(path) {
            Ok(content) => {
                digest.update((content.len() as u64).to_le_bytes());
                digest.update(content);
            }
            // No content has this length, so that a file that goes missing differs from an empty one.
            Err(error) => {
                digest.update(u64::MAX.to_le_bytes());
                digest.update(error.problem);
            }
        }
    }
    digest.finalize().into()
}

/// SIGHUP, where there is one.
struct Hangup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Hangup {
    #[cfg(unix)]
    fn listen() -> Self {
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        Self {
            signal: signal
                .inspect_err(|error| tracing::warn!(%error, "SIGHUP cannot be handled and will not reload"))
                .ok(),
        }
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
