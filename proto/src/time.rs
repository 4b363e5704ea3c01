//! Durations and timestamps of the messages as values of the standard library.
//!
//! Both are checked by hand: the conversions of `prost-types` negate, which overflows at the least of all numbers.

use std::time::{Duration, SystemTime};

/// The duration; `None` if it is negative or breaks the bounds that protobuf sets.
pub fn duration(duration: prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(duration.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, nanos))
}

/// The duration in milliseconds, 0 if it is absent or not valid.
pub fn milliseconds(duration: Option<prost_types::Duration>) -> f64 {
    duration.and_then(self::duration).unwrap_or_default().as_secs_f64() * 1e3
}

/// The time; `None` if it is before 1970, not valid, or beyond what this system can represent.
pub fn system_time(time: prost_types::Timestamp) -> Option<SystemTime> {
    let since_epoch = duration(prost_types::Duration { seconds: time.seconds, nanos: time.nanos })?;
    SystemTime::UNIX_EPOCH.checked_add(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_duration_is_read_or_refused() {
        let read = |seconds, nanos| duration(prost_types::Duration { seconds, nanos });
        assert_eq!(read(1, 500_000_000), Some(Duration::from_millis(1500)));
        assert_eq!(read(i64::MAX, 999_999_999), Some(Duration::new(i64::MAX as u64, 999_999_999)));
        for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, 0), (0, i32::MIN), (i64::MIN, i32::MIN), (0, i32::MAX)] {
            assert_eq!(read(seconds, nanos), None, "{seconds} s {nanos} ns");
        }
        assert_eq!(milliseconds(Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 })), 1500.0);
        assert_eq!(milliseconds(None), 0.0);
    }

    #[test]
    fn any_time_is_read_or_refused() {
        let read = |seconds, nanos| system_time(prost_types::Timestamp { seconds, nanos });
        assert_eq!(read(0, 5), SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(5)));
        assert_eq!(read(0, i32::MAX), None);
        assert_eq!(read(i64::MIN, i32::MIN), None);
        let _ = read(i64::MAX, 0);
    }
}
