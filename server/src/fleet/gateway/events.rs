//! The events of a job for one reader: the stored ones in order and without a gap, and previews and samples in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sakuga_fleet::{FleetError, Watching};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{CancelReason, GenerateEvent, ImageChunk, Job};
use tokio::sync::mpsc;

use super::Gateway;
use crate::error::ServerError;
use crate::fleet::cancel::cancel;
use crate::fleet::error::to_server;
use crate::fleet::piece::Piece;
use crate::jobs::JobPolicy;
use crate::store::StoreError;

/// Events that wait for a reader. A slow one reads later; nothing of it is lost.
const WAITING: usize = 8;
/// Previews and samples that wait for the stored event before them.
const HELD: usize = 64;
/// How often it is looked whether a job without new events was deleted.
const LOOK: Duration = Duration::from_secs(30);

/// How long NATS has to notice that a reader has gone.
const LEAVE: Duration = Duration::from_millis(200);

/// The events of a job. Dropping it ends the reading.
pub(super) type Events = mpsc::Receiver<Result<GenerateEvent, ServerError>>;

/// Reads the events of a job from a sequence number on, until its terminal event or the first error. A job that ends with its last
/// reader is cancelled if this was the last one on all gateways.
pub(super) fn read(gateway: Arc<Gateway>, job: Job, start: u64) -> Events {
    let (sender, events) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let read = tokio::select! {
            biased;
            () = sender.closed() => Ok(End::Gone),
            () = gateway.closing.cancelled() => Err(ServerError::ShuttingDown),
            read = follow(&gateway, &job, start, &sender) => read,
        };
        match read {
            Ok(End::Terminal) => {}
            Ok(End::Gone) => {
                drop(sender);
                unwatched(&gateway, &job).await;
            }
            // The reader may have gone meanwhile.
            Err(error) => _ = sender.send(Err(error)).await,
        }
    });
    events
}

enum End {
    /// The terminal event was sent.
    Terminal,
    /// The reader has gone.
    Gone,
}

async fn follow(
    gateway: &Gateway,
    job: &Job,
    start: u64,
    sender: &mpsc::Sender<Result<GenerateEvent, ServerError>>,
) -> Result<End, ServerError> {
    let (fleet, id) = (&gateway.fleet, job.job_id.as_str());
    let mut watching = match job.options.is_some_and(|options| options.cancel_on_disconnect) {
        true => Some(fleet.watchers.watch(id).await.map_err(to_server)?),
        false => None,
    };
    let mut order = Order::new(start);
    let mut live = fleet.live.subscribe(id).await.map_err(to_server)?;
    if job.end_time.is_none() {
        for image_index in 0..job.request.as_ref().map_or(0, |request| request.images) {
            // A preview less is no error.
            if let Ok(Some(preview)) = fleet.live.last(id, image_index).await {
                order.hold(preview);
            }
        }
    }
    let mut follower = fleet.log.follow(id);
    loop {
        let events = tokio::select! {
            biased;
            stored = follower.next() => match stored {
                Ok(Some(stored)) => order.stored(stored.event),
                Ok(None) => return Ok(End::Terminal),
                // The call continues after the last event.
                Err(error @ FleetError::Nats { .. }) => {
                    tracing::warn!(job_id = id, %error, "events are read again");
                    continue;
                }
                Err(error) => return Err(to_server(error)),
            },
            Some(lossy) = live.next() => order.lossy(lossy).into_iter().collect(),
            () = state_reader(&mut watching) => continue,
            () = tokio::time::sleep(LOOK) => {
                if gateway.index.has(id) { continue }
                return Err(ServerError::UnknownJob(id.to_owned()));
            }
        };
        for mut event in events {
            if let Some(Event::ImageChunk(chunk)) = &mut event.event {
                fill(gateway, id, chunk).await?;
            }
            if sender.send(Ok(event)).await.is_err() {
                return Ok(End::Gone);
            }
        }
    }
}

/// States that the job has a reader, if that matters. Never returns.
async fn state_reader(watching: &mut Option<Watching>) {
    match watching {
        Some(watching) => watching.answer().await,
        None => std::future::pending().await,
    }
}

/// Puts the bytes of a piece into its event.
async fn fill(gateway: &Gateway, job: &str, chunk: &mut ImageChunk) -> Result<(), ServerError> {
    let damaged = || ServerError::Store(StoreError::Damaged("a piece of a picture has no file".into()).of_job(job));
    let Piece { sha256, len } = Piece::of(chunk).ok_or_else(damaged)?;
    let range = chunk.offset..chunk.offset.saturating_add(len);
    chunk.data = gateway.objects.of_job(job).get(&sha256, range).await.map_err(to_server)?;
    Ok(())
}

/// Cancels a job that ends with its last reader, after its grace, unless a reader came back on any gateway.
async fn unwatched(gateway: &Gateway, job: &Job) {
    let Some(grace) = JobPolicy::read(&job.options.unwrap_or_default()).grace else { return };
    tokio::time::sleep(grace.max(LEAVE)).await;
    match gateway.fleet.watchers.is_watched(&job.job_id).await {
        Ok(false) => {
            if let Err(error) = cancel(&gateway.fleet, &job.job_id, CancelReason::ClientGone).await {
                tracing::warn!(job_id = job.job_id, %error, "a job without a reader is cancelled later");
            }
        }
        Ok(true) => {}
        // The gateway that schedules finds it.
        Err(error) => tracing::warn!(job_id = job.job_id, %error, "it is not known whether a job has a reader"),
    }
}

/// The order of the events of a job. Stored events come in order; previews and samples come by another way, sooner or later, and have
/// numbers between those of the stored ones.
struct Order {
    /// Every event below this number was returned, or is not wanted.
    next: u64,
    /// The events that were returned end below this number without a gap: nothing stored is missing before it.
    whole: Option<u64>,
    held: BTreeMap<u64, GenerateEvent>,
}

impl Order {
    fn new(start: u64) -> Self {
        Self { next: start, whole: None, held: BTreeMap::new() }
    }

    /// The events that a stored one completes, itself last.
    fn stored(&mut self, event: GenerateEvent) -> Vec<GenerateEvent> {
        let sequence = event.sequence;
        let later = self.held.split_off(&sequence);
        let before = std::mem::replace(&mut self.held, later);
        self.held.remove(&sequence);
        self.whole = Some(sequence + 1);
        let wanted = before.into_values().chain([event]).filter(|event| event.sequence >= self.next);
        let mut events: Vec<GenerateEvent> = wanted.collect();
        if let Some(last) = events.last() {
            self.next = last.sequence + 1;
        }
        events.extend(self.ready());
        events
    }

    /// The events that a preview or sample completes: itself if nothing stored can be missing before it.
    fn lossy(&mut self, event: GenerateEvent) -> Vec<GenerateEvent> {
        self.hold(event);
        self.ready()
    }

    fn hold(&mut self, event: GenerateEvent) {
        if event.sequence < self.next || self.whole.is_some_and(|whole| event.sequence < whole) {
            return;
        }
        self.held.insert(event.sequence, event);
        if self.held.len() > HELD {
            self.held.pop_first();
        }
    }

    /// The held events that follow the returned ones without a gap.
    fn ready(&mut self) -> Vec<GenerateEvent> {
        let mut ready = Vec::new();
        while let Some(whole) = self.whole
            && let Some(event) = self.held.remove(&whole)
        {
            self.whole = Some(whole + 1);
            if event.sequence >= self.next {
                self.next = event.sequence + 1;
                ready.push(event);
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(sequence: u64) -> GenerateEvent {
        GenerateEvent { sequence, ..GenerateEvent::default() }
    }

    fn numbers(events: Vec<GenerateEvent>) -> Vec<u64> {
        events.iter().map(|event| event.sequence).collect()
    }

    #[test]
    fn a_preview_waits_for_the_stored_event_before_it() {
        let mut order = Order::new(0);
        assert!(order.lossy(event(2)).is_empty(), "0 and 1 may be stored");
        assert_eq!(numbers(order.stored(event(0))), [0]);
        assert_eq!(numbers(order.stored(event(1))), [1, 2]);
        assert_eq!(numbers(order.lossy(event(3))), [3]);
        assert!(order.lossy(event(5)).is_empty(), "4 may be stored");
        assert!(order.lossy(event(3)).is_empty(), "each once");
        assert_eq!(numbers(order.stored(event(6))), [5, 6]);
        assert!(order.lossy(event(4)).is_empty(), "it comes too late");
    }

    #[test]
    fn a_reader_continues_after_its_last_event() {
        let mut order = Order::new(3);
        order.hold(event(2));
        order.hold(event(4));
        assert!(order.stored(event(0)).is_empty() && order.stored(event(1)).is_empty());
        assert_eq!(numbers(order.stored(event(3))), [3, 4]);
        assert_eq!(numbers(order.stored(event(5))), [5]);
    }

    #[test]
    fn the_previews_that_wait_are_bounded() {
        let mut order = Order::new(0);
        (1..1000).for_each(|number| assert!(order.lossy(event(2 * number)).is_empty()));
        assert_eq!(order.held.len(), HELD);
    }
}
