//! Times of the server in the time zone of this machine.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `2026-11-29 20:02:11`, in local time.
pub(crate) fn seconds(time: prost_types::Timestamp) -> String {
    format(time, "%Y-%m-%d %H:%M:%S", &TimeZone::system())
}

/// `2026-11-29 20:02:11 +01:00`, in local time.
pub(crate) fn with_offset(time: prost_types::Timestamp) -> String {
    format(time, "%Y-%m-%d %H:%M:%S %:z", &TimeZone::system())
}

/// A moment that a user writes: how long ago, such as `2h` or `3days`; a date or a date and time, such as `2026-11-29 20:00`, in
/// local time; or a time with an offset, such as `2026-11-29T20:00:00Z`.
///
/// # Errors
///
/// The forms that are read.
pub(crate) fn moment(text: &str) -> Result<prost_types::Timestamp, String> {
    read(text, Timestamp::now(), &TimeZone::system()).ok_or_else(|| {
        "write how long ago (`2h`, `3days`), a date (`2026-11-29`), or a date and time (`2026-11-29 20:00`)".to_owned()
    })
}

fn read(text: &str, now: Timestamp, zone: &TimeZone) -> Option<prost_types::Timestamp> {
    let ago = || now.checked_sub(SignedDuration::try_from(humantime::parse_duration(text).ok()?).ok()?).ok();
    let local = || Some(text.parse::<DateTime>().ok()?.to_zoned_datetime(zone.clone()).ok()?.timestamp());
    let time = ago().or_else(|| text.parse().ok()).or_else(local)?;
    Some(prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
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

    #[test]
    fn moments_are_read_in_every_form() {
        let (now, zone) =
            (Timestamp::from_second(1_700_000_000).expect("in range"), TimeZone::fixed(jiff::tz::offset(2)));
        for (text, seconds) in [
            ("2h", 1_700_000_000 - 7200),
            ("3days", 1_700_000_000 - 3 * 86_400),
            ("2023-11-15", 1_699_999_200),
            ("2023-11-15 00:13:20", 1_700_000_000),
            ("2023-11-15T00:13", 1_699_999_980),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
        ] {
            assert_eq!(read(text, now, &zone).map(|time| time.seconds), Some(seconds), "{text}");
        }
        for text in ["", "yesterday", "2023-13-01", "20", "9999999999999years"] {
            assert_eq!(read(text, now, &zone), None, "{text}");
        }
        assert!(moment("soon").expect_err("no time").contains("2026-11-29 20:00"));
    }
}
