//! The order in which a job's events may come.

use crate::event::{EventBody, EventClass};

/// The progress of a job, as far as it determines which events may follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(super) enum JobPhase {
    #[default]
    Waiting,
    Running,
    /// Chunks of the pictures are being published.
    Sending,
    /// The terminal event was published.
    Ended,
    /// The server shuts down before the job's end: this process publishes nothing more.
    Sealed,
}

impl JobPhase {
    /// Whether an event may come in this phase: nothing after the terminal event, statistics and previews only between
    /// `started` and the first chunk of a picture. `is_first`: no event has come before it.
    pub(super) fn is_valid_transition(self, body: &EventBody, is_first: bool) -> bool {
        match (body, body.class()) {
            (_, EventClass::Terminal) | (EventBody::Requeued { .. }, _) => self < Self::Ended,
            (_, EventClass::Lossy) | (EventBody::Step { .. } | EventBody::Stage { .. } | EventBody::Profile(_), _) => {
                self == Self::Running
            }
            (EventBody::Accepted { .. }, _) => is_first,
            (EventBody::Queued { .. } | EventBody::Started { .. }, _) => self == Self::Waiting,
            (_, EventClass::State) => matches!(self, Self::Running | Self::Sending),
        }
    }

    /// The phase once `body` has been published.
    pub(super) fn after(self, body: &EventBody) -> Self {
        match body {
            EventBody::Started { .. } => Self::Running,
            EventBody::ImageChunk { .. } => Self::Sending,
            EventBody::Requeued { .. } => Self::Waiting,
            _ if body.class() == EventClass::Terminal => Self::Ended,
            _ => self,
        }
    }
}
