//! Pythons of our own under the target folder, each with the pinned packages of one list.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::process;
use crate::workspace::Workspace;

/// Some dozens of megabytes of wheels come over the network.
const INSTALL_LIMIT: Duration = Duration::from_secs(10 * 60);

/// Generating takes a second.
const GENERATE_LIMIT: Duration = Duration::from_secs(60);

/// The folder of the programs in that Python's environment.
pub(crate) struct Environment {
    programs: PathBuf,
}

impl Environment {
    /// The environment of the tests.
    ///
    /// # Errors
    ///
    /// As for [`Environment::with`].
    pub(crate) fn prepare(workspace: &Workspace) -> anyhow::Result<Self> {
        Self::with(workspace, "tests/xtask/python/requirements.txt", "python")
    }

    /// Makes the environment of these requirements in this folder of the target folder, unless the one that is there has
    /// the same packages.
    ///
    /// # Errors
    ///
    /// There is no Python 3 with `venv`, or the packages cannot be installed.
    pub(crate) fn with(workspace: &Workspace, requirements: &str, folder: &str) -> anyhow::Result<Self> {
        let folder = workspace.target.join(folder);
        let environment = Self { programs: folder.join("bin") };
        let listed = workspace.root.join(requirements);
        let wanted = fs::read_to_string(&listed).with_context(|| format!("cannot read {}", listed.display()))?;
        // Written last: an installation that was cut short is done again.
        let stamp = folder.join("installed.txt");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && environment.python().exists() {
            return Ok(environment);
        }
        println!("making a Python environment in {}", workspace.shorten(&folder).display());
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(&folder);
        process::run(&mut command, INSTALL_LIMIT).context("Python 3 with its venv module is needed")?;
        let mut command = Command::new(environment.python());
        command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
        command.args(["--require-hashes", "--requirement"]).arg(&listed);
        process::run(&mut command, INSTALL_LIMIT)
            .with_context(|| format!("the packages of {requirements} cannot be installed"))?;
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
        Ok(environment)
    }

    /// Path of the interpreter of the virtual environment.
    pub(crate) fn python(&self) -> PathBuf {
        self.program("python")
    }

    /// A program of one of the packages.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }
}

/// Writes the generated modules of the Python client from the protos.
///
/// # Errors
///
/// There is no environment, or the protos cannot be compiled.
pub(crate) fn generate(workspace: &Workspace) -> anyhow::Result<()> {
    let mut command = Command::new(Environment::prepare(workspace)?.python());
    command.arg("-B").arg(workspace.root.join("client/python/generate.py"));
    process::run(&mut command, GENERATE_LIMIT)
}

/// The interpreter to run a script of the standard library with: ours if it can be installed, otherwise the system's.
pub(crate) fn interpreter(workspace: &Workspace) -> PathBuf {
    Environment::prepare(workspace).map_or_else(|_| Path::new("python3").to_owned(), |environment| environment.python())
}
