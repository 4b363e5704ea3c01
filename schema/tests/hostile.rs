//! Hostile texts: each gets a finding, within a bound of CPU time and without a panic.

#[path = "invariants/repetition.rs"]
mod repetition;

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sakuga_schema::{CheckOptions, Checked, Limits, check, check_bytes, check_negative};

/// CPU time of a check. The bound is 50 ms for an optimised build; tests are built with little optimisation.
const BOUND: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 50 });
/// Attempts to stay within the bound: caches and cores are shared with other programs.
const ATTEMPTS: usize = 5;

/// CPU time of this thread so far. Unlike the time of day it does not depend on what else runs.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().expect("not negative")
}

/// Repeats a check until it stays within the bound of CPU time.
#[track_caller]
fn in_time<T>(name: &str, bound: Duration, work: impl Fn() -> T) -> T {
    let mut fastest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        let start = cpu_time();
        let done = work();
        fastest = fastest.min(cpu_time() - start);
        if fastest < bound {
            return done;
        }
    }
    panic!("{name} took {fastest:?}");
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], code: &str) -> Checked {
    let checked = answered(name, bytes);
    assert!(!checked.is_valid(), "{name} is accepted");
    let codes: Vec<_> = checked.diagnostics.iter().map(|diagnostic| diagnostic.code).collect();
    assert!(codes.contains(&code), "{name}: {codes:?}");
    checked
}

#[track_caller]
fn answered(name: &str, bytes: &[u8]) -> Checked {
    checked_as_negative(name, bytes);
    checked(name, bytes)
}

#[track_caller]
fn checked_as_negative(name: &str, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let options = CheckOptions::default();
        check("<caption>x</caption>", &options);
        in_time(&format!("{name} as a negative prompt"), BOUND, || check_negative(text, &options));
    }
}

#[track_caller]
fn checked(name: &str, bytes: &[u8]) -> Checked {
    // The vocabulary is read once in a program's life, on first use.
    let options = CheckOptions::default();
    check("<caption>x</caption>", &options);
    let checked = in_time(name, BOUND, || check_bytes(bytes, &options));
    let most = options.limits.max_diagnostics;
    assert!(checked.diagnostics.len() <= 2 * most + 3, "{name}: {} findings", checked.diagnostics.len());
    let length: usize = checked.diagnostics.iter().map(|diagnostic| diagnostic.message.len()).sum();
    assert!(length < 1 << 20, "{name}: {length} bytes of messages");
    checked
}

/// As many repetitions as fit into the default limit.
fn filled(unit: &str) -> String {
    unit.repeat(Limits::DEFAULT.max_bytes / unit.len())
}

#[test]
fn entity_bombs_are_refused_unexpanded() {
    let mut bomb = String::from("<!DOCTYPE prompt [\n<!ENTITY a0 \"ha\">\n");
    for level in 1..20 {
        let before = level - 1;
        bomb.push_str(&format!("<!ENTITY a{level} \"&a{before};&a{before};&a{before};&a{before};\">\n"));
    }
    bomb.push_str("]>\n<prompt><caption>&a19;</caption></prompt>");
    let checked = refused("billion laughs", bomb.as_bytes(), "forbidden-markup");
    let caption = checked.prompt.and_then(|prompt| prompt.caption);
    assert_eq!(caption.as_deref(), Some("&a19;"));

    let quadratic =
        format!("<!DOCTYPE p [<!ENTITY a \"{}\">]><caption>{}</caption>", "a".repeat(9000), "&a;".repeat(9000));
    refused("quadratic blow-up", quadratic.as_bytes(), "forbidden-markup");
}

#[test]
fn external_entities_are_refused_and_not_fetched() {
    for text in [
        "<!DOCTYPE p [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><caption>&x;</caption>",
        "<!DOCTYPE p SYSTEM \"http://example.invalid/p.dtd\"><caption>x</caption>",
        "<!DOCTYPE p [<!ENTITY % x SYSTEM \"file:///etc/passwd\"> %x;]><caption>y</caption>",
        "<!doctype p><caption>y</caption>",
        "<!ENTITY x 'y'><caption>y</caption>",
        "<!DOCTYPE p [<caption>y</caption>",
    ] {
        let checked = refused(text, text.as_bytes(), "forbidden-markup");
        let said: String = checked.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        assert!(!said.contains("root:"), "{said}");
    }
}

#[test]
fn nesting_is_cut() {
    refused("100 000 elements", "<a>".repeat(100_000).as_bytes(), "too-large");
    let depth = 4000;
    let closed = format!("{}{}", "<image>".repeat(depth), "</image>".repeat(depth));
    refused("nested images", closed.as_bytes(), "too-deep");
    let opened: String = (0..depth).map(|level| format!("<a{level}>")).collect();
    let closed: String = (0..depth).rev().map(|level| format!("</a{level}>")).collect();
    let closed = opened + &closed;
    refused("nested unknown elements", closed.as_bytes(), "too-deep");
    refused("unclosed images", filled("<img>").as_bytes(), "too-deep");
    // Never closed, and of no known name: that is text.
    answered("unclosed unknown elements", filled("<a>").as_bytes());
    let json = format!("{{\"a\":{}", "[".repeat(50_000));
    refused("deep JSON", json.as_bytes(), "too-deep");
    let json = "{\"a\":".repeat(10_000);
    refused("deep JSON objects", json.as_bytes(), "too-deep");
}

#[test]
fn long_texts_are_refused_unread() {
    let long = "a".repeat(10 << 20);
    let checked = in_time("10 MB", Duration::from_millis(5), || check(&long, &CheckOptions::default()));
    assert!(!checked.is_valid() && checked.prompt.is_none());
    assert_eq!(checked.diagnostics[0].code, "too-large");
    refused("10 MB", long.as_bytes(), "too-large");
    refused("10 MB of broken bytes", &vec![0xFF; 10 << 20], "too-large");
    refused("a million commas", ",".repeat(1_000_000).as_bytes(), "too-large");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    refused("NUL", b"<caption>a\0b</caption>", "bad-encoding");
    refused("only NUL", &[0; 60_000], "bad-encoding");
    refused("a lone continuation byte", b"<caption>\x80</caption>", "bad-encoding");
    refused("an overlong slash", b"<caption>\xC0\xAF</caption>", "bad-encoding");
    refused("half a surrogate", b"<caption>\xED\xA0\x80</caption>", "bad-encoding");
    refused("UTF-16", b"\xFF\xFE<\0c\0", "bad-encoding");
    refused("U+FFFF", "<caption>\u{FFFF}</caption>".as_bytes(), "bad-encoding");
    refused("NUL in JSON", br#"{"tags": "<caption>a\u0000</caption>"}"#, "bad-encoding");
    let checked = refused("a fault in the middle", b"ab\ncd\xFF", "bad-encoding");
    let place = checked.diagnostics[0].start;
    assert_eq!((place.line, place.column), (2, 3));
    assert!(
        check_bytes(b"\xEF\xBB\xBF<caption>x</caption>", &CheckOptions::default()).is_valid(),
        "a mark is not a fault"
    );
}

#[test]
fn repetition_is_answered_in_time() {
    for (name, text, is_of_negatives) in repetition::texts(Limits::DEFAULT.max_bytes) {
        checked(&name, text.as_bytes());
        if is_of_negatives {
            checked_as_negative(&name, text.as_bytes());
        }
    }
}

#[test]
fn different_unknown_tags_are_answered_in_time() {
    let mut tags = String::from("<general_tags><other>");
    let mut number = 0_u32;
    while tags.len() < Limits::DEFAULT.max_bytes - 100 {
        tags.push_str(&format!("lnog_hiar{number:x}, "));
        number += 1;
    }
    tags.push_str("</other></general_tags>");
    answered("unknown tags", tags.as_bytes());
}

#[test]
fn a_caller_may_allow_more_without_harm() {
    let limits = Limits { max_bytes: usize::MAX, max_depth: usize::MAX, ..Limits::DEFAULT };
    let options = CheckOptions { limits, ..CheckOptions::default() };
    for text in
        [format!("{}{}", "<img>".repeat(20_000), "</img>".repeat(20_000)), format!("{{\"a\":{}", "[".repeat(200_000))]
    {
        let checked = check(&text, &options);
        assert!(checked.diagnostics.iter().any(|diagnostic| diagnostic.code == "too-deep"));
    }
}
