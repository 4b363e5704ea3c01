//! Logs refused calls: all of them at `debug`, and a limited number at `info`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::rate::{Rate, RateLimiter};

/// Lines at `info`; as many may come at once.
const LINES: Rate = Rate { calls: NonZeroU32::new(30).expect("not zero"), per: Duration::from_secs(60) };

/// Logs refused calls.
pub(crate) struct RefusalLog {
    lines: RateLimiter,
    omitted: AtomicU64,
}

impl Default for RefusalLog {
    fn default() -> Self {
        Self { lines: RateLimiter::new(LINES), omitted: AtomicU64::new(0) }
    }
}

impl RefusalLog {
    /// Logs a refusal. `omitted` in a line at `info` is how many were not logged there since the line before.
    pub(crate) fn note(&self, reason: &'static str, peer: Option<SocketAddr>) {
        if self.lines.take().is_ok() {
            let omitted = self.omitted.swap(0, Ordering::Relaxed);
            tracing::info!(reason, ?peer, omitted, "call refused");
        } else {
            self.omitted.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(reason, ?peer, "call refused");
        }
    }
}
