//! [`Watch`]: the stream of a WatchJob call.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sakuga_proto::Encoded;
use sakuga_proto::generation::v1::{WatchCreated, WatchJobResponse, WatchProgress};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::event_stream::{EventStream, StreamMessage, StreamMessages};
use super::{Context, refuse};
use crate::wire::frame::message;
use crate::wire::to_proto;

/// The stream of a WatchJob call: `created`, then the events, and `progress` when no event came for an interval. Dropping
/// it drops its reader.
pub(crate) struct Watch {
    context: Arc<Context>,
    created: Option<Bytes>,
    events: EventStream,
    progress: ProgressTimer,
    _permit: OwnedSemaphorePermit,
}

impl Watch {
    pub(super) fn new(
        context: Arc<Context>,
        created: &WatchCreated,
        events: EventStream,
        interval: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let created = Some(message(&Encoded::<WatchJobResponse>::created(created)));
        Self { context, created, events, progress: ProgressTimer::new(interval), _permit: permit }
    }

    fn progress(&self) -> WatchProgress {
        WatchProgress {
            next_sequence: self.events.next_sequence(),
            time: Some(to_proto::timestamp(SystemTime::now())),
            gpu_stats: self.context.latest_sample.borrow().as_ref().map(to_proto::gpu_stats),
        }
    }
}

impl StreamMessages for Watch {
    fn poll_message(&mut self, context: &mut TaskContext<'_>) -> Poll<Option<Result<StreamMessage, Status>>> {
        let other = |frame| Poll::Ready(Some(Ok(StreamMessage { frame, is_preview: false })));
        if let Some(created) = self.created.take() {
            return other(created);
        }
        if let Poll::Ready(event) = self.events.poll_event(context) {
            self.progress.restart();
            return Poll::Ready(event.map(|event| match event {
                Ok((event, is_preview)) => Ok(StreamMessage { frame: event.message(), is_preview }),
                Err(error) => Err(refuse(&error)),
            }));
        }
        ready!(self.progress.poll_due(context));
        other(message(&Encoded::<WatchJobResponse>::progress(&self.progress())))
    }
}

/// Ready whenever nothing was sent for an interval.
struct ProgressTimer {
    interval: Duration,
    /// Reset only when it expires: a reset costs more than all other work for an event, and events are frequent.
    sleep: Pin<Box<Sleep>>,
    /// The waker registered with `sleep`. It is not polled again for the same task, which would cost as much as a reset.
    waker: Option<Waker>,
    /// When the last message was sent.
    sent: Instant,
}

impl ProgressTimer {
    fn new(interval: Duration) -> Self {
        Self { interval, sleep: Box::pin(tokio::time::sleep(interval)), waker: None, sent: Instant::now() }
    }

    /// Counts the interval from now on.
    fn restart(&mut self) {
        self.sent = Instant::now();
    }

    fn poll_due(&mut self, context: &mut TaskContext<'_>) -> Poll<()> {
        let is_registered = self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_registered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        if !is_registered {
            self.waker = Some(context.waker().clone());
        }
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let now = Instant::now();
            let due = self.sent + self.interval;
            if due <= now {
                self.sent = now;
                self.sleep.as_mut().reset(now + self.interval);
                // The next poll registers the task again.
                self.waker = None;
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_is_due_an_interval_after_the_last_message() {
        let interval = Duration::from_secs(5);
        let (begun, mut timer) = (Instant::now(), ProgressTimer::new(interval));
        let seconds = |since: Instant| since.elapsed().as_secs_f64().round() as u64;
        poll_fn(|context| timer.poll_due(context)).await;
        assert_eq!(seconds(begun), 5);
        // Polled once before the message, so that the task is registered with the old time.
        assert!(poll_fn(|context| Poll::Ready(timer.poll_due(context))).await.is_pending());
        tokio::time::advance(Duration::from_secs(3)).await;
        timer.restart();
        poll_fn(|context| timer.poll_due(context)).await;
        assert_eq!(seconds(begun), 13);
        poll_fn(|context| timer.poll_due(context)).await;
        assert_eq!(seconds(begun), 18);
    }

    #[tokio::test(start_paused = true)]
    async fn the_task_that_polled_last_is_woken() {
        let mut timer = ProgressTimer::new(Duration::from_secs(5));
        assert!(timer.poll_due(&mut TaskContext::from_waker(Waker::noop())).is_pending());
        let due = tokio::spawn(async move { poll_fn(|context| timer.poll_due(context)).await });
        tokio::time::timeout(Duration::from_secs(6), due).await.expect("in time").expect("no panic");
    }
}
