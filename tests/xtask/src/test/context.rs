//! What the checks share: the repository, the time that a check may take, and our Python.

use std::io::IsTerminal as _;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::process;
use crate::python::Environment;
use crate::test::Verdict;
use crate::workspace::Workspace;

/// What the checks share.
pub(crate) struct Context<'a> {
    workspace: &'a Workspace,
    limit: Duration,
    python: OnceLock<Result<Environment, String>>,
}

impl<'a> Context<'a> {
    /// Checks of this workspace, each with this much time.
    pub(crate) fn new(workspace: &'a Workspace, limit: Duration) -> Self {
        Self { workspace, limit, python: OnceLock::new() }
    }

    /// The repository.
    pub(crate) fn workspace(&self) -> &'a Workspace {
        self.workspace
    }

    /// The time that a check may take.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Our Python, or why there is none. It is made at the first call.
    pub(crate) fn python(&self) -> Result<&Environment, &str> {
        let made = self.python.get_or_init(|| {
            Environment::prepare(self.workspace).map_err(|error| format!("no Python environment: {error:#}"))
        });
        made.as_ref().map_err(String::as_str)
    }

    /// Runs a command on the terminal; it passes or fails as a whole.
    pub(crate) fn check(&self, command: &mut Command) -> anyhow::Result<Verdict> {
        process::run(command, self.limit).map(|()| Verdict::passed())
    }

    /// Runs a command, passes its output on, and returns whether it succeeded and what it said.
    pub(crate) fn tee(&self, command: &mut Command) -> anyhow::Result<(bool, String)> {
        if std::io::stdout().is_terminal() {
            // Behind a pipe Cargo would take the colours away.
            command.env("CARGO_TERM_COLOR", "always");
        }
        process::run_tee(command, self.limit)
    }

    /// Runs a command and returns whether it succeeded and what it said. That is passed on as a whole, behind a line with the title:
    /// other commands may run at the same time.
    pub(crate) fn run_titled(&self, title: &str, command: &mut Command) -> anyhow::Result<(bool, String)> {
        let (success, output) = process::run_captured(command, self.limit)?;
        print!("--- {title}\n{output}");
        Ok((success, output))
    }

    /// Cargo with these arguments, in the repository.
    pub(crate) fn cargo<const N: usize>(&self, arguments: [&str; N]) -> Command {
        self.workspace.cargo(arguments)
    }
}
