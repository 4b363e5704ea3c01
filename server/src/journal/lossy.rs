//! The newest lossy events, bounded in number and bytes.

use std::collections::VecDeque;

use super::entry::Entry;
use crate::event::{EventBody, EventClass};

/// Most previews that wait for readers: two for each picture of a large batch.
pub(crate) const PREVIEWS_MAX: usize = 32;
/// Most bytes of previews that wait for readers; a single larger one is kept nevertheless.
pub(crate) const PREVIEW_BYTES_MAX: usize = 2 * 1024 * 1024;

/// What a lossy event replaces: an older one of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossyKind {
    QueuePosition,
    Sample,
    Preview,
}

impl LossyKind {
    /// The kind of an event that newer ones may replace; `None` for one that is never lost. A queue position is lossy
    /// except for the one that directly follows `accepted`.
    pub(super) fn of(body: &EventBody, sequence: u64) -> Option<Self> {
        match body {
            EventBody::Preview(_) => Some(Self::Preview),
            EventBody::Queued { .. } if sequence > 1 => Some(Self::QueuePosition),
            _ if body.class() == EventClass::Lossy => Some(Self::Sample),
            _ => None,
        }
    }
}

/// The newest lossy events, by sequence number.
#[derive(Debug, Default)]
pub(super) struct LossyEvents {
    entries: VecDeque<(LossyKind, Entry)>,
    preview_bytes: usize,
}

impl LossyEvents {
    /// Adds an event and drops those that it replaces.
    pub(super) fn push(&mut self, kind: LossyKind, entry: Entry) {
        if kind == LossyKind::Preview {
            let bytes = entry.frame.event_bytes();
            let mut previews = self.entries.iter().filter(|(kind, _)| *kind == LossyKind::Preview).count();
            while previews > 0 && (previews >= PREVIEWS_MAX || self.preview_bytes + bytes > PREVIEW_BYTES_MAX) {
                let oldest = self.entries.iter().position(|(kind, _)| *kind == LossyKind::Preview);
                let Some((_, dropped)) = oldest.and_then(|oldest| self.entries.remove(oldest)) else { break };
                self.preview_bytes -= dropped.frame.event_bytes();
                previews -= 1;
            }
            self.preview_bytes += bytes;
        } else {
            self.entries.retain(|(kept, _)| *kept != kind);
        }
        self.entries.push_back((kind, entry));
    }

    /// The first event from a sequence number on.
    pub(super) fn first_from(&self, sequence: u64) -> Option<&Entry> {
        let index = self.entries.partition_point(|(_, entry)| entry.sequence < sequence);
        self.entries.get(index).map(|(_, entry)| entry)
    }

    #[cfg(test)]
    pub(super) fn preview_bytes(&self) -> usize {
        self.preview_bytes
    }
}
