//! The classes of the work queue: one for each priority.

use crate::job::Priority;

/// All classes, the most urgent first.
pub(super) const CLASSES: [&str; 3] = ["high", "normal", "low"];

/// The class of a priority.
pub(super) fn class(priority: Priority) -> &'static str {
    match priority {
        Priority::High => CLASSES[0],
        Priority::Normal => CLASSES[1],
        Priority::Low => CLASSES[2],
    }
}
