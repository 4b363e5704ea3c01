//! Why a run cannot be read, or its results cannot be drawn.

/// Why a run cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The text is not a record of `sakuga bench`.
    #[error("it is not a record of `sakuga bench`: {0}")]
    NotARecord(String),
    /// The record has another version.
    #[error("it has the format `{found}`, and this program reads `{known}`")]
    Version {
        /// The format that the record names.
        found: String,
        /// The format that this program reads.
        known: &'static str,
    },
    /// A value of the record is beyond what a measurement can give.
    #[error("the run cannot be used: {0}")]
    Value(String),
    /// A line of an event log is not an event.
    #[error("line {line} is not an event: {reason}")]
    Event {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The event log ends before the job was completed.
    #[error("its job was not completed")]
    NotCompleted,
    /// A chart could not be drawn. Charts are text in memory, so this is a fault of this program.
    #[error("cannot draw the chart {name}: {reason}")]
    Chart {
        /// The chart.
        name: String,
        /// What went wrong.
        reason: String,
    },
}
