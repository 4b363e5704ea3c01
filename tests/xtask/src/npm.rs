//! npm packages under the target folder: buf, and what the TypeScript client and the studio need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::process;

/// Dozens of megabytes come over the network.
const INSTALL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// The files of a package that say what to install.
const PACKAGE: [&str; 2] = ["package.json", "package-lock.json"];

/// Whether npm can be called.
pub fn is_installed() -> bool {
    Command::new("npm").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Installs what a package of the repository needs into a folder, unless the same is there, and returns the folder of the
/// programs that come with it.
///
/// # Errors
///
/// There is no npm, or the packages cannot be installed.
pub fn install(package: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let programs = folder.join("node_modules/.bin");
    let current = |name: &&str| fs::read(folder.join(name)).ok() == fs::read(package.join(name)).ok();
    if programs.exists() && PACKAGE.iter().all(current) {
        return Ok(programs);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in PACKAGE {
        fs::copy(package.join(name), folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let mut command = Command::new("npm");
    // A package per platform contains the program; an installation script would download it if that package were missing.
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(folder);
    if let Err(error) = process::run(&mut command, INSTALL_LIMIT) {
        // The next call shall not take what is there for a whole installation.
        let _ = fs::remove_file(folder.join(PACKAGE[0]));
        return Err(error);
    }
    Ok(programs)
}
