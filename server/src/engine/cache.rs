//! Folders that are made once and kept: whole, or not there.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::EngineError;

/// The folder `name` in `cache`; if it is not there, `make` fills it first.
///
/// It is filled under another name and then renamed, so that neither an interrupted start nor two servers at once leave
/// half a folder behind.
///
/// # Errors
///
/// What could not be written, or what `make` says.
pub fn complete_folder<E: Display>(
    cache: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, EngineError> {
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let draft = cache.join(format!(".{name}.{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(&draft).map_err(|error| unwritable(&draft, &error))?;
    let made = make(&draft).map_err(|error| EngineError::Model(error.to_string())).and_then(|()| {
        match fs::rename(&draft, &folder) {
            Ok(()) => Ok(()),
            // Another server was faster; its folder is as good.
            Err(_) if folder.is_dir() => fs::remove_dir_all(&draft).map_err(|error| unwritable(&draft, &error)),
            Err(error) => Err(unwritable(&folder, &error)),
        }
    });
    if made.is_err() {
        // What went wrong before is what matters.
        let _ = fs::remove_dir_all(&draft);
    }
    made.map(|()| folder)
}

fn unwritable(path: &Path, error: &io::Error) -> EngineError {
    EngineError::Model(format!("cannot write {}: {error}; name another folder with --cache-dir", path.display()))
}

/// The user's cache folder: `$XDG_CACHE_HOME/sakuga`, else `~/.cache/sakuga`.
///
/// # Errors
///
/// If the environment names neither.
pub fn default_cache(environment: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, EngineError> {
    // The XDG specification has relative paths ignored.
    let absolute = |name| environment(name).filter(|path: &PathBuf| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("sakuga"))
        .ok_or_else(|| {
            let text = "there is no cache folder: neither XDG_CACHE_HOME nor HOME is set; name one with --cache-dir";
            EngineError::Model(text.into())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(draft: &Path) -> io::Result<()> {
        fs::write(draft.join("file"), "whole")
    }

    #[test]
    fn a_folder_is_made_once() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let folder = complete_folder(cache.path(), "model", make).expect("made");
        assert_eq!(fs::read_to_string(folder.join("file")).expect("written"), "whole");
        let again = complete_folder(cache.path(), "model", |_| Err("made twice"));
        assert_eq!(again, Ok(folder));
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 1, "no draft is left");
    }

    #[test]
    fn half_a_folder_is_not_left_behind() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let failed = complete_folder(cache.path(), "model", |draft| {
            make(draft).expect("written");
            Err("no space")
        });
        assert_eq!(failed, Err(EngineError::Model("no space".into())));
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn of_two_servers_the_faster_one_wins() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let folder = complete_folder(cache.path(), "model", |draft| {
            complete_folder(cache.path(), "model", make).expect("the other server's");
            make(draft)
        });
        assert_eq!(folder, Ok(cache.path().join("model")));
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn the_environment_says_where() {
        let both = |name: &str| Some(PathBuf::from(format!("/{name}")));
        assert_eq!(default_cache(both), Ok("/XDG_CACHE_HOME/sakuga".into()));
        let home = |name: &str| (name == "HOME").then(|| PathBuf::from("/home/user"));
        assert_eq!(default_cache(home), Ok("/home/user/.cache/sakuga".into()));
        assert!(default_cache(|_| Some("relative".into())).is_err());
    }
}
