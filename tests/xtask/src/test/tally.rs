//! Counts what the test programs of each language printed.

use anyhow::bail;

use crate::test::Verdict;
use crate::test::failures::Failure;

/// What a test that lacks what it needs prints at the start of a line.
const SKIPPED: &str = "skipped: ";

/// Adds up the closing lines of every test program, and moves tests that skipped themselves from passed to skipped.
pub(crate) fn read(output: &str) -> Verdict {
    let mut verdict = Verdict::default();
    // Whether the lines are those of a test that has not yet said that it was skipped.
    let mut undecided = false;
    let mut self_skipped = 0;
    for line in output.lines() {
        if let Some(counts) = line.strip_prefix("test result: ") {
            add(&mut verdict, counts);
        } else if line.starts_with("---- ") && line.ends_with(" stdout ----") {
            undecided = true;
        } else if let Some(reason) = line.strip_prefix(SKIPPED)
            && undecided
        {
            undecided = false;
            verdict.skipped.push(reason.to_owned());
            self_skipped += 1;
        } else if says_skipped(line) {
            verdict.skipped.push(line.to_owned());
            self_skipped += 1;
        }
    }
    // libtest counts a test that returns early as passed.
    verdict.passed = verdict.passed.saturating_sub(self_skipped);
    verdict
}

/// Whether a test that writes past the capture of its output names itself and says that it was skipped:
/// `next_dit skipped: no fixtures`, `tiny_decoder: skipped, there is no file`.
fn says_skipped(line: &str) -> bool {
    let Some((name, rest)) = line.split_once(' ') else { return false };
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    is_name && ["skipped: ", "skipped, ", "skipped for "].iter().any(|start| rest.starts_with(start))
}

/// Adds `ok. 12 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s`.
fn add(verdict: &mut Verdict, counts: &str) {
    for count in counts.split_once(". ").map_or(counts, |(_, rest)| rest).split("; ") {
        let Some((number, what)) = count.split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match what {
            "passed" => verdict.passed += number,
            "failed" => verdict.failed += number,
            "ignored" if number > 0 => verdict.skipped.push(format!("{number} ignored tests")),
            _ => {}
        }
    }
}

/// Reads the closing line of pytest: `1 failed, 72 passed, 2 skipped, 1 error in 20.63s`.
pub(crate) fn read_pytest(output: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for (number, what) in output.lines().rev().find_map(pytest_counts).unwrap_or_default() {
        match what {
            "passed" => verdict.passed += number,
            "failed" | "error" | "errors" => verdict.failed += number,
            "skipped" => verdict.skipped.push(format!("{number} tests of the Python client")),
            _ => {}
        }
    }
    verdict
}

/// Reads the lines `--- PASS: TestName (0.05s)` of `go test -v`. A test within another is a part of it.
pub(crate) fn read_go(output: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for result in output.lines().filter_map(|line| line.strip_prefix("--- ")) {
        match result.split_once(": ") {
            Some(("PASS", _)) => verdict.passed += 1,
            Some(("FAIL", _)) => verdict.failed += 1,
            Some(("SKIP", test)) => verdict.skipped.push(test.to_owned()),
            _ => {}
        }
    }
    verdict
}

/// Reads the closing lines `# pass 16`, `# fail 0` and `# skipped 1` of Node's test runner.
pub(crate) fn read_tap(output: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for (what, number) in output.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(' ')) {
        let Ok(number) = number.parse::<u64>() else { continue };
        match what {
            "pass" => verdict.passed += number,
            "fail" | "cancelled" => verdict.failed += number,
            "skipped" if number > 0 => verdict.skipped.push(format!("{number} tests")),
            _ => {}
        }
    }
    verdict
}

/// Reads Surefire's line for each class: `Tests run: 10, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 4.4 s`.
pub(crate) fn read_surefire(output: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for line in output.lines().filter(|line| line.contains("Time elapsed: ")) {
        let Some((_, counts)) = line.split_once("Tests run: ") else { continue };
        let mut numbers = counts.split(", ").map_while(|count| count.rsplit(' ').next()?.parse::<u64>().ok());
        let (Some(run), Some(failures), Some(errors), Some(skipped)) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            continue;
        };
        verdict.passed += run.saturating_sub(failures + errors + skipped);
        verdict.failed += failures + errors;
        if skipped > 0 {
            verdict.skipped.push(format!("{skipped} tests"));
        }
    }
    verdict
}

/// The counts of a line, if it holds nothing else.
fn pytest_counts(line: &str) -> Option<Vec<(u64, &str)>> {
    let (counts, _time) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let pairs = counts.split(", ").map(|count| count.split_once(' '));
    pairs.map(|pair| pair.and_then(|(number, what)| Some((number.parse().ok()?, what)))).collect()
}

/// Adds what was found to the rest.
pub(super) fn join(verdict: &mut Verdict, found: Verdict) {
    verdict.passed += found.passed;
    verdict.failed += found.failed;
    verdict.skipped.extend(found.skipped);
    verdict.failures.extend(found.failures);
}

/// The counts of a client's tests. A failure that no line counts is one. The last lines of the output say what failed.
pub(super) fn conclude(language: &str, success: bool, output: &str, mut verdict: Verdict) -> anyhow::Result<Verdict> {
    if success && verdict.passed + verdict.failed == 0 {
        bail!("the {language} client ran no test");
    }
    if !success {
        verdict.failed = verdict.failed.max(1);
        verdict.failures.push(Failure::new(format!("the {language} client"), output));
    }
    for skipped in &mut verdict.skipped {
        *skipped = format!("{language}: {skipped}");
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_added_up() {
        let output = "\
running 2 tests
test a ... ok
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 9 filtered out; finished in 1.20s
";
        let expected = Verdict { passed: 5, failed: 1, skipped: vec!["2 ignored tests".into()], ..Verdict::default() };
        assert_eq!(read(output), expected);
    }

    #[test]
    fn a_test_that_skipped_itself_is_counted_as_skipped() {
        let output = "\
---- parity::vae stdout ----
skipped: no fixtures at ../shared
skipped: for the same reason
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let expected =
            Verdict { passed: 3, failed: 0, skipped: vec!["no fixtures at ../shared".into()], ..Verdict::default() };
        assert_eq!(read(output), expected);
    }

    #[test]
    fn a_skipped_test_that_writes_past_its_capture_is_counted_too() {
        let output = "\
test result: ok. 9 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
parity::vae skipped: no fixture set
gemma3 skipped for a/b: the set does not have this part
taef1: skipped, there is no a/b
test jobs_are_skipped ... ok
the files (2) skipped: they are not Rust
";
        let verdict = read(output);
        assert_eq!((verdict.passed, verdict.skipped.len()), (6, 3), "{verdict:?}");
    }

    #[test]
    fn output_without_a_closing_line_counts_nothing() {
        assert_eq!(read("error: could not compile `sakuga-model`\n"), Verdict::default());
    }

    #[test]
    fn the_results_of_other_languages_are_read() {
        let go = "=== RUN   TestA\n--- PASS: TestA (0.05s)\n    --- PASS: TestA/b (0.01s)\n--- FAIL: TestC (0.00s)\n--- SKIP: TestD (0.00s)\nFAIL\n";
        let tap = "ok 1 - a\n# tests 4\n# pass 1\n# fail 1\n# cancelled 0\n# skipped 1\n# duration_ms 3\n";
        let java = "[INFO] Running A\n[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1, Time elapsed: 4.4 s <<< FAILURE! -- in A\n[INFO] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1\n";
        for verdict in [read_go(go), read_tap(tap), read_surefire(java)] {
            assert_eq!((verdict.passed, verdict.failed, verdict.skipped.len()), (1, 1, 1), "{verdict:?}");
        }
        for verdict in [read_go(""), read_tap("# Subtest: 3 of 4\n"), read_surefire("Tests run: many, Time elapsed: 1")]
        {
            assert_eq!(verdict, Verdict::default());
        }
    }

    #[test]
    fn the_closing_line_of_pytest_is_read() {
        let output = "....s.F\nFAILED tests/test_a.py::test_b - in 3\n1 failed, 72 passed, 2 skipped, 1 error in 20.63s\nwarning: 1 thing in 2\n";
        let expected = Verdict {
            passed: 72,
            failed: 2,
            skipped: vec!["2 tests of the Python client".into()],
            ..Verdict::default()
        };
        assert_eq!(read_pytest(output), expected);
        assert_eq!(read_pytest("===== 3 passed in 61.00s (0:01:01) =====\n").passed, 3);
        assert_eq!(read_pytest("no tests ran in 0.01s\n"), Verdict::default());
        assert_eq!(read_pytest(""), Verdict::default());
    }
}
