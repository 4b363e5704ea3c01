//! [`Limit`]: the range of one field of a request.

use std::fmt::{self, Display};

use crate::SamplingFault;

/// The values that one field of a request may have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit<T> {
    /// The field as `sakuga.generation.v1.GenerateRequest` names it, such as `sampling.steps`.
    pub field: &'static str,
    /// The smallest value.
    pub min: T,
    /// The largest value.
    pub max: T,
}

impl<T: PartialOrd + Copy> Limit<T> {
    /// Whether the value is in the range; false for NaN.
    pub fn contains(&self, value: T) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

impl<T: PartialOrd + Copy + Display> Limit<T> {
    /// The message for a value outside of the range.
    pub(crate) fn fault(&self, value: T) -> Option<SamplingFault> {
        let text = || format!("{value} is out of range; use {self}");
        (!self.contains(value)).then(|| SamplingFault { field: self.field, text: text() })
    }
}

impl<T: Display> Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.min, self.max)
    }
}

/// Intervals between noise and image.
pub const STEPS: Limit<u32> = Limit { field: "sampling.steps", min: 1, max: 200 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_include_both_ends_and_no_nan() {
        let limit = Limit { field: "x", min: 0.1_f32, max: 20.0 };
        assert!(limit.contains(0.1) && limit.contains(20.0));
        assert!(!limit.contains(0.09) && !limit.contains(20.1) && !limit.contains(f32::NAN));
        assert_eq!(limit.to_string(), "0.1 to 20");
    }
}
