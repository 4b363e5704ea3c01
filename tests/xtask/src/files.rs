//! Folders with everything in them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Copies a folder with everything in it.
///
/// # Errors
///
/// A file cannot be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for path in list(from)? {
        let content = fs::read(from.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
        write(&to.join(&path), content)?;
    }
    Ok(())
}

/// Every file below a folder, relative to it and sorted.
///
/// # Errors
///
/// A folder cannot be read.
pub(crate) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", next.display()))?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                found.push(relative.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a file and the folders above it.
///
/// # Errors
///
/// One of them cannot be written.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// Removes a folder with everything in it, if it is there.
///
/// # Errors
///
/// It cannot be removed.
pub(crate) fn remove(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
