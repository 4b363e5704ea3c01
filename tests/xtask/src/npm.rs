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

/// Whether npm can be called, and Node.js has at least this version.
pub(crate) fn is_installed(node: (u32, u32)) -> bool {
    let printed = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    printed("npm").is_some() && printed("node").as_deref().and_then(version).is_some_and(|found| found >= node)
}

/// The first two numbers of what Node.js prints, such as `v20.19.1`.
fn version(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.trim().strip_prefix('v')?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Installs what a package of the repository needs into a folder, unless the same is there, and returns the folder of the
/// programs that come with it.
///
/// # Errors
///
/// There is no npm, or the packages cannot be installed.
pub(crate) fn install(package: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
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
        // The next call must not take a partial installation for a complete one.
        let _ = fs::remove_file(folder.join(PACKAGE[0]));
        return Err(error);
    }
    Ok(programs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("v20.9.1\n"), Some((20, 9)));
        assert!(version("v20.9.1") < Some((20, 19)) && version("v22.0.0") > Some((20, 19)));
        assert!(["", "20.1.0", "v20", "vx.1"].iter().all(|printed| version(printed).is_none()));
    }
}
