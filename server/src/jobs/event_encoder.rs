//! [`JobEventEncoder`]: encodes a job's events as messages of the API and keeps its record up to date.

use bytes::Bytes;
use prost::Message as _;

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
}

impl EventEncoder for JobEventEncoder {
    fn encode(&mut self, event: Event) -> (Bytes, Option<Vec<u8>>) {
        let message = to_proto::event(&self.context, event);
        let record = self.record.apply(&message).then(|| self.record.encode());
        (message.encode_to_vec().into(), record)
    }

    fn set_labels(&mut self, labels: Vec<String>) -> Vec<u8> {
        self.record.set_labels(labels);
        self.record.encode()
    }
}
