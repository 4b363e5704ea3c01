//! Builds of the programs, and where they are.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::workspace::Workspace;
use crate::{llvm, process, studio};

/// A first release build with CUDA took 9 minutes on two cores.
const LIMIT: Duration = Duration::from_secs(90 * 60);

/// The programs of a build.
pub(crate) struct Built {
    /// `sakuga-server`.
    pub server: PathBuf,
    /// `sakuga`.
    pub client: PathBuf,
    /// `sakuga-figures`, if it was built too.
    pub figures: Option<PathBuf>,
    /// `sakuga-dist`, if it was built too.
    pub dist: Option<PathBuf>,
}

/// Builds `sakuga-server`, with the studio's page if it can be built, and `sakuga` in release.
///
/// # Errors
///
/// The build fails, or the target folder cannot be written.
pub(crate) fn release(workspace: &Workspace, cuda: bool) -> anyhow::Result<Built> {
    studio::build_if_possible(workspace);
    let packages = ["--package", "sakuga-server", "--package", "sakuga-client"];
    let mut command = workspace.cargo(["build", "--locked", "--release"]);
    command.args(packages);
    if cuda {
        command.args(["--features", "sakuga-server/cuda"]);
        llvm::prepare(workspace)?.apply(&mut command);
    }
    build(command)
}

/// Builds the programs that `cargo test --workspace` builds: after the tests nothing is compiled again.
///
/// One test is named because only builds with tests use the features of dev-dependencies; without it 32 libraries would be
/// compiled with other features.
///
/// # Errors
///
/// The build fails.
pub(crate) fn like_tests(workspace: &Workspace) -> anyhow::Result<Built> {
    build(workspace.cargo(["build", "--workspace", "--bins", "--test", "tidy"]))
}

fn build(command: Command) -> anyhow::Result<Built> {
    let mut programs = executables(&messages(command)?);
    let mut take = |name: &str| programs.remove(name).with_context(|| format!("cargo build made no program {name}"));
    let (server, client) = (take("sakuga-server")?, take("sakuga")?);
    let (figures, dist) = (programs.remove("sakuga-figures"), programs.remove("sakuga-dist"));
    Ok(Built { server, client, figures, dist })
}

/// Runs a build and returns Cargo's messages about it. What is wrong in the sources is printed.
///
/// # Errors
///
/// Cargo cannot be started, was interrupted, or the build fails.
pub(crate) fn messages(mut command: Command) -> anyhow::Result<Vec<Value>> {
    command.args(["--message-format", "json-render-diagnostics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let reader = thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.filter_map(|line| serde_json::from_str(&line).ok()).collect()
    });
    let status = process::wait(&mut child, LIMIT).with_context(|| process::display(&command))?;
    if !status.success() {
        bail!("{}: {status}", process::display(&command));
    }
    Ok(reader.join().unwrap_or_default())
}

/// Name and path of every program in Cargo's build messages.
fn executables(messages: &[Value]) -> BTreeMap<String, PathBuf> {
    messages
        .iter()
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn programs_are_found_among_the_build_messages() {
        let messages = [
            json!({"reason": "compiler-artifact", "target": {"name": "serde"}, "executable": null}),
            json!({"reason": "build-script-executed"}),
            json!({"reason": "compiler-artifact", "target": {"name": "sakuga"}, "executable": "/t/release/sakuga"}),
            json!({"reason": "build-finished", "success": true}),
        ];
        let found: Vec<_> = executables(&messages).into_iter().collect();
        assert_eq!(found, [("sakuga".into(), "/t/release/sakuga".into())]);
    }
}
