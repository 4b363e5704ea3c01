//! Lists the files of `embedded/`, the trained checkpoint of this repository, as a table of bytes in the library.
//!
//! Without the folder, or without the feature `embedded`, the table is empty.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder, next to this file.
const FOLDER: &str = "embedded";
/// The file that makes a folder a checkpoint. It is listed last, so that it is written last.
const INDEX: &str = "model_index.json";
/// Files of a checkpoint, without its model card and pictures.
const EXTENSIONS: [&str; 2] = ["json", "safetensors"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let folder = root.join(FOLDER);
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if std::env::var_os("CARGO_FEATURE_EMBEDDED").is_some() {
        // A missing path would rerun this at every build; its parent changes when it is created.
        println!("cargo::rerun-if-changed={}", if folder.exists() { FOLDER } else { "." });
        if folder.join(INDEX).is_file() {
            collect(&folder, "", &mut files)?;
            files.sort_by_key(|file| (file == INDEX, file.clone()));
        }
    }
    fs::write(Path::new(&variable("OUT_DIR")?).join("embedded.rs"), table(&folder, &files))
}

/// The files of a checkpoint under `folder`, as paths with `/` relative to the first call's.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            io::Error::other(format!("{} holds {name:?}, a name that is not Unicode; rename it", folder.display()))
        })?;
        let path = entry.path();
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files)?;
        } else if path.extension().is_some_and(|end| EXTENSIONS.iter().any(|known| end == *known)) {
            files.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// The table as an expression of Rust.
fn table(folder: &Path, files: &[String]) -> String {
    let mut text = String::from("&[\n");
    for file in files {
        let path = folder.join(file);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    EmbeddedFile {{ path: {file:?}, bytes: include_bytes!({path:?}) }},");
    }
    text.push(']');
    text
}

fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}; run this through cargo")))
}
