//! Folders that are written once and kept: complete, or not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use super::CacheError;

/// The folder `name` in `cache`; if it is not there, `make` fills it first.
///
/// It is filled under another name and then renamed, so that neither an interrupted start nor two servers at once leave
/// half a folder behind.
///
/// # Errors
///
/// What could not be written, or the error of `make`.
pub(super) fn complete_folder(
    cache: &Path,
    name: &str,
    make: impl FnOnce(&Path) -> Result<(), CacheError>,
) -> Result<PathBuf, CacheError> {
    let folder = cache.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let draft = cache.join(unique_name(name));
    fs::create_dir_all(&draft).map_err(unwritable(&draft))?;
    let made = make(&draft).and_then(|()| match fs::rename(&draft, &folder) {
        Ok(()) => Ok(()),
        // Another server was faster; its folder is as good.
        Err(_) if folder.is_dir() => fs::remove_dir_all(&draft).map_err(unwritable(&draft)),
        Err(error) => Err(unwritable(&folder)(error)),
    });
    if made.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&draft);
    }
    made.map(|()| folder)
}

/// A name that no other thread or process uses at the time.
fn unique_name(name: &str) -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let time = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
    format!(".{name}.{}.{}.{time}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(draft: &Path) -> Result<(), CacheError> {
        fs::write(draft.join("file"), "whole").map_err(unwritable(draft))
    }

    #[test]
    fn a_folder_is_made_once() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let folder = complete_folder(cache.path(), "model", make).expect("made");
        assert_eq!(fs::read_to_string(folder.join("file")).expect("written"), "whole");
        let again = complete_folder(cache.path(), "model", |_| panic!("made twice")).expect("it is there");
        assert_eq!(again, folder);
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 1, "no draft is left");
    }

    #[test]
    fn half_a_folder_is_not_left_behind() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let failed = complete_folder(cache.path(), "model", |draft| {
            make(draft)?;
            Err(unwritable(draft)(io::Error::other("no space")))
        });
        assert!(failed.expect_err("it failed").to_string().contains("no space"));
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn of_two_servers_the_faster_one_wins() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let folder = complete_folder(cache.path(), "model", |draft| {
            complete_folder(cache.path(), "model", make).expect("the other server's");
            make(draft)
        });
        assert_eq!(folder.expect("one of the two"), cache.path().join("model"));
        assert_eq!(fs::read_dir(cache.path()).expect("a folder").count(), 1);
    }
}
