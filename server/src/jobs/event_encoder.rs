//! [`JobEventEncoder`]: encodes a job's events as messages of the API and keeps its record up to date.

use super::measurements::{self, Setup};
use super::record::Record;
use crate::event::{Event, EventBody};
use crate::event_frame::EventFrame;
use crate::journal::EventEncoder;
use crate::wire::frame;
use crate::wire::to_proto::{self, JobContext};

/// Encodes a job's events as messages of the API and keeps its record up to date.
pub(super) struct JobEventEncoder {
    context: JobContext,
    record: Record,
    /// Precision and model, for the measurements of the job.
    setup: Setup,
}

impl JobEventEncoder {
    pub(super) fn new(context: JobContext, record: Record, setup: Setup) -> Self {
        Self { context, record, setup }
    }
}

impl EventEncoder for JobEventEncoder {
    fn encode(&mut self, event: Event) -> (EventFrame, Option<Vec<u8>>) {
        if let EventBody::Started { device } = &event.body {
            self.context.set_device(device);
        }
        if let EventBody::Completed { measured, .. } = &event.body {
            let stored = measurements::to_stored(measured, &self.setup, &self.context.device);
            self.record.set_measurements(stored);
        }
        let message = to_proto::event(&self.context, event);
        let record = self.record.apply(&message).then(|| self.record.encode());
        (frame::of_event(message), record)
    }

    fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8> {
        self.record.set_labels(labels);
        self.record.encode()
    }
}
