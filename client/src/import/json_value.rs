//! Numbers and texts of JSON that other programs wrote.

use serde_json::Value;

/// A whole number that fits; programs also write whole numbers as `7.0` or as text.
pub(super) fn whole<T: TryFrom<u64>>(value: Option<&Value>) -> Option<T> {
    let value = value?;
    let number = value
        .as_u64()
        .or_else(|| {
            value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number)).map(|n| n as u64)
        })
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    T::try_from(number).ok()
}

/// A number, also as text.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    let value = value?;
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|number| number.is_finite())
}

/// A text; empty if it is something else or absent.
pub(super) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// A value on one line, without quotes around a text.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
