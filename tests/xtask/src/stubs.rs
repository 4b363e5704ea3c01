//! The generated code of the clients for Go and TypeScript: written by `cargo xtask stubs`, compared by a check.
//!
//! buf runs the plugins that the clients pin: those for Go in `client/go/go.mod`, the one for TypeScript in
//! `client/typescript/package-lock.json`. Maven generates Java's code at every build, and `python` Python's.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::workspace::Workspace;
use crate::{files, npm, process};

/// The plugins for Go are compiled at the first call.
const PLUGIN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Generating takes seconds.
const GENERATE_LIMIT: Duration = Duration::from_secs(60);

/// The plugins for Go, pinned as tools of the client's module.
const GO_PLUGINS: [&str; 2] =
    ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"];

/// The templates in `proto/`.
const TEMPLATES: [&str; 2] = ["buf.gen.yaml", "buf.gen.google.yaml"];

/// The folders that hold nothing but generated code.
const FOLDERS: [&str; 6] = [
    "client/go/asset",
    "client/go/generation",
    "client/go/model",
    "client/go/prompt",
    "client/go/system",
    "client/typescript/src/gen",
];

/// Installs buf under the target folder and returns the folder of its program.
///
/// # Errors
///
/// There is no npm, or it cannot be installed.
pub(crate) fn buf(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    npm::install(&workspace.root.join("proto"), &workspace.target.join("buf"))
}

/// Writes the generated code of the clients for Go and TypeScript.
///
/// # Errors
///
/// Go or Node.js is missing, or the protos cannot be compiled.
pub(crate) fn write(workspace: &Workspace) -> anyhow::Result<()> {
    let generated = generate(workspace)?;
    for folder in FOLDERS {
        files::remove(&workspace.root.join(folder))?;
        files::copy(&generated.join(folder), &workspace.root.join(folder))?;
    }
    Ok(())
}

/// Compares the generated code of the clients with the protos.
///
/// # Errors
///
/// They differ, or as for [`write()`].
pub(crate) fn compare(workspace: &Workspace) -> anyhow::Result<()> {
    let generated = generate(workspace)?;
    for folder in FOLDERS {
        let (expected, present) = (generated.join(folder), workspace.root.join(folder));
        let names = files::list(&expected)?;
        ensure!(names == files::list(&present)?, "other files are in {folder}: run `cargo xtask stubs`");
        for name in names {
            let same = fs::read(expected.join(&name))? == fs::read(present.join(&name))?;
            ensure!(same, "{folder}/{} differs from the protos: run `cargo xtask stubs`", name.display());
        }
    }
    Ok(())
}

/// Generates into the target folder; what is returned stands for the root of the repository.
fn generate(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let root = workspace.target.join("stubs");
    // The templates name their folders relative to `proto`.
    let out = root.join("proto");
    files::remove(&root)?;
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let path = plugins(workspace)?;
    for template in TEMPLATES {
        let mut command = Command::new("buf");
        command.args(["generate", "--template", template, "--output"]).arg(&out);
        command.env("PATH", &path).current_dir(workspace.root.join("proto"));
        process::run(&mut command, GENERATE_LIMIT)?;
    }
    Ok(root)
}

/// A search path that begins with buf and the plugins.
fn plugins(workspace: &Workspace) -> anyhow::Result<OsString> {
    let typescript = npm::install(&workspace.root.join("client/typescript"), &workspace.target.join("typescript"))?;
    let go = workspace.target.join("go-plugins");
    fs::create_dir_all(&go).with_context(|| format!("cannot make {}", go.display()))?;
    let mut command = Command::new("go");
    // A slash at the end: both programs go into the folder.
    command.args(["build", "-o"]).arg(go.join("")).args(GO_PLUGINS).current_dir(workspace.root.join("client/go"));
    process::run(&mut command, PLUGIN_LIMIT).context("Go is needed")?;
    let folders = [buf(workspace)?, typescript, go];
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(folders.into_iter().chain(env::split_paths(&path)).collect::<Vec<_>>())?)
}
