//! The record of a job follows its events.

use std::ops::ControlFlow;

use sakuga_fleet::{Fleet, FleetError, Revised};
use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_proto::internal::store::v1::JobRecord;

use crate::jobs::Record;

/// Brings a record up to events; returns whether that changed it.
fn apply<'a>(stored: &mut JobRecord, events: impl IntoIterator<Item = &'a GenerateEvent>) -> bool {
    let mut record = Record::of_message(std::mem::take(stored));
    let mut is_changed = false;
    for event in events {
        is_changed |= event.sequence >= record.next_sequence() && record.apply(event);
    }
    *stored = record.message().clone();
    is_changed
}

/// Brings the record of a job up to an event that was appended. Other writers may do so at the same time.
///
/// # Errors
///
/// [`FleetError`]; the next reader of the record brings it up.
pub(super) async fn follow(fleet: &Fleet, event: &GenerateEvent) -> Result<Option<Revised>, FleetError> {
    let change = |stored: &mut JobRecord| match apply(stored, [event]) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    fleet.records.change(&event.job_id, change).await
}

/// The record of a job as its events have it, also if the worker that appended the last of them died before it changed the record;
/// `None` if there is no such job.
///
/// # Errors
///
/// [`FleetError`].
pub(super) async fn read(fleet: &Fleet, job: &str) -> Result<Option<Revised>, FleetError> {
    let Some(mut read) = fleet.records.get(job).await? else { return Ok(None) };
    if read.record.job.as_ref().is_some_and(|job| job.end_time.is_some()) {
        return Ok(Some(read));
    }
    let Some(tail) = fleet.log.tail(job).await? else { return Ok(Some(read)) };
    let next = read.record.job.as_ref().map_or(0, |job| job.next_sequence);
    if tail.next_sequence() > next {
        let events = fleet.log.read(job).await?;
        if apply(&mut read.record, events.iter().map(|stored| &stored.event)) {
            // For readers of the index. If another writer is first, it has done the same.
            match fleet.records.update(job, &read.record, read.revision).await {
                Ok(revision) => read.revision = revision,
                Err(error) => tracing::debug!(job_id = job, %error, "a record follows later"),
            }
        }
        if let Some(job) = &mut read.record.job {
            job.next_sequence = job.next_sequence.max(tail.next_sequence());
        }
    }
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::generate_event::Event;
    use sakuga_proto::generation::v1::{Completed, Job, JobState, Requeued, Started};

    use super::*;

    fn event(sequence: u64, event: Event) -> GenerateEvent {
        GenerateEvent { sequence, job_id: "job".into(), event: Some(event), ..GenerateEvent::default() }
    }

    #[test]
    fn a_record_follows_each_event_once() {
        let mut stored =
            JobRecord { job: Some(Job { job_id: "job".into(), ..Job::default() }), ..JobRecord::default() };
        let events = [
            event(1, Event::Started(Started::default())),
            event(2, Event::Requeued(Requeued { attempt: 2 })),
            event(3, Event::Started(Started::default())),
        ];
        assert!(apply(&mut stored, &events));
        let job = |stored: &JobRecord| stored.job.clone().expect("a job");
        assert_eq!((job(&stored).state(), job(&stored).attempt, job(&stored).next_sequence), (JobState::Running, 2, 4));
        assert!(!apply(&mut stored, &events), "a second time changes nothing");
        assert!(apply(&mut stored, [&event(9, Event::Completed(Completed::default()))]));
        assert_eq!(job(&stored).state(), JobState::Completed);
    }
}
