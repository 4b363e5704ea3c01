//! `cargo xtask test`: every check, each timed, and a summary that ends with one line of counts.

mod at_once;
mod checks;
mod context;
mod deny;
mod dist;
mod failures;
mod fleet;
mod languages;
mod openai;
mod programs;
mod protos;
mod slowest;
mod studio;
mod summary;
mod tally;
mod times;
mod training;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::interrupt;
use crate::test::checks::{CHECKS, Check};
use crate::test::context::Context;
use crate::test::failures::Failure;
use crate::test::slowest::Timed;
use crate::test::summary::Row;
use crate::workspace::Workspace;

/// No check may take longer.
const CHECK_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Which checks to run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Stop at the first check that fails.
    #[arg(long)]
    fail_fast: bool,
    /// List the checks and run none.
    #[arg(long)]
    list: bool,
    /// Run only these checks, by name.
    #[arg(value_name = "CHECK")]
    only: Vec<String>,
}

/// What a check found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// Tests that passed; 1 for a check that has no tests within.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// What could not be done, each with its reason.
    pub skipped: Vec<String>,
    /// How long each test took, of a check that knows.
    pub timed: Vec<Timed>,
    /// What the failed tests printed, of a check that knows.
    pub failures: Vec<Failure>,
}

impl Verdict {
    /// One test passed.
    pub(crate) fn passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// Nothing was tested.
    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self { skipped: vec![reason.into()], ..Self::default() }
    }
}

/// Runs the checks and prints the summary.
///
/// # Errors
///
/// A named check does not exist, or the run was interrupted. A check that fails is not an error but an exit code.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let checks = select(&options.only)?;
    if options.list {
        for check in checks {
            println!("{:<10}  {}", check.name, check.what);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let context = Context::new(workspace, CHECK_LIMIT);
    let mut rows = Vec::new();
    let mut timed = Vec::new();
    for check in checks {
        println!("\n=== {}: {}", check.name, check.what);
        let start = Instant::now();
        let outcome = (check.run)(&context);
        if interrupt::raised() {
            bail!("interrupted");
        }
        if let Err(error) = &outcome {
            eprintln!("{} failed: {error:#}", check.name);
        }
        if let Ok(verdict) = &outcome {
            timed.extend_from_slice(&verdict.timed);
        }
        let row = Row::new(check.name, outcome, start.elapsed());
        let failed = row.failed > 0;
        rows.push(row);
        if failed && options.fail_fast {
            break;
        }
    }
    if !timed.is_empty() {
        println!("\nthe slowest tests:\n{}", slowest::render(timed));
    }
    println!("\n{}", summary::render(&rows));
    Ok(if rows.iter().any(|row| row.failed > 0) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The checks of these names, in their own order; all of them if none is named.
fn select(names: &[String]) -> anyhow::Result<Vec<&'static Check>> {
    if let Some(unknown) = names.iter().find(|name| CHECKS.iter().all(|check| check.name != name.as_str())) {
        let known: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        bail!("no check is named `{unknown}`; there are {}", known.join(", "));
    }
    Ok(CHECKS.iter().filter(|check| names.is_empty() || names.iter().any(|name| name == check.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_selected_by_name_in_their_own_order() {
        let names = |checks: Vec<&Check>| checks.iter().map(|check| check.name).collect::<Vec<_>>();
        assert_eq!(names(select(&["test".into(), "format".into()]).unwrap()), ["format", "test"]);
        assert_eq!(select(&[]).unwrap().len(), CHECKS.len());
        let error = select(&["formt".into()]).err().expect("unknown").to_string();
        assert!(error.contains("`formt`") && error.contains("format, "), "{error}");
    }

    #[test]
    fn check_names_are_unique() {
        let mut names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
    }
}
