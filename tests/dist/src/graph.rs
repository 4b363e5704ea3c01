//! The crates in a program, from Cargo: those that it links, without those that only build it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

/// A crate in a program.
#[derive(Debug)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    /// Its licence, as an SPDX expression or as older manifests write one; none if it only has a file.
    pub licence: Option<String>,
    /// The address of its repository.
    pub repository: Option<String>,
    /// The folder of its sources.
    pub folder: PathBuf,
    /// SHA-256 of its package on crates.io; none for crates of this workspace.
    pub checksum: Option<String>,
    /// Indices of the crates in the program that it depends on directly.
    pub dependencies: Vec<usize>,
}

impl Package {
    /// Whether it is a crate of this workspace.
    pub(crate) fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

/// The crates in a program, in the order of their names. The program's own is [`Graph::root`].
#[derive(Debug)]
pub(crate) struct Graph {
    packages: Vec<Package>,
    root: usize,
}

impl Graph {
    /// Asks Cargo about a package of the workspace, built with its default features and these, for a target.
    ///
    /// # Errors
    ///
    /// Cargo cannot be run, or the package does not exist.
    pub(crate) fn read(workspace: &Path, package: &str, features: &[String], target: &str) -> anyhow::Result<Self> {
        let mut tree = vec!["tree", "--package", package, "--target", target, "--edges", "normal,no-proc-macro"];
        tree.extend(["--prefix", "none", "--format", "{p}"]);
        let features = features.join(",");
        if !features.is_empty() {
            tree.extend(["--features", &features]);
        }
        let linked = linked(&cargo(workspace, &tree)?)?;
        let metadata = cargo(workspace, &["metadata", "--format-version", "1", "--filter-platform", target])?;
        let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
        let lock = workspace.join("Cargo.lock");
        let lock = std::fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
        Self::new(package, &linked, &metadata, &checksums(&lock))
    }

    /// The crate of the program itself.
    pub(crate) fn root(&self) -> &Package {
        &self.packages[self.root]
    }

    /// Every crate in the program.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// A graph of these packages.
    #[cfg(test)]
    pub(crate) fn of(packages: Vec<Package>, root: usize) -> Self {
        Self { packages, root }
    }

    fn new(
        root: &str,
        linked: &BTreeSet<Id>,
        metadata: &Value,
        checksums: &BTreeMap<Id, String>,
    ) -> anyhow::Result<Self> {
        let mut packages = Vec::new();
        // Cargo's own name of a package, and its index here.
        let mut indices = BTreeMap::new();
        for value in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
            let text = |key: &str| value[key].as_str().map(str::to_owned);
            let (Some(name), Some(version)) = (text("name"), text("version")) else { continue };
            let id = (name, version);
            if !linked.contains(&id) {
                continue;
            }
            let manifest = PathBuf::from(text("manifest_path").unwrap_or_default());
            indices.insert(text("id").unwrap_or_default(), packages.len());
            packages.push(Package {
                licence: text("license"),
                repository: text("repository"),
                folder: manifest.parent().unwrap_or(Path::new("")).to_owned(),
                checksum: checksums.get(&id).cloned(),
                name: id.0,
                version: id.1,
                dependencies: Vec::new(),
            });
        }
        ensure!(packages.len() == linked.len(), "cargo tree and cargo metadata name different packages");
        for node in metadata["resolve"]["nodes"].as_array().context("cargo metadata resolves nothing")? {
            let Some(&index) = node["id"].as_str().and_then(|id| indices.get(id)) else { continue };
            let dependencies = node["deps"].as_array().into_iter().flatten().filter(|dependency| {
                let kinds = dependency["dep_kinds"].as_array();
                kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            });
            let found = dependencies.filter_map(|dependency| indices.get(dependency["pkg"].as_str()?).copied());
            packages[index].dependencies = found.collect();
        }
        let root =
            packages.iter().position(|package| package.name == root).context("the program's package is missing")?;
        Ok(Self { packages, root })
    }
}

/// Name and version.
type Id = (String, String);

/// The packages that `cargo tree` lists: `name vVERSION`, and more after it.
fn linked(tree: &str) -> anyhow::Result<BTreeSet<Id>> {
    let mut found = BTreeSet::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        match (words.next(), words.next().and_then(|version| version.strip_prefix('v'))) {
            (Some(name), Some(version)) => found.insert((name.to_owned(), version.to_owned())),
            _ => bail!("cargo tree printed `{line}`"),
        };
    }
    Ok(found)
}

/// The checksums in a `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<Id, String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        line.strip_suffix('"').map(str::to_owned)
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?)))
        .collect()
}

/// The output of a Cargo command. It uses the network only for packages that have not been downloaded.
fn cargo(workspace: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).arg("--locked").current_dir(workspace).output();
    let output = output.context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).context("cargo printed other text than UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        (name.to_owned(), "1.0.0".to_owned())
    }

    #[test]
    fn the_tree_and_the_lock_are_read() {
        let found = linked("a v1.0.0 (path/a)\nb v1.0.0\n\nb v1.0.0 (*)\n").unwrap();
        assert_eq!(found, BTreeSet::from([id("a"), id("b")]));
        assert!(linked("warning: something\n").is_err());
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n]\n\n\
            [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"registry\"\nchecksum = \"ab\"\n";
        assert_eq!(checksums(lock), BTreeMap::from([(id("b"), "ab".to_owned())]));
    }

    #[test]
    fn only_linked_packages_and_normal_dependencies_remain() {
        let package = |name: &str| serde_json::json!({"name": name, "version": "1.0.0", "id": name, "license": "MIT", "manifest_path": "x/Cargo.toml"});
        let metadata = serde_json::json!({
            "packages": [package("a"), package("b"), package("c")],
            "resolve": {"nodes": [{"id": "a", "deps": [
                {"pkg": "b", "dep_kinds": [{"kind": null}]},
                {"pkg": "a", "dep_kinds": [{"kind": "dev"}]},
                {"pkg": "c", "dep_kinds": [{"kind": null}]},
            ]}]},
        });
        let linked = BTreeSet::from([id("a"), id("b")]);
        let graph = Graph::new("a", &linked, &metadata, &BTreeMap::new()).unwrap();
        assert_eq!(graph.root().dependencies, [1]);
        assert_eq!((graph.packages().len(), graph.root().folder.as_path()), (2, Path::new("x")));
        let unknown = BTreeSet::from([id("a"), id("z")]);
        assert!(Graph::new("a", &unknown, &metadata, &BTreeMap::new()).is_err());
    }
}
