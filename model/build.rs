//! Lists the files of the trained checkpoints of this repository as tables of bytes in the library.
//!
//! Without its folder, or without the feature `embedded`, a table is empty.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Their folders, next to this file. Each table is named after its folder.
const FOLDERS: [&str; 2] = ["embedded", "embedded-sd-anime"];
/// The file that makes a folder a checkpoint. It is listed last, so that it is written last.
const INDEX: &str = "model_index.json";
/// Files of a checkpoint, without its model card and pictures.
const EXTENSIONS: [&str; 3] = ["json", "safetensors", "txt"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    println!("cargo::rerun-if-changed=build.rs");
    for name in FOLDERS {
        let folder = root.join(name);
        let mut files = Vec::new();
        if std::env::var_os("CARGO_FEATURE_EMBEDDED").is_some() {
            // A missing path would rerun this at every build; its parent changes when it is created.
            println!("cargo::rerun-if-changed={}", if folder.exists() { name } else { "." });
            if folder.join(INDEX).is_file() {
                collect(&folder, "", &mut files)?;
                files.sort_by_key(|file| (file == INDEX, file.clone()));
            }
        }
        fs::write(out.join(name).with_extension("rs"), table(&folder, &files))?;
    }
    Ok(())
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
