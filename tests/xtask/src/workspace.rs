//! Where the repository and Cargo's target folder are, and how Cargo is called from here.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{llvm, process};

/// A cold release build with CUDA took 9 minutes on two cores; a hung one should still end some day.
const BUILD_LIMIT: Duration = Duration::from_secs(90 * 60);

/// The repository on disk.
pub struct Workspace {
    /// The folder of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's target folder, which holds everything that these commands make.
    pub target: PathBuf,
}

/// The programs of a build.
pub struct Built {
    /// `sakuga-server`.
    pub server: PathBuf,
    /// `sakuga`.
    pub client: PathBuf,
    /// `sakuga-figures`, if it was built too.
    pub figures: Option<PathBuf>,
}

impl Workspace {
    /// Asks Cargo.
    ///
    /// # Errors
    ///
    /// Cargo cannot be run or does not answer as documented.
    pub fn locate() -> anyhow::Result<Self> {
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
    pub fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = cargo();
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Builds `sakuga-server` and `sakuga` in release, and says where they are.
    ///
    /// # Errors
    ///
    /// The build fails, or LLVM cannot be had for a build with CUDA.
    pub fn build_release(&self, cuda: bool) -> anyhow::Result<Built> {
        let mut command =
            self.cargo(["build", "--release", "--package", "sakuga-server", "--package", "sakuga-client"]);
        if cuda {
            command.args(["--features", "sakuga-server/cuda"]);
            llvm::prepare(self)?.apply(&mut command);
        }
        self.build(command)
    }

    /// Builds the same programs as the tests do, which takes next to nothing after them.
    ///
    /// # Errors
    ///
    /// The build fails.
    pub fn build_like_tests(&self) -> anyhow::Result<Built> {
        self.build(self.cargo(["build", "--workspace", "--bins"]))
    }

    fn build(&self, mut command: Command) -> anyhow::Result<Built> {
        command.args(["--message-format", "json-render-diagnostics"]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo build")?;
        let stdout = child.stdout.take().context("cargo build has no output")?;
        let reader = thread::spawn(move || executables(BufReader::new(stdout).lines().map_while(Result::ok)));
        let status = process::wait(&mut child, BUILD_LIMIT).with_context(|| process::display(&command))?;
        if !status.success() {
            bail!("{}: {status}", process::display(&command));
        }
        let mut programs = reader.join().unwrap_or_default();
        let mut take =
            |name: &str| programs.remove(name).with_context(|| format!("cargo build made no program {name}"));
        let (server, client) = (take("sakuga-server")?, take("sakuga")?);
        Ok(Built { server, client, figures: programs.remove("sakuga-figures") })
    }

    /// A path as a person in the workspace's root would write it.
    pub fn shorten<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// Cargo without what `cargo run` told this program about itself: build scripts that watch those variables would
/// otherwise run again, and everything above them be built again.
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

/// Name to path of every program in Cargo's build messages.
fn executables(messages: impl Iterator<Item = String>) -> BTreeMap<String, PathBuf> {
    messages
        .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_among_the_build_messages() {
        let messages = [
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            r#"{"reason":"build-script-executed"}"#,
            "not JSON",
            r#"{"reason":"compiler-artifact","target":{"name":"sakuga"},"executable":"/t/release/sakuga"}"#,
            r#"{"reason":"build-finished","success":true}"#,
        ];
        let found = executables(messages.into_iter().map(str::to_owned));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("sakuga".into(), "/t/release/sakuga".into())]);
    }

    #[test]
    fn the_workspace_is_the_one_of_this_package() {
        let workspace = Workspace::locate().expect("cargo metadata answers");
        assert!(workspace.root.join("proto/sakuga").is_dir());
        assert_eq!(workspace.shorten(&workspace.root.join("a/b")), Path::new("a/b"));
        assert_eq!(workspace.shorten(Path::new("/elsewhere")), Path::new("/elsewhere"));
    }
}
