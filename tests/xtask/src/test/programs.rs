//! The test programs of the workspace: built by Cargo, then run two at a time.
//!
//! Cargo runs them one after the other. At the end of each program a single test often waits or computes alone, so half of a
//! machine is idle. Each program still runs its tests in one process, which they share models and servers in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::test::context::Context;
use crate::test::{at_once, slowest, times};
use crate::{build, process};

/// A test program.
#[derive(Debug, PartialEq)]
struct Program {
    /// The file that Cargo built.
    path: PathBuf,
    /// The folder of its package, in which Cargo runs it too.
    folder: PathBuf,
}

impl Program {
    /// The name of its file.
    fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Builds the test programs of these kinds, such as `--lib`, and runs them with the arguments and variables. Returns whether all
/// succeeded, and their output: that of each program is whole, behind a line that names it.
///
/// # Errors
///
/// They cannot be built, or the run was interrupted.
pub(crate) fn run(
    context: &Context<'_>,
    kinds: &[&str],
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<(bool, String)> {
    let mut cargo = context.cargo(["test", "--workspace", "--no-run"]);
    cargo.args(kinds);
    let messages = build::messages(cargo)?;
    let mut programs: Vec<Program> = messages.iter().filter_map(test_program).collect();
    let file = context.workspace().target.join("test-times.json");
    let known = times::read(&file);
    // The longest begin first, so that none of them runs alone at the end. Programs without a known time begin before them.
    programs.sort_by_key(|program| std::cmp::Reverse(times::of(&known, &program.file_name()).unwrap_or(Duration::MAX)));

    let work = |program: &Program| {
        let begun = Instant::now();
        let outcome = run_one(context, program, arguments, variables);
        if let Ok((_, output)) = &outcome {
            // At once, so that the lines of two programs do not mix.
            print!("{output}");
        }
        (program.file_name(), begun.elapsed(), outcome)
    };
    let ended = at_once::run(&programs, work, |(_, _, outcome)| outcome.is_err());
    times::write(&file, ended.iter().map(|(name, time, _)| (name.as_str(), *time)));
    let mut all = (true, String::new());
    for (_, _, outcome) in ended {
        let (success, output) = outcome?;
        all.0 &= success;
        all.1.push_str(&output);
    }
    Ok(all)
}

/// Runs a program and returns whether it succeeded, and its output behind the line that names it.
fn run_one(
    context: &Context<'_>,
    program: &Program,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<(bool, String)> {
    let mut command = Command::new(&program.path);
    command.args(arguments).args(slowest::ARGUMENTS).current_dir(&program.folder);
    command.env(slowest::UNSTABLE, "1").env("CARGO_MANIFEST_DIR", &program.folder).envs(variables.iter().copied());
    let (success, output) = process::run_captured(&mut command, context.limit())?;
    Ok((success, format!("{}{output}", slowest::heading(&program.file_name()))))
}

/// The test program that a message of Cargo names. Benchmarks without libtest are no test programs.
fn test_program(message: &Value) -> Option<Program> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let path = message["executable"].as_str().filter(|_| is_test)?;
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some(Program { path: path.into(), folder: folder.into() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn test_programs_are_found_among_the_messages() {
        let message = |reason: &str, test: bool, executable: Value| json!({"reason": reason, "profile": {"test": test}, "executable": executable, "manifest_path": "/a/Cargo.toml"});
        let program = test_program(&message("compiler-artifact", true, json!("/t/deps/a-0123")));
        assert_eq!(program, Some(Program { path: "/t/deps/a-0123".into(), folder: "/a".into() }));
        assert_eq!(program.map(|program| program.file_name()).as_deref(), Some("a-0123"));
        for other in [
            message("compiler-artifact", false, json!("/t/a")),
            message("compiler-artifact", true, Value::Null),
            message("build-script-executed", true, json!("/t/a")),
        ] {
            assert_eq!(test_program(&other), None);
        }
    }
}
