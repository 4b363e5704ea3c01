//! Puts the built page of the studio into the program, if there is one: see `client/studio`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where `cargo xtask studio` puts the page. Every file has a second one with this ending, compressed by gzip.
const PAGE: &str = "../client/studio/dist";
const PACKED: &str = "gz";

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let page = manifest.join(PAGE);
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if page.is_dir() {
        // Cargo builds again whenever a path that it watches is missing, so only a folder that exists is watched.
        println!("cargo::rerun-if-changed={}", page.display());
        collect(&page, &mut files)?;
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let path = file.strip_prefix(&page).unwrap_or(file).with_extension("");
        let name = path.to_string_lossy().replace('\\', "/");
        let written = writeln!(table, "    Asset {{ path: {name:?}, packed: include_bytes!({file:?}) }},");
        written.map_err(io::Error::other)?;
    }
    table.push(']');
    let out = Path::new(&env::var_os("OUT_DIR").unwrap_or_default()).join("studio.rs");
    fs::write(out, table)
}

/// The compressed files below a folder.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == PACKED) {
            found.push(path);
        }
    }
    Ok(())
}
