//! The LLVM that burn's CUDA backend links: found where its build looks, or fetched into the target folder.
//!
//! Nothing outside the target folder is changed: the build is pointed at it by `XDG_DATA_HOME`, and by that only in the
//! commands that compile CUDA code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::Context as _;

use crate::workspace::Workspace;
use crate::{process, python};

/// The bundle that this version of burn asks for; `tests/xtask/python/llvm23.py` names the same one.
const BUNDLE: &str = "tracel/tracel-llvm-23.1.0-4/.tracel-llvm-installed";

/// 92 MB come over the network and are unpacked.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Where the build looks for LLVM.
pub(crate) struct Llvm {
    /// What `XDG_DATA_HOME` must be; `None` leaves it as it is.
    data_home: Option<PathBuf>,
}

impl Llvm {
    /// Points a cargo command at it.
    pub(crate) fn apply(&self, command: &mut Command) {
        if let Some(path) = &self.data_home {
            command.env("XDG_DATA_HOME", path);
        }
    }
}

/// Makes sure that LLVM can be found.
///
/// Where no wheels fit the machine, the build is left to its own download, and a message says so.
///
/// # Errors
///
/// The target folder cannot be written.
pub(crate) fn prepare(workspace: &Workspace) -> anyhow::Result<Llvm> {
    if user_data_home().is_some_and(|path| path.join(BUNDLE).exists()) {
        return Ok(Llvm { data_home: None });
    }
    let data_home = workspace.target.join("llvm");
    fs::create_dir_all(&data_home).with_context(|| format!("cannot make {}", data_home.display()))?;
    let mut command = Command::new(python::interpreter(workspace));
    command.arg("tests/xtask/python/llvm23.py").arg(&data_home).current_dir(&workspace.root);
    match process::run(&mut command, FETCH_LIMIT) {
        Ok(()) => Ok(Llvm { data_home: Some(data_home) }),
        Err(error) => {
            eprintln!("LLVM was not fetched ({error:#}); the build will try its own download");
            Ok(Llvm { data_home: None })
        }
    }
}

/// Where the build looks by default.
fn user_data_home() -> Option<PathBuf> {
    match env::var_os("XDG_DATA_HOME") {
        Some(path) if Path::new(&path).is_absolute() => Some(path.into()),
        _ => env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")),
    }
}
