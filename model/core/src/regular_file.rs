//! Regular files: opened without waiting, and read up to a bound.

use std::fs::{File, FileType, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// Opens a regular file, or a link to one, for reading. Everything else is refused: opening a pipe waits for a writer, and a
/// device or a socket may never end.
///
/// # Errors
///
/// What the system says, or [`ErrorKind::InvalidInput`] with what is there instead.
pub fn open_regular_file(path: &Path) -> io::Result<File> {
    // Before the file is opened: opening a device may change its state.
    require_regular(&std::fs::metadata(path)?)?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        // A pipe may have replaced the file since.
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

/// The content of a regular file of at most `bytes_max` bytes.
///
/// # Errors
///
/// Those of [`open_regular_file`], or [`ErrorKind::FileTooLarge`].
pub fn read_regular_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = open_regular_file(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.len() <= bytes_max {
        // The file may grow, and files of the kernel have no length.
        file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 <= bytes_max {
            return Ok(bytes);
        }
    }
    let text = format!("it has more than the {bytes_max} bytes that such a file may have");
    Err(io::Error::new(ErrorKind::FileTooLarge, text))
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let what = if kind.is_dir() { "a folder" } else { special(kind) };
    Err(io::Error::new(ErrorKind::InvalidInput, format!("it is {what}, not a regular file")))
}

/// What a file is that is neither regular nor a folder.
#[cfg(unix)]
fn special(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    match () {
        () if kind.is_fifo() => "a pipe (FIFO)",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn special(_: FileType) -> &'static str {
    "a device"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_bound() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 100]).expect("written");
        assert_eq!(read_regular_file(&path, 100).expect("as large as it may be"), [7; 100]);
        let refused = read_regular_file(&path, 99).expect_err("one byte too many");
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
        assert!(refused.to_string().contains("99 bytes"), "{refused}");
        let missing = read_regular_file(&folder.path().join("gone"), 1).expect_err("missing");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_a_regular_file_is_named_without_waiting() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = tempfile::tempdir().expect("a temporary folder");
        let [fifo, link, socket] = ["fifo", "link", "socket"].map(|name| folder.path().join(name));
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        std::os::unix::fs::symlink(&fifo, &link).expect("a link");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for (path, what) in [
            (fifo.as_path(), "a pipe (FIFO)"),
            (&link, "a pipe (FIFO)"),
            (&socket, "a socket"),
            (folder.path(), "a folder"),
            (Path::new("/dev/zero"), "a device"),
            (Path::new("/dev/null"), "a device"),
        ] {
            let refused = open_regular_file(path).expect_err("not a regular file");
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(refused.to_string().contains(what), "{}: {refused}", path.display());
        }
    }
}
