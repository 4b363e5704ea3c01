//! The deadline of a call, from its `grpc-timeout` header: tonic enforces it until the stream begins, the job after.

use std::time::Duration;

use tonic::metadata::MetadataMap;

use super::from_proto::DURATION_MAX;

/// The timeout of the call's `grpc-timeout` header. An invalid header, or one of more than 100 years, counts as no
/// deadline.
pub(crate) fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    parse(metadata.get("grpc-timeout")?.to_str().ok()?).filter(|timeout| *timeout <= DURATION_MAX)
}

/// Reads at most eight digits and a unit, as the gRPC protocol over HTTP/2 has it.
fn parse(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value * 3600),
        'M' => Duration::from_secs(value * 60),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_those_of_the_protocol() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parse("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parse("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse("6n"), Some(Duration::from_nanos(6)));
    }

    #[test]
    fn what_breaks_the_rules_is_no_deadline() {
        for text in ["", "S", "5", "-1S", "+1S", "123456789S", "1x", "1é", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
