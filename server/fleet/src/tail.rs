//! [`Tail`]: the end of a job's events, as the last one of them states it.

use async_nats::HeaderMap;
use sakuga_proto::generation::v1::generate_event::Event;

use crate::error::FleetError;

/// The sequence number of the job's event before, so that a missing one is noticed. Absent for the first.
pub(crate) const PREVIOUS: &str = "Sakuga-Previous";
/// The sequence number of the event, as in its payload.
pub(crate) const SEQUENCE: &str = "Sakuga-Sequence";
/// The attempt that the event belongs to.
pub(crate) const ATTEMPT: &str = "Sakuga-Attempt";
/// Whether the job waits, runs or has ended after the event.
pub(crate) const PHASE: &str = "Sakuga-Phase";
/// Identifies one call that appended an event, so that a lost answer is not taken for the event of another writer.
pub(crate) const WRITER: &str = "Sakuga-Writer";

/// Whether a job waits, runs or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// It has its terminal event.
    Ended,
}

impl Phase {
    /// The phase once this event has been appended.
    pub fn after(self, event: &Event) -> Self {
        match event {
            Event::Completed(_) | Event::Failed(_) | Event::Cancelled(_) => Self::Ended,
            Event::Started(_) => Self::Running,
            Event::Requeued(_) => Self::Waiting,
            _ => self,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Ended => "ended",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Ended].into_iter().find(|phase| phase.name() == name)
    }
}

/// The end of a job's events. An event is appended only after the tail that its writer knows: compare-and-set on the job's
/// subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The job.
    pub job: String,
    /// Where the last event is in the stream; 0 before the first. Numbers of the stream have holes for one job.
    pub position: u64,
    /// The sequence number of the last event; `None` before the first.
    pub sequence: Option<u64>,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// What the job does.
    pub phase: Phase,
}

impl Tail {
    /// Before the first event of a new job.
    pub fn before_first(job: &str) -> Self {
        Self { job: job.to_owned(), position: 0, sequence: None, attempt: 1, phase: Phase::Waiting }
    }

    /// The first sequence number that no stored event has.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.map_or(0, |sequence| sequence + 1)
    }

    /// The tail once the event of this sequence number is at this position.
    pub(crate) fn after(&self, event: &Event, sequence: u64, position: u64) -> Self {
        let attempt = match event {
            Event::Requeued(requeued) => requeued.attempt,
            _ => self.attempt,
        };
        let phase = self.phase.after(event);
        Self { job: self.job.clone(), position, sequence: Some(sequence), attempt, phase }
    }

    /// The headers of the event that makes this the tail after `before`.
    pub(crate) fn headers(&self, before: &Self, writer: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(previous) = before.sequence {
            headers.insert(PREVIOUS, previous.to_string());
        }
        headers.insert(SEQUENCE, self.next_sequence().saturating_sub(1).to_string());
        headers.insert(ATTEMPT, self.attempt.to_string());
        headers.insert(PHASE, self.phase.name());
        headers.insert(WRITER, writer);
        headers
    }

    /// The tail that the event at this position states.
    pub(crate) fn read(job: &str, position: u64, headers: &HeaderMap) -> Result<Self, FleetError> {
        let phase = headers.get(PHASE).and_then(|phase| Phase::parse(phase.as_str()));
        let attempt = number(headers, ATTEMPT).and_then(|attempt| u32::try_from(attempt).ok());
        match (number(headers, SEQUENCE), attempt, phase) {
            (Some(sequence), Some(attempt), Some(phase)) => {
                Ok(Self { job: job.to_owned(), position, sequence: Some(sequence), attempt, phase })
            }
            _ => Err(FleetError::Damaged(format!("the event of job {job} at {position} lacks its headers"))),
        }
    }
}

/// The number in a header; `None` without it.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.as_str().parse().ok()
}
