//! [`JobEventEncoder`]: encodes a job's events as messages of the API and keeps its record up to date.

use bytes::Bytes;
use prost::Message as _;
use sakuga_proto::generation::v1::{self as generation, generate_event};

use super::record::Record;
use crate::event::Event;
use crate::journal::EventEncoder;
use crate::wire::to_proto::{self, JobContext};

/// Encodes a job's events as messages of the API and keeps its record up to date.
pub(super) struct JobEventEncoder {
    context: JobContext,
    record: Record,
}

impl JobEventEncoder {
    pub(super) fn new(context: JobContext, record: Record) -> Self {
        Self { context, record }
    }

    /// Applies an event to the record; returns whether it changed.
    fn update_record(&mut self, event: &generation::GenerateEvent) -> bool {
        let job = self.record.job_mut();
        match &event.event {
            Some(generate_event::Event::Started(_)) => {
                job.set_state(generation::JobState::Running);
                job.start_time = event.time;
            }
            Some(generate_event::Event::Requeued(requeued)) => {
                job.set_state(generation::JobState::Queued);
                job.start_time = None;
                job.attempt = requeued.attempt;
            }
            Some(generate_event::Event::Completed(completed)) => {
                job.set_state(generation::JobState::Completed);
                job.images.clone_from(&completed.images);
            }
            Some(generate_event::Event::Failed(error)) => {
                job.set_state(generation::JobState::Failed);
                job.error = Some(error.clone());
            }
            Some(generate_event::Event::Cancelled(cancelled)) => {
                job.set_state(generation::JobState::Cancelled);
                job.cancelled = Some(*cancelled);
            }
            Some(generate_event::Event::Accepted(_)) => {}
            _ => return false,
        }
        job.next_sequence = event.sequence + 1;
        if is_terminal(job.state()) {
            job.end_time = event.time;
        }
        true
    }
}

fn is_terminal(state: generation::JobState) -> bool {
    use generation::JobState;
    matches!(state, JobState::Completed | JobState::Failed | JobState::Cancelled)
}

impl EventEncoder for JobEventEncoder {
    fn encode(&mut self, event: Event) -> (Bytes, Option<Vec<u8>>) {
        let message = to_proto::event(&self.context, event);
        let record = self.update_record(&message).then(|| self.record.encode());
        (message.encode_to_vec().into(), record)
    }
}
