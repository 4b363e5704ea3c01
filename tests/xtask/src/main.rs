//! The commands of Sakuga: `cargo xtask demo`, `test`, `build`, `studio`, `dist`, `python` and `stubs`.
//!
//! They need a Rust toolchain, a C compiler, Python 3 and the package registries. Everything that they write lies under Cargo's
//! target folder, except for the studio's page (`client/studio/dist`) and the generated code of the clients, which `python` and
//! `stubs` write.

#![forbid(unsafe_code)]

mod build;
mod demo;
mod dist;
mod files;
mod interrupt;
mod llvm;
mod npm;
mod process;
mod python;
mod server;
mod stubs;
mod studio;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Runs, checks and builds Sakuga.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build in release, start a server, draw the two-character example through it, and stop the server.
    Demo(demo::Options),
    /// Run every check and test, cheapest first, and close with a summary.
    Test(test::Options),
    /// Build the server and the command line in release.
    Build(BuildOptions),
    /// Build the studio's page with npm. Builds of the server that follow have it.
    Studio,
    /// Build a release: archives of the server, the command line and the Python package, with checksums, licences and
    /// bills of materials.
    Dist(dist::Options),
    /// Write the generated modules of the Python client from the protos.
    Python,
    /// Write the generated code of every client from the protos: Python, Go and TypeScript.
    Stubs,
}

#[derive(clap::Args)]
struct BuildOptions {
    /// Build the server with burn's CUDA backend; LLVM is fetched first if it is not installed.
    #[arg(long)]
    cuda: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    interrupt::listen()?;
    let workspace = Workspace::locate()?;
    match arguments.command {
        Command::Demo(options) => demo::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Command::Test(options) => test::run(&workspace, &options),
        Command::Build(options) => {
            let built = build::release(&workspace, options.cuda)?;
            println!("{}\n{}", built.server.display(), built.client.display());
            Ok(ExitCode::SUCCESS)
        }
        Command::Studio => {
            studio::build(&workspace)?;
            println!("the page is built; a server that is built from now on has it");
            Ok(ExitCode::SUCCESS)
        }
        Command::Dist(options) => dist::run(&workspace, &options).map(|()| ExitCode::SUCCESS),
        Command::Python => python::generate(&workspace).map(|()| ExitCode::SUCCESS),
        Command::Stubs => {
            python::generate(&workspace)?;
            stubs::write(&workspace).map(|()| ExitCode::SUCCESS)
        }
    }
}
