//! [`Attempt`]: one worker's claim on a job, and the fence against workers that are late.

use std::time::SystemTime;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{GenerateEvent, Requeued};

use crate::error::FleetError;
use crate::log::EventLog;
use crate::tail::{Phase, Tail};

/// Sequence numbers after the last stored event that previews and samples may use. The next attempt continues behind them, so no
/// number is used twice.
pub const LOSSY_NUMBERS: u64 = 1024;

/// Deliveries for each allowed attempt after which a job is a dead letter although it never started: its workers die before that, or
/// returned it.
const DELIVERIES_PER_ATTEMPT: u64 = 8;

/// One worker's claim on a job. It ends when another attempt or the terminal event is appended: then every call fails with
/// [`FleetError::Superseded`] and changes nothing.
#[derive(Debug)]
pub struct Attempt {
    log: EventLog,
    tail: Tail,
    /// The first number that neither a stored event nor a lossy one of this attempt has.
    next: u64,
}

/// What a worker does with an item of work.
#[derive(Debug)]
pub enum Begun {
    /// Draws the job.
    Attempt(Attempt),
    /// Nothing: another worker has it, or the item was published twice. The item is removed.
    Superfluous,
    /// Nothing: the job has ended or was deleted. The item is removed.
    Ended,
    /// Ends the job as failed and keeps it as a dead letter: `attempts` workers began it and were lost, or many were lost before they began.
    Exhausted {
        /// For the terminal event.
        attempt: Attempt,
        /// How many attempts were made.
        attempts: u32,
    },
}

impl Attempt {
    /// Claims the job of an item of work. If the job runs and the item was delivered before, its worker was silent for too long: the
    /// event `requeued` supersedes that worker's attempt. `delivery` is [`Taken::delivery`](crate::Taken), `attempt` that of the item.
    ///
    /// # Errors
    ///
    /// [`FleetError`]. Then nothing was claimed, and the item is delivered again.
    pub async fn begin(
        log: &EventLog,
        job: &str,
        (attempt, delivery): (u32, u64),
        attempts_max: u32,
    ) -> Result<Begun, FleetError> {
        let Some(tail) = log.tail(job).await? else { return Ok(Begun::Ended) };
        let is_first_delivery = delivery <= 1;
        match tail.phase {
            Phase::Ended => Ok(Begun::Ended),
            Phase::Waiting if is_first_delivery && tail.attempt != attempt => Ok(Begun::Superfluous),
            Phase::Waiting if delivery > DELIVERIES_PER_ATTEMPT * u64::from(attempts_max) => {
                let attempts = tail.attempt;
                Ok(Begun::Exhausted { attempt: Self::after(log, tail), attempts })
            }
            Phase::Waiting => Ok(Begun::Attempt(Self::after(log, tail))),
            Phase::Running if is_first_delivery => Ok(Begun::Superfluous),
            Phase::Running => {
                let attempts = tail.attempt;
                let mut next = Self::after(log, tail);
                // Behind the numbers that the silent worker may have used.
                next.next += LOSSY_NUMBERS;
                if attempts >= attempts_max {
                    return Ok(Begun::Exhausted { attempt: next, attempts });
                }
                match next.publish(Event::Requeued(Requeued { attempt: attempts + 1 })).await {
                    Ok(_) => Ok(Begun::Attempt(next)),
                    // Another append came first: by the silent worker or by a third.
                    Err(FleetError::Superseded { .. }) => match log.tail(job).await? {
                        Some(tail) if tail.phase != Phase::Ended => Ok(Begun::Superfluous),
                        _ => Ok(Begun::Ended),
                    },
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn after(log: &EventLog, tail: Tail) -> Self {
        Self { log: log.clone(), next: tail.next_sequence(), tail }
    }

    /// The number of the attempt, from 1.
    pub fn number(&self) -> u32 {
        self.tail.attempt
    }

    /// The end of the job's events, as this attempt knows it.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Appends an event of the job and returns it. Returns once it is stored.
    ///
    /// # Errors
    ///
    /// As for [`EventLog::append`]. After [`FleetError::Superseded`] the worker stops and drops its results.
    pub async fn publish(&mut self, event: Event) -> Result<GenerateEvent, FleetError> {
        let event = GenerateEvent {
            sequence: self.next,
            time: Some(SystemTime::now().into()),
            job_id: self.tail.job.clone(),
            event: Some(event),
        };
        self.log.append(&mut self.tail, &event).await?;
        self.next = event.sequence + 1;
        Ok(event)
    }

    /// The sequence number of the next preview or sample, which is not stored; `None` if too many came since the last stored event,
    /// and this one is dropped.
    pub fn number_lossy(&mut self) -> Option<u64> {
        let number = self.next;
        if number >= self.tail.next_sequence() + LOSSY_NUMBERS {
            return None;
        }
        self.next += 1;
        Some(number)
    }
}
