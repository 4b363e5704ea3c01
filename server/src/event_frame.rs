//! [`EventFrame`]: an encoded event as a stream sends it.

use bytes::Bytes;

/// An encoded event within the message of a stream that watches a job. It is encoded once; clones share the bytes, so all such streams
/// send the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventFrame {
    frame: Bytes,
    /// Bytes of the event, which is the end of the frame.
    event_bytes: usize,
}

impl EventFrame {
    /// The message, of which the last `event_bytes` bytes are the event.
    pub(crate) fn new(frame: Bytes, event_bytes: usize) -> Self {
        debug_assert!(event_bytes <= frame.len());
        Self { frame, event_bytes }
    }

    /// The encoded event.
    pub(crate) fn event(&self) -> Bytes {
        self.frame.slice(self.frame.len() - self.event_bytes..)
    }

    /// Bytes of the encoded event.
    pub(crate) fn event_bytes(&self) -> usize {
        self.event_bytes
    }

    /// The message of a stream that watches the job, shared by all of them.
    pub(crate) fn message(&self) -> Bytes {
        self.frame.clone()
    }
}
