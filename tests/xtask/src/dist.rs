//! `cargo xtask dist`: a release, in archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::build::{self, Built};
use crate::python::Environment;
use crate::workspace::Workspace;
use crate::{process, studio};

/// Building the wheel takes a second.
const WHEEL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Compressing takes seconds; compiling the packer, a minute.
const PACK_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What is released.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Where the release goes [default: target/dist].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build the server with burn's CUDA backend; LLVM is fetched first if it is not installed.
    #[arg(long)]
    cuda: bool,
}

/// Builds everything in release and packs it.
///
/// # Errors
///
/// A build fails, there is no Python 3, or a file cannot be written.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let out = options.out.clone().unwrap_or_else(|| workspace.target.join("dist"));
    let environment = Environment::prepare(workspace).context("the wheel is built with Python")?;
    if studio::is_possible() {
        // An error of the network must not lead to a release without the page.
        studio::build(workspace)?;
    }
    let built = build::release(workspace, options.cuda)?;
    let wheel = wheel(workspace, &environment, &workspace.target.join("wheel"))?;
    let mut packer = workspace.cargo(["run", "--locked", "--quiet", "--package", "sakuga-dist", "--"]);
    if options.cuda {
        packer.args(["--server-features", "cuda"]);
    }
    pack(workspace, packer, &built, &wheel, &out)
}

/// Packs programs and a wheel with this packer, a program or a command of Cargo.
///
/// # Errors
///
/// The packer fails.
pub(crate) fn pack(
    workspace: &Workspace,
    mut packer: Command,
    built: &Built,
    wheel: &Path,
    out: &Path,
) -> anyhow::Result<()> {
    packer.arg("--server").arg(&built.server).arg("--client").arg(&built.client).arg("--wheel").arg(wheel);
    packer.arg("--target").arg(workspace.host()?).arg("--root").arg(&workspace.root).arg("--out").arg(out);
    process::run(&mut packer, PACK_LIMIT)
}

/// Builds the wheel of the Python package in an empty folder, and returns it.
///
/// # Errors
///
/// The build fails.
pub(crate) fn wheel(workspace: &Workspace, environment: &Environment, folder: &Path) -> anyhow::Result<PathBuf> {
    let unwritable = || format!("cannot empty {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(unwritable)?;
    }
    fs::create_dir_all(folder).with_context(unwritable)?;
    let mut command = Command::new(environment.python());
    command.args(["-B", "-m", "hatchling", "build", "--target", "wheel", "--directory"]).arg(folder);
    process::run(command.current_dir(workspace.root.join("client/python")), WHEEL_LIMIT)?;
    let made: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(unwritable)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match made.as_slice() {
        [wheel] => Ok(wheel.clone()),
        _ => bail!("hatchling made {} wheels in {}", made.len(), folder.display()),
    }
}
