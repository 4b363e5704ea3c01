//! Where the repository and Cargo's target folder are, and how Cargo is called from here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// The repository on disk.
pub(crate) struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target folder, which holds everything that these commands make.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks Cargo.
    ///
    /// # Errors
    ///
    /// Cargo cannot be run or does not answer as documented.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let output = cargo()
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", output.status);
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata printed no JSON")?;
        let path = |key: &str| {
            metadata[key].as_str().map(PathBuf::from).with_context(|| format!("cargo metadata printed no {key}"))
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// Cargo, in the workspace's root.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// The target that Cargo builds for by default, as rustc calls it.
    ///
    /// # Errors
    ///
    /// rustc cannot be run, or does not name its host.
    pub(crate) fn host(&self) -> anyhow::Result<String> {
        let output = Command::new("rustc").arg("-vV").current_dir(&self.root).output().context("cannot run rustc")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
        Ok(host.to_owned())
    }

    /// A path as a person in the workspace's root would write it.
    pub(crate) fn shorten<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Cargo without the variables that `cargo run` set for this program: build scripts that watch them would run again, and
/// everything that depends on them would be built again.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_the_one_of_this_package() {
        let workspace = Workspace::locate().expect("cargo metadata answers");
        assert!(workspace.root.join("proto/sakuga").is_dir());
        assert_eq!(workspace.shorten(&workspace.root.join("a/b")), Path::new("a/b"));
        assert_eq!(workspace.shorten(Path::new("/elsewhere")), Path::new("/elsewhere"));
    }
}
