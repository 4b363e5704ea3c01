//! `sakuga-dist`: packs programs that have been built into release archives.
//!
//! Each archive holds a program, its licence, the licences of every crate in it, and its software bill of materials
//! (CycloneDX). `SHA256SUMS` lists every file of the release. The same programs give the same bytes. `cargo xtask dist`
//! builds the programs and the Python package and calls this.

#![forbid(unsafe_code)]

mod archive;
mod checksums;
mod graph;
mod licences;
mod release;
mod sbom;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::release::{Program, Release};

/// Packs programs that have been built into release archives.
#[derive(Parser)]
struct Arguments {
    /// The program sakuga-server.
    #[arg(long, value_name = "FILE")]
    server: PathBuf,
    /// The program sakuga.
    #[arg(long, value_name = "FILE")]
    client: PathBuf,
    /// The wheel of the Python package.
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,
    /// Features that the server was built with.
    #[arg(long, value_name = "FEATURE")]
    server_features: Vec<String>,
    /// The target that the programs were built for, as rustc calls it.
    #[arg(long, value_name = "TRIPLE")]
    target: String,
    /// How much to compress: 1 is fast, 9 is small.
    #[arg(long, value_name = "LEVEL", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=9))]
    level: u32,
    /// The root of the repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
    /// Where the release goes; files of the same names are replaced.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let release = Release {
        root: arguments.root,
        target: arguments.target,
        programs: vec![
            Program {
                package: "sakuga-server",
                name: "sakuga-server",
                file: arguments.server,
                features: arguments.server_features,
                also: &[
                    "server/README.md",
                    "server/deploy/RUNBOOK.md",
                    "server/deploy/sakuga-server.toml",
                    "server/deploy/sakuga-server.service",
                ],
            },
            Program {
                package: "sakuga-client",
                name: "sakuga",
                file: arguments.client,
                features: Vec::new(),
                also: &["client/README.md", ".licenses/LICENSE-DEJAVU"],
            },
        ],
        wheel: arguments.wheel,
        level: arguments.level,
    };
    match release.write(&arguments.out) {
        Ok(files) => {
            files.iter().for_each(|file| println!("{}", file.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
