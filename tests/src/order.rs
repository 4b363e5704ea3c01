//! The order of a job's events, as `event.proto` documents it, checked on the received events.

use sakuga_proto::generation::v1::GenerateEvent;
use sakuga_proto::generation::v1::generate_event::Event;

/// The phase of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Begin,
    Accepted,
    Queued,
    Running,
    Sending,
    Over,
}

/// Checks one job's events from its first to its last.
///
/// # Errors
///
/// The first thing that the contract does not allow.
pub fn check(events: &[GenerateEvent]) -> Result<(), String> {
    let mut phase = Phase::Begin;
    let mut steps_done = 0;
    let mut sequence = None;
    for event in events {
        let what = event.event.as_ref().ok_or_else(|| format!("event {} holds nothing", event.sequence))?;
        if sequence >= Some(event.sequence) || (sequence.is_none() && event.sequence != 0) {
            return Err(format!("sequence {} after {sequence:?}", event.sequence));
        }
        sequence = Some(event.sequence);
        if event.job_id.is_empty() || event.job_id != events[0].job_id {
            return Err(format!("event {} is of job {:?}", event.sequence, event.job_id));
        }
        if event.time.is_none() {
            return Err(format!("event {} has no time", event.sequence));
        }
        phase = next(phase, what).ok_or_else(|| format!("{} in phase {phase:?}", what.kind_name()))?;
        if let Event::Requeued(_) = what {
            steps_done = 0;
        }
        if let Event::Step(step) = what {
            steps_done += 1;
            if step.index != steps_done || step.index > step.total {
                return Err(format!("step {} of {} where {steps_done} is due", step.index, step.total));
            }
        }
    }
    if phase == Phase::Over { Ok(()) } else { Err(format!("the events end in phase {phase:?}")) }
}

/// The phase after an event; `None` if it may not come now.
fn next(phase: Phase, event: &Event) -> Option<Phase> {
    let (allowed, after) = match event {
        Event::Accepted(_) => (phase == Phase::Begin, Phase::Accepted),
        Event::Queued(_) => (matches!(phase, Phase::Accepted | Phase::Queued), Phase::Queued),
        Event::Requeued(_) => (phase > Phase::Begin && phase < Phase::Over, Phase::Queued),
        Event::Started(_) => (matches!(phase, Phase::Accepted | Phase::Queued), Phase::Running),
        Event::Stage(_) | Event::Step(_) | Event::Preview(_) | Event::GpuStats(_) | Event::Profile(_) => {
            (phase == Phase::Running, Phase::Running)
        }
        Event::ImageChunk(_) => (matches!(phase, Phase::Running | Phase::Sending), Phase::Sending),
        Event::Completed(_) => (phase == Phase::Sending, Phase::Over),
        Event::Failed(_) | Event::Cancelled(_) => (phase > Phase::Begin && phase < Phase::Over, Phase::Over),
    };
    allowed.then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_proto::generation::v1 as wire;

    fn job(events: Vec<Event>) -> Vec<GenerateEvent> {
        let number = |(sequence, event)| GenerateEvent {
            sequence: sequence as u64,
            time: Some(Default::default()),
            job_id: "job".into(),
            event: Some(event),
        };
        events.into_iter().enumerate().map(number).collect()
    }

    fn good() -> Vec<Event> {
        let step = |index| Event::Step(wire::Step { index, total: 2, ..Default::default() });
        vec![
            Event::Accepted(Default::default()),
            Event::Queued(Default::default()),
            Event::Started(Default::default()),
            Event::Stage(Default::default()),
            step(1),
            Event::Preview(Default::default()),
            Event::GpuStats(Default::default()),
            step(2),
            Event::Profile(Default::default()),
            Event::ImageChunk(Default::default()),
            Event::Completed(Default::default()),
        ]
    }

    #[test]
    fn the_documented_order_passes() {
        assert_eq!(check(&job(good())), Ok(()));
        let cancelled = vec![Event::Accepted(Default::default()), Event::Cancelled(Default::default())];
        assert_eq!(check(&job(cancelled)), Ok(()));
        // A reader that was too slow sees holes.
        let mut holed = job(good());
        holed.remove(5);
        assert_eq!(check(&holed), Ok(()));
    }

    #[test]
    fn any_two_neighbours_that_matter_cannot_be_swapped() {
        for first in [0, 1, 2, 8, 9] {
            let mut events = good();
            events.swap(first, first + 1);
            assert!(check(&job(events)).is_err(), "{first}");
        }
    }

    #[test]
    fn an_end_comes_once_and_last() {
        let mut twice = good();
        twice.push(Event::Failed(Default::default()));
        assert_eq!(check(&job(twice)), Err("failed in phase Over".into()));
        let mut never = good();
        never.pop();
        assert_eq!(check(&job(never)), Err("the events end in phase Sending".into()));
        assert!(check(&[]).is_err());
    }

    #[test]
    fn numbers_are_looked_at() {
        let mut events = job(good());
        events[4].sequence = 3;
        assert_eq!(check(&events), Err("sequence 3 after Some(3)".into()));
        let mut events = job(good());
        events[4].job_id = "another".into();
        assert!(check(&events).unwrap_err().contains("of job"));
        let mut events = good();
        events.remove(4);
        assert_eq!(check(&job(events)), Err("step 2 of 2 where 1 is due".into()));
    }
}
