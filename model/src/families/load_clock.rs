//! How long each part of a checkpoint took to load.

use std::time::Instant;

use crate::checkpoint::LoadReport;

/// Times parts that are loaded one after the other.
pub(crate) struct LoadClock {
    start: Instant,
    part: Instant,
}

impl LoadClock {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { start: now, part: now }
    }

    /// The report of a part that is loaded now, since the one before was.
    pub(crate) fn stamp(&mut self, report: LoadReport) -> LoadReport {
        let now = Instant::now();
        let stamped = LoadReport { begin: self.part - self.start, duration: now - self.part, ..report };
        self.part = now;
        stamped
    }
}
