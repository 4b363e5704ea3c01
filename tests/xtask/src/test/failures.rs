//! Why tests failed: the last lines that each of them printed, for the end of a log that may be cut before it; and which
//! tests had not ended when the time was over.

use std::fmt::Write as _;

use crate::process;
use crate::test::slowest;

/// Failed tests whose output is shown.
const TESTS_MAX: usize = 10;
/// Lines of each that are shown, the last ones.
const LINES_MAX: usize = 30;
/// Characters of a line that are shown.
const CHARS_MAX: usize = 400;

/// What libtest prints between the name of a test that runs for more than a minute and that time.
const RUNNING: &str = " has been running for over ";

/// A failed test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    /// Its program and its name, or the check and what of it failed.
    name: String,
    /// The last lines of what it printed.
    lines: Vec<String>,
}

impl Failure {
    /// A failure with the last lines of this output.
    pub(crate) fn new(name: impl Into<String>, output: &str) -> Self {
        let lines: Vec<&str> = output.trim_end().lines().collect();
        let lines = lines[lines.len().saturating_sub(LINES_MAX)..].iter().map(|line| cut(line)).collect();
        Self { name: name.into(), lines }
    }
}

fn cut(line: &str) -> String {
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{} […]", &line[..end]),
        None => line.to_owned(),
    }
}

/// The failed tests in the output of `cargo test`, and the test programs that did not end by themselves or were not built.
pub(crate) fn read(output: &str) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut program = "";
    let mut is_failing = false;
    // The test whose output is being read, and where that begins.
    let mut open: Option<(String, usize)> = None;
    // Tests that libtest reported to run for long, and that have not ended since.
    let mut running: Vec<&str> = Vec::new();
    let mut at = 0;
    for line in output.split_inclusive('\n') {
        let (start, text) = (at, line.trim_end());
        at += line.len();
        let name = text.strip_prefix("---- ").and_then(|text| text.strip_suffix(" stdout ----"));
        let is_end = name.is_some() || text == "failures:" || text == "successes:" || text.starts_with("test result: ");
        if is_end && let Some((name, begin)) = open.take() {
            failures.push(Failure::new(name, &output[begin..start]));
        }
        if let Some(file) = slowest::program(text) {
            (program, is_failing) = (file, false);
            running.clear();
        } else if let Some(name) = text.strip_prefix("test ").and_then(|text| text.split_once(RUNNING)) {
            running.push(name.0);
        } else if let Some((name, _)) = text.strip_prefix("test ").and_then(|text| text.split_once(" ... ")) {
            running.retain(|running| *running != name);
        } else if text.starts_with(process::AT_LIMIT) {
            let running = if running.is_empty() { "a program or a build".to_owned() } else { running.join(", ") };
            failures.push(Failure::new(format!("{program} still running: {running}").trim_start(), &output[..start]));
        } else if is_failing && let Some(name) = name {
            open = Some((format!("{program} {name}").trim_start().to_owned(), at));
        } else if is_end && name.is_none() {
            is_failing = text == "failures:";
        } else if text.contains("process didn't exit successfully") && text.contains("(signal: ")
            || text.starts_with("error: could not compile")
        {
            failures.push(Failure::new("a test program", text));
        }
    }
    failures
}

/// The failures, each with its last lines; empty without failures.
pub(crate) fn render<'a>(failures: impl IntoIterator<Item = &'a Failure>) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for (number, Failure { name, lines }) in failures.into_iter().enumerate() {
        if number >= TESTS_MAX {
            left_out += 1;
            continue;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(text, "failed: {name}");
        for line in lines {
            let _ = writeln!(text, "    {line}");
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} more failures");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
test program: durable-5a8d2f31c0ffee00

running 3 tests
test one ... ok <0.100s>
test two ... FAILED <0.200s>

successes:

---- one stdout ----
a line of a test that passed

successes:
    one

failures:

---- kill::two stdout ----

thread 'kill::two' panicked at server/tests/durable/kill.rs:7:5:
seed 3: lost
---- three stdout ----
Error: \"no\"


failures:
    kill::two
    three

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s

test program: hostile-0123456789abcdef
running 1 test
error: test failed, to rerun pass `-p sakuga-server --test hostile`

Caused by:
  process didn't exit successfully: `/target/hostile-0123456789abcdef` (signal: 6, SIGABRT: process abort signal)
  process didn't exit successfully: `/target/durable-5a8d2f31c0ffee00` (exit status: 101)
";

    #[test]
    fn failed_tests_are_named_with_their_program_and_what_they_printed() {
        let failures = read(OUTPUT);
        let names: Vec<&str> = failures.iter().map(|failure| failure.name.as_str()).collect();
        assert_eq!(names, ["durable kill::two", "durable three", "a test program"]);
        assert_eq!(failures[0].lines.last().map(String::as_str), Some("seed 3: lost"));
        assert_eq!(failures[1].lines, ["Error: \"no\""]);
        let text = render(&failures);
        assert!(text.contains("failed: durable kill::two\n    \n    thread 'kill::two' panicked"), "{text}");
        assert!(text.contains("(signal: 6, SIGABRT: process abort signal)"), "{text}");
        assert!(read("test result: ok. 1 passed; 0 failed\n").is_empty());
    }

    #[test]
    fn tests_that_had_not_ended_at_the_limit_are_named() {
        let output = "test program: durable-00\nrunning 3 tests\ntest a has been running for over 60 seconds\n\
                      test b has been running for over 60 seconds\ntest a ... ok <70.1s>\nno end after 90 s: cargo test\n";
        let failures = read(output);
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].name, "durable still running: b");
        assert_eq!(failures[0].lines.last().map(String::as_str), Some("test a ... ok <70.1s>"));
        let failures = read("   Compiling tokio v1.54.0\nno end after 90 s: cargo test\n");
        assert_eq!(failures[0].name, "still running: a program or a build");
    }

    #[test]
    fn what_is_shown_is_bounded() {
        let long = Failure::new("long", &"line\n".repeat(1000));
        assert_eq!(long.lines.len(), LINES_MAX);
        assert!(Failure::new("wide", &"ü".repeat(10_000)).lines[0].chars().count() < CHARS_MAX + 10);
        let text = render(std::iter::repeat_n(&long, 25));
        assert_eq!(text.lines().count(), TESTS_MAX * (LINES_MAX + 1) + 1);
        assert!(text.ends_with("and 15 more failures\n"), "{text}");
        assert_eq!(render(&[]), "");
    }
}
