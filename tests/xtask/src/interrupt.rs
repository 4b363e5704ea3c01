//! Ctrl-C and SIGTERM become a flag, so that a command ends the processes that it started before it exits.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

static RAISED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Registers the handlers. Call it once, before anything is started.
///
/// # Errors
///
/// The system refuses a handler.
pub(crate) fn listen() -> anyhow::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&RAISED)).context("cannot register a signal handler")?;
    }
    Ok(())
}

/// Whether an interrupt or SIGTERM has arrived.
pub(crate) fn raised() -> bool {
    RAISED.load(Ordering::Relaxed)
}
