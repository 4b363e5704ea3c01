//! What gateways and workers do, in the order of the crate's documentation, and a job as such.

use std::ops::ControlFlow;
use std::time::Duration;

use sakuga_fleet::{Attempt, Begun, Claim, DeadLetter, Fleet, FleetError, Phase, Tail, Taken, WorkItem};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{Accepted, Completed, GenerateEvent, Job, JobState, Started, Step};
use sakuga_proto::internal::store::v1::JobRecord;
use sakuga_proto::text::count;

/// The attempts of a job.
pub(crate) const ATTEMPTS_MAX: u32 = 3;

/// A job's record as a gateway creates it.
pub(crate) fn record(job: &str) -> JobRecord {
    let job = Job { job_id: job.to_owned(), attempt: 1, next_sequence: 1, ..Job::default() };
    JobRecord { job: Some(Job { state: JobState::Queued.into(), ..job }), ..JobRecord::default() }
}

/// The event `accepted` of a job.
pub(crate) fn accepted(job: &str) -> GenerateEvent {
    GenerateEvent { job_id: job.to_owned(), event: Some(Event::Accepted(Accepted::default())), ..Default::default() }
}

/// The item of work of a job's first attempt.
pub(crate) fn item(job: &str) -> WorkItem {
    WorkItem { job: job.to_owned(), attempt: 1, model: "anime".into(), class: "normal".into() }
}

/// A gateway accepts a job, of a call without a `request_id` if that is empty. Returns the id of the job that the call means.
pub(crate) async fn create(gateway: &Fleet, job: &str, request_id: &str) -> Result<String, FleetError> {
    if !request_id.is_empty()
        && let Claim::Taken { job: earlier, revision } = gateway.claims.claim(request_id.as_bytes(), job).await?
    {
        if gateway.records.get(&earlier).await?.is_some() {
            return Ok(earlier);
        }
        gateway.claims.replace(request_id.as_bytes(), job, revision).await?;
    }
    gateway.log.append(&mut Tail::before_first(job), &accepted(job)).await?;
    gateway.records.create(job, &record(job)).await?;
    Ok(job.to_owned())
}

/// Brings a job's record up to an event.
pub(crate) async fn follow_event(fleet: &Fleet, tail: &Tail) -> Result<(), FleetError> {
    let change = |record: &mut JobRecord| {
        let job = record.job.get_or_insert_default();
        if job.next_sequence > tail.next_sequence() {
            return ControlFlow::Break(());
        }
        (job.next_sequence, job.attempt) = (tail.next_sequence(), tail.attempt);
        job.set_state(match tail.phase {
            Phase::Waiting => JobState::Queued,
            Phase::Running => JobState::Running,
            Phase::Ended => JobState::Completed,
        });
        ControlFlow::Continue(())
    };
    fleet.records.change(&tail.job, change).await.map(drop)
}

/// Draws a job of some steps and confirms its item. Returns whether this worker ended the job.
pub(crate) async fn work(worker: &Fleet, taken: Taken, steps: u32, step: Duration) -> Result<bool, FleetError> {
    let job = taken.item.job.clone();
    let begun = Attempt::begin(&worker.log, &job, (taken.item.attempt, taken.delivery), ATTEMPTS_MAX).await?;
    let has_ended = match begun {
        Begun::Attempt(mut attempt) => match draw(&mut attempt, steps, step).await {
            Ok(()) => {
                follow_event(worker, attempt.tail()).await?;
                true
            }
            Err(FleetError::Superseded { .. }) => return Ok(false),
            Err(error) => return Err(error),
        },
        Begun::Superfluous => false,
        Begun::Ended => {
            // The worker that ended it may have died before its record followed.
            if let Some(tail) = worker.log.tail(&job).await? {
                follow_event(worker, &tail).await?;
            }
            false
        }
        Begun::Exhausted { mut attempt, attempts } => {
            let reason = format!("{} died with it", count(attempts as usize, "worker"));
            worker.dead.put(&DeadLetter::about(&taken.item, attempts, "worker", &reason)).await?;
            let status = tonic_types::pb::Status { message: reason, ..Default::default() };
            attempt.publish(Event::Failed(status)).await?;
            follow_event(worker, attempt.tail()).await?;
            true
        }
    };
    taken.done().await?;
    Ok(has_ended)
}

async fn draw(attempt: &mut Attempt, steps: u32, step: Duration) -> Result<(), FleetError> {
    attempt.publish(Event::Started(Started::default())).await?;
    for index in 1..=steps {
        tokio::time::sleep(step).await;
        attempt.publish(Event::Step(Step { index, ..Step::default() })).await?;
    }
    attempt.publish(Event::Completed(Completed::default())).await.map(drop)
}

/// The names of a job's stored events.
pub(crate) async fn names(fleet: &Fleet, job: &str) -> Vec<&'static str> {
    let events = fleet.log.read(job).await.unwrap_or_else(|error| panic!("{error}"));
    events.iter().map(|stored| name(&stored.event)).collect()
}

pub(crate) fn name(event: &GenerateEvent) -> &'static str {
    match &event.event {
        Some(Event::Accepted(_)) => "accepted",
        Some(Event::Started(_)) => "started",
        Some(Event::Step(_)) => "step",
        Some(Event::Requeued(_)) => "requeued",
        Some(Event::Completed(_)) => "completed",
        Some(Event::Failed(_)) => "failed",
        _ => "another",
    }
}
