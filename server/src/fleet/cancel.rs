//! Cancels a job of a fleet wherever it is.

use std::time::SystemTime;

use sakuga_fleet::{Asked, Fleet, FleetError, LOSSY_NUMBERS, Phase};
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{CancelReason, Cancelled, GenerateEvent};

use super::record;

/// How often it is tried while a worker takes the job, or loses it.
const TRIES: u32 = 16;

/// Cancels a job unless it has ended. A job without a worker ends at once, also one whose worker was lost; the worker of a running one
/// ends it at its next step.
///
/// # Errors
///
/// [`FleetError`]; the call may be repeated.
pub(super) async fn cancel(fleet: &Fleet, job: &str, reason: CancelReason) -> Result<(), FleetError> {
    for _ in 0..TRIES {
        let Some(mut tail) = fleet.log.tail(job).await? else { return Ok(()) };
        let sequence = match tail.phase {
            Phase::Ended => return Ok(()),
            Phase::Waiting => tail.next_sequence(),
            Phase::Running => match fleet.cancels.ask(job, reason.as_str_name()).await? {
                Asked::Cancelling => return Ok(()),
                // Behind the numbers that the lost worker may have used.
                Asked::NoWorker => tail.next_sequence() + LOSSY_NUMBERS,
            },
        };
        let event = GenerateEvent {
            sequence,
            time: Some(SystemTime::now().into()),
            job_id: job.to_owned(),
            event: Some(Event::Cancelled(Cancelled { at_step: 0, reason: reason.into() })),
        };
        match fleet.log.append(&mut tail, &event).await {
            Ok(()) => return record::follow(fleet, &event).await.map(drop),
            // A worker was faster: it has begun the job, or ended it.
            Err(FleetError::Superseded { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(FleetError::Conflict(format!("job {job}")))
}
