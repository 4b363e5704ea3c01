//! Figures as people read them.

use std::time::Duration;

pub(crate) use sakuga_client::proto::text::count;

/// `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.001 {
        return "0 s".to_owned();
    }
    if seconds < 0.1 {
        return format!("{:.0} ms", seconds * 1e3);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = duration.as_secs().saturating_add(u64::from(duration.subsec_millis() >= 500));
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `143 ms`, `2.31 s`: time of one step.
pub(crate) fn step_time(milliseconds: f32) -> String {
    if milliseconds < 1000.0 { format!("{milliseconds:.0} ms") } else { format!("{:.2} s", milliseconds / 1000.0) }
}

/// `512 B`, `3.4 KiB`, `1.3 MiB`, `79.6 GiB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_digits_or_so() {
        for (milliseconds, text) in [
            (0, "0 s"),
            (42, "42 ms"),
            (420, "0.4 s"),
            (9_960, "10 s"),
            (59_400, "59 s"),
            (59_600, "1 min 0 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
        assert!(duration(Duration::MAX).ends_with("min"));
    }

    #[test]
    fn sizes_are_binary() {
        for (size, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (85_520_809_984, "79.6 GiB")] {
            assert_eq!(bytes(size), text);
        }
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
