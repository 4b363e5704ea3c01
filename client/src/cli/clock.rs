//! Times of the server in the time zone of this machine.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-29 20:02:11`, in local time.
pub(crate) fn seconds(time: prost_types::Timestamp) -> String {
    format(time, "%Y-%m-%d %H:%M:%S", &TimeZone::system())
}

/// `2026-11-29 20:02:11 +01:00`, in local time.
pub(crate) fn with_offset(time: prost_types::Timestamp) -> String {
    format(time, "%Y-%m-%d %H:%M:%S %:z", &TimeZone::system())
}

/// A time that is out of range is a question mark.
fn format(time: prost_types::Timestamp, pattern: &str, zone: &TimeZone) -> String {
    let Ok(time) = Timestamp::new(time.seconds, time.nanos) else { return "?".to_owned() };
    time.to_zoned_datetime(zone.clone()).strftime(pattern).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_local_and_in_seconds() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let time = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 999_999_999 };
        assert_eq!(format(time, "%Y-%m-%d %H:%M:%S", &zone), "2023-11-15 00:13:20");
        assert_eq!(format(time, "%H:%M %:z", &zone), "00:13 +02:00");
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, i32::MIN), (0, i32::MAX)] {
            assert_eq!(format(prost_types::Timestamp { seconds, nanos }, "%Y", &zone), "?", "{seconds} {nanos}");
        }
    }
}
