//! Replaces a regular file, or creates a new one, in one step. Links, pipes, devices and directories are never replaced.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

/// Writes a file so that `path` names either what it named before or all of `bytes`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if `path` names anything but a regular file; what the file system reports.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(path)?;
    replacement.file().write_all(bytes)?;
    replacement.finish()
}

/// A file that is written piece by piece and takes the place of `path` when it is whole. Dropped before that, it is removed.
pub(crate) struct Replacement {
    temporary: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// An empty file next to `path`.
    ///
    /// # Errors
    ///
    /// Those of [`write()`].
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        check(path)?;
        Ok(Self { temporary: temporary_near(path)?, path: path.to_owned() })
    }

    /// The file to write to.
    pub(crate) fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    ///
    /// Those of [`write()`].
    pub(crate) fn finish(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        persist(self.temporary.into_temp_path(), &self.path)
    }
}

/// Fails if a file cannot be written to `path`.
///
/// # Errors
///
/// Those of [`write()`].
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    check(path)?;
    temporary_near(path).map(drop)
}

/// Opens a regular file for writing and empties it, or creates a new one. Links are not followed.
///
/// # Errors
///
/// Those of [`write()`].
pub(crate) fn create(path: &Path) -> io::Result<File> {
    check(path)?;
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    let file = options.open(path)?;
    // Checked again on the open file: `path` may name something else by now.
    refuse_special(&file.metadata()?)?;
    file.set_len(0)?;
    Ok(file)
}

/// The directory that `path` lies in.
pub(crate) fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Fails if `path` names anything but a regular file or a free name.
///
/// # Errors
///
/// Those of [`write()`].
pub(crate) fn check(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => refuse_special(&metadata),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn refuse_special(metadata: &Metadata) -> io::Result<()> {
    let what = match metadata.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory; name a file",
        kind if kind.is_symlink() => "a link; name the file that it leads to",
        _ => "a device, pipe or socket; name a regular file",
    };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}")))
}

/// Moves the temporary file to `path`.
///
/// A new name is taken only if it is still free. An existing name is exchanged with the temporary file, and exchanged
/// back unless a regular file came out of it, so that nothing else is lost whenever it appeared under that name.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn persist(temporary: TempPath, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;

    let rename = |flags| renameat_with(CWD, &*temporary, CWD, path, flags);
    match rename(RenameFlags::NOREPLACE) {
        Ok(()) => {
            temporary.keep()?;
            Ok(())
        }
        Err(Errno::EXIST) => {
            match rename(RenameFlags::EXCHANGE) {
                Ok(()) => {}
                Err(error) if is_unsupported(error) => return persist_plainly(temporary, path),
                Err(error) => return Err(error.into()),
            }
            // Under the temporary name there is now what `path` named.
            let replaced = std::fs::symlink_metadata(&temporary).and_then(|metadata| refuse_special(&metadata));
            if let Err(error) = replaced {
                rename(RenameFlags::EXCHANGE)?;
                return Err(error);
            }
            temporary.close()
        }
        Err(error) if is_unsupported(error) => persist_plainly(temporary, path),
        Err(error) => Err(error.into()),
    }
}

/// Whether the file system cannot exchange names.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn is_unsupported(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    matches!(error, Errno::INVAL | Errno::NOSYS | Errno::NOTSUP)
}

#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn persist(temporary: TempPath, path: &Path) -> io::Result<()> {
    persist_plainly(temporary, path)
}

/// For systems that cannot exchange names: between the check and the move another process could still put a special file
/// under this name, which would then be replaced.
fn persist_plainly(temporary: TempPath, path: &Path) -> io::Result<()> {
    check(path)?;
    temporary.persist(path).map_err(|error| error.error)
}

fn temporary_near(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sakuga-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // A temporary file is private by default; a result gets the permissions of the user's umask.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(parent_of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        check_writable(&path).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        create(&path).unwrap().write_all(b"3").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"3");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn links_pipes_and_directories_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link, fifo) =
            (directory.path().join("target"), directory.path().join("link"), directory.path().join("fifo"));
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        fifo_at(&fifo);
        for special in [&link, &fifo, &directory.path().to_owned(), &PathBuf::from("/dev/null")] {
            for result in [write(special, b"x"), create(special).map(drop), check_writable(special)] {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput, "{special:?}");
            }
        }
        assert_eq!(std::fs::read(&target).unwrap(), b"kept");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_takes_the_name_after_the_check_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        let temporary = temporary_near(&path).unwrap().into_temp_path();
        fifo_at(&path);
        assert_eq!(persist(temporary, &path).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(!std::fs::symlink_metadata(&path).unwrap().is_file(), "the pipe is there again");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    fn fifo_at(path: &Path) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
}
