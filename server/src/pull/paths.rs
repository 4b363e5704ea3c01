//! Paths of files as a server states them, and the folders in which they are written.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::{PullError, at, shown};

/// Bytes of the longest path that a repository may name.
const PATH_BYTES_MAX: usize = 512;
/// Bytes of the longest name in a path.
const NAME_BYTES_MAX: usize = 200;

/// Checks paths of files below one folder: relative, without `.`, `..`, backslashes, colons and what a terminal acts on, and no
/// two that differ in case alone.
///
/// # Errors
///
/// Which path is refused, and why.
pub(super) fn check<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for path in paths {
        let is_name = |name: &str| {
            !name.is_empty()
                && name != "."
                && name != ".."
                && name.len() <= NAME_BYTES_MAX
                && !name.ends_with(['.', ' '])
        };
        let is_plain = path.len() <= PATH_BYTES_MAX
            && path.split('/').all(is_name)
            && !path.contains(['\\', ':'])
            && !path.chars().any(sakuga_proto::text::is_invisible);
        if !is_plain {
            return Err(format!(
                "it names a file `{}`, which could leave the folder or cannot be written",
                shown(path)
            ));
        }
        if !seen.insert(path.to_lowercase()) {
            return Err(format!("it names `{}` twice, or in another case", shown(path)));
        }
    }
    Ok(())
}

/// The location of a checked path below `folder`. Creates its parent folders.
///
/// # Errors
///
/// A folder cannot be made, or something on the way is not a plain folder or file.
pub(super) fn place(folder: &Path, path: &str) -> Result<PathBuf, PullError> {
    let mut place = folder.to_owned();
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        place.push(name);
        if names.peek().is_some() {
            make_folder(&place)?;
        } else {
            plain_file_or_nothing(&place)?;
        }
    }
    Ok(place)
}

/// Creates a folder unless it is there. A link in its place is an error.
pub(super) fn make_folder(folder: &Path) -> Result<(), PullError> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_folder = fs::symlink_metadata(folder).map_err(at(folder))?.is_dir();
            if is_folder { Ok(()) } else { Err(PullError::NotPlain(folder.to_owned())) }
        }
        Err(error) => Err(at(folder)(error)),
    }
}

/// Bytes of a plain file; `None` if there is nothing.
pub(super) fn plain_file_or_nothing(path: &Path) -> Result<Option<u64>, PullError> {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_file() => Ok(Some(data.len())),
        Ok(_) => Err(PullError::NotPlain(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        let long = "a".repeat(201);
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../x",
            "a//b",
            "a/",
            "./a",
            "a\\..\\b",
            "C:/x",
            "a\0b",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "a.",
            &long,
        ] {
            assert!(check([path]).is_err(), "{path:?}");
        }
        check(["model_index.json", "vae/diffusion_pytorch_model.safetensors", ".gitattributes", "画/絵.png"])
            .expect("plain");
        assert!(check(["a/b", "A/b"]).is_err_and(|error| error.contains("in another case")));
    }

    #[cfg(unix)]
    #[test]
    fn links_on_the_way_are_refused() {
        let (folder, outside) = (tempfile::tempdir().expect("made"), tempfile::tempdir().expect("made"));
        std::os::unix::fs::symlink(outside.path(), folder.path().join("vae")).expect("a link");
        std::os::unix::fs::symlink(outside.path().join("x"), folder.path().join("x")).expect("a link");
        for path in ["vae/config.json", "x"] {
            assert!(matches!(place(folder.path(), path), Err(PullError::NotPlain(_))), "{path}");
        }
        assert!(place(folder.path(), "transformer/config.json").is_ok());
    }
}
