//! What is wrong with the numbers of a request's sampling.

use std::fmt;

/// A number of [`Sampling`](crate::Sampling) that cannot be used, and what to use instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SamplingFault {
    /// The field, as [`SamplingNumber::limit`](crate::SamplingNumber::limit) names it.
    pub field: &'static str,
    /// What is wrong with it, such as `0.5 is out of range; use 1 to 30`.
    pub text: String,
}

impl fmt::Display for SamplingFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.text)
    }
}
