//! The closing table.

use std::fmt::Write as _;
use std::time::Duration;

use crate::test::Verdict;
use crate::test::failures::{self, Failure};

/// One line of the table.
pub(crate) struct Row {
    name: &'static str,
    passed: u64,
    /// How many things failed within this check.
    pub failed: u64,
    skipped: Vec<String>,
    error: Option<String>,
    failures: Vec<Failure>,
    time: Duration,
}

impl Row {
    /// An error of a check counts as one failure.
    pub(crate) fn new(name: &'static str, outcome: anyhow::Result<Verdict>, time: Duration) -> Self {
        match outcome {
            Ok(Verdict { passed, failed, skipped, failures, .. }) => {
                Self { name, passed, failed, skipped, error: None, failures, time }
            }
            Err(error) => {
                let error = Some(format!("{error:#}"));
                Self { name, passed: 0, failed: 1, skipped: Vec::new(), error, failures: Vec::new(), time }
            }
        }
    }

    fn result(&self) -> &'static str {
        match (self.failed, self.passed) {
            (0, 0) => "skipped",
            (0, _) => "passed",
            _ => "FAILED",
        }
    }
}

/// The table, the reasons, what the failed tests printed, and the line of counts, which comes last and has no line break
/// after it.
pub(crate) fn render(rows: &[Row]) -> String {
    let mut text =
        format!("{:<11} {:<8} {:>6} {:>6} {:>7} {:>9}\n", "check", "result", "passed", "failed", "skipped", "time");
    for row in rows {
        let (name, result, skipped) = (row.name, row.result(), row.skipped.len());
        let seconds = row.time.as_secs_f64();
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "{name:<11} {result:<8} {:>6} {:>6} {skipped:>7} {seconds:>7.1} s", row.passed, row.failed);
    }
    let seconds: f64 = rows.iter().map(|row| row.time.as_secs_f64()).sum();
    let _ = writeln!(text, "{:<11} {:<8} {:>6} {:>6} {:>7} {seconds:>7.1} s", "all", "", "", "", "");
    for row in rows {
        for reason in &row.skipped {
            let _ = writeln!(text, "skipped in {}: {reason}", row.name);
        }
        if let Some(error) = &row.error {
            let _ = writeln!(text, "failed {}: {error}", row.name);
        }
    }
    text.push_str(&failures::render(rows.iter().flat_map(|row| &row.failures)));
    let passed: u64 = rows.iter().map(|row| row.passed).sum();
    let failed: u64 = rows.iter().map(|row| row.failed).sum();
    let skipped: usize = rows.iter().map(|row| row.skipped.len()).sum();
    let _ = write!(text, "\n{passed} passed, {failed} failed, {skipped} skipped");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_counts_alone() {
        let failures = vec![Failure::new("durable kill", "it was lost")];
        let failing = Verdict { passed: 40, failed: 2, failures, ..Verdict::default() };
        let rows = [
            Row::new("format", Ok(Verdict::passed()), Duration::from_millis(1200)),
            Row::new("advisories", Ok(Verdict::skipped("no network")), Duration::from_secs(1)),
            Row::new("docs", Err(anyhow::anyhow!("a warning")), Duration::from_secs(2)),
            Row::new("test", Ok(failing), Duration::from_secs(100)),
        ];
        let text = render(&rows);
        assert_eq!(text.lines().last(), Some("41 passed, 3 failed, 1 skipped"));
        assert!(text.contains("format      passed        1      0       0     1.2 s\n"), "{text}");
        assert!(text.contains("advisories  skipped  "), "{text}");
        assert!(text.contains("docs        FAILED   "), "{text}");
        let total = text.lines().find(|line| line.starts_with("all ")).expect("there is a total");
        assert!(total.ends_with("  104.2 s"), "{text}");
        assert!(text.contains("skipped in advisories: no network\nfailed docs: a warning\n"), "{text}");
        assert!(text.contains("\nfailed: durable kill\n    it was lost\n\n41 passed"), "{text}");
    }
}
