//! Values of the enumerations of messages.

use crate::error::Violation;

/// The value of an enumeration with this number. An unknown number is a fault: a newer client may send values that this
/// server does not support.
pub(crate) fn known<E: TryFrom<i32>>(value: i32, field: &str, faults: &mut Vec<Violation>) -> Option<E> {
    let known = E::try_from(value).ok();
    if known.is_none() {
        let text = format!("{value} is not a value that this server knows; use one of its API, or a newer server");
        faults.push(Violation::new(field, Violation::UNKNOWN_VALUE, text));
    }
    known
}
