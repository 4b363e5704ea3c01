//! What cargo says about the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use sakuga_tidy::repository;
use serde_json::Value;

/// A library or a program of the workspace.
#[derive(Debug)]
pub(crate) struct Target {
    pub package: String,
    /// The file that it begins with, as a path in the repository.
    pub source: PathBuf,
}

/// Cargo's answer, without the network: what is needed here has been compiled.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// `cargo metadata` of the workspace, without its dependencies.
pub(crate) fn metadata() -> Value {
    let printed = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    serde_json::from_str(&printed).expect("cargo metadata prints JSON")
}

/// Every library and program of the workspace.
pub(crate) fn targets() -> Vec<Target> {
    let metadata = metadata();
    let root = Path::new(metadata["workspace_root"].as_str().expect("a root")).to_owned();
    let mut targets = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        for target in package["targets"].as_array().expect("targets") {
            let kinds: Vec<&str> = target["kind"].as_array().expect("kinds").iter().filter_map(Value::as_str).collect();
            if kinds.iter().any(|kind| ["lib", "bin", "proc-macro"].contains(kind)) {
                let source = Path::new(target["src_path"].as_str().expect("a path"));
                targets.push(Target {
                    package: package["name"].as_str().expect("a name").to_owned(),
                    source: source.strip_prefix(&root).expect("a target lies in the workspace").to_owned(),
                });
            }
        }
    }
    targets
}
