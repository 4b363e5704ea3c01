//! [`Stall`]: ends a connection whose client no longer reads its socket.
//!
//! HTTP/2 keepalive does not detect this: the pings cannot be written either, so no answer is ever overdue.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long a connection has been waiting to write.
pub(super) struct Stall {
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Stall {
    /// Without a waiting write.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, timer: Box::pin(tokio::time::sleep(timeout)), is_waiting: false }
    }

    /// Returns the result of an attempt to write. A wait for longer than the timeout becomes an error, which ends the
    /// connection.
    pub(super) fn pass<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.timeout);
        }
        self.timer.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_writes_that_wait_for_too_long_fail() {
        let mut stall = Stall::new(Duration::from_secs(40));
        let began = Instant::now();
        for _ in 0..10 {
            let waited = poll_fn(|context| stall.pass::<()>(Poll::Pending, context));
            assert!(tokio::time::timeout(Duration::from_secs(30), waited).await.is_err(), "it may still be written");
            let written = poll_fn(|context| stall.pass(Poll::Ready(Ok(())), context)).await;
            assert!(written.is_ok());
        }
        let failed = poll_fn(|context| stall.pass::<()>(Poll::Pending, context)).await.expect_err("too long");
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 340);
    }
}
