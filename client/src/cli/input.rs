//! Reading what a user names: a file, or `-` for stdin. Every read is bounded. Devices, sockets and named pipes are refused.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use sakuga_client::proto::text::one_line;

use super::exit::Exit;
use super::failure::Failure;
use super::scene_text;

/// The largest prompt that is read. The prompt language allows far less and reports the size; this only bounds memory.
const MAX_PROMPT_BYTES: u64 = 64 << 20;
/// The largest picture that is read.
const MAX_PICTURE_BYTES: u64 = 1 << 30;

/// An input and its name.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The path as it was given, or `stdin`.
    pub name: String,
    /// The file; `None` for stdin.
    pub path: Option<PathBuf>,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Reads the text of a prompt. `command` is the subcommand, for the hint where text was given instead of a file. The file of a
/// scene is refused.
pub(crate) fn read_prompt(path: &Path, command: &str) -> Result<Input, Failure> {
    let hint = |text: String| format!("to give text instead of a file: echo {text} | sakuga {command} -");
    one_prompt(read(path, MAX_PROMPT_BYTES, hint)?)
}

/// Reads the text of a negative prompt that an option names. The file of a scene is refused.
pub(crate) fn read_negative(path: &Path) -> Result<Input, Failure> {
    let hint =
        |text: String| format!("to give text instead of a file: echo {text} | sakuga generate FILE --negative -");
    one_prompt(read(path, MAX_PROMPT_BYTES, hint)?)
}

/// Reads a file with the text of a prompt, up to this size. The file of a scene is refused.
pub(crate) fn read_prompt_file(path: &Path, max_bytes: u64) -> Result<Input, Failure> {
    one_prompt(read(path, max_bytes, |_| String::new())?)
}

fn one_prompt(input: Input) -> Result<Input, Failure> {
    scene_text::refuse(input.path.as_deref(), &input.bytes).map(|()| input)
}

pub(crate) fn read_picture(path: &Path) -> Result<Input, Failure> {
    read(path, MAX_PICTURE_BYTES, |_| String::new())
}

/// Opens a file or stdin, which the caller reads up to a bound. Returns its name too.
pub(crate) fn open_to_read(path: &Path) -> Result<(String, Box<dyn Read>), Failure> {
    if path == Path::new("-") {
        return Ok(("stdin".to_owned(), Box::new(io::stdin().lock())));
    }
    let file = open(path).map_err(|error| Failure::unreadable(path, error))?;
    Ok((path.display().to_string(), Box::new(BufReader::new(file))))
}

/// Reads a file of at most this size.
pub(crate) fn read_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Failure> {
    read_bounded(path, max_bytes).map_err(|error| Failure::unreadable(path, error))
}

fn read(path: &Path, max_bytes: u64, hint: impl FnOnce(String) -> String) -> Result<Input, Failure> {
    if path == Path::new("-") {
        let bytes = bounded(io::stdin().lock(), max_bytes)
            .map_err(|error| Failure::new(Exit::Unreadable, format_args!("cannot read stdin: {error}")))?;
        return Ok(Input { name: "stdin".to_owned(), path: None, bytes });
    }
    match read_bounded(path, max_bytes) {
        Ok(bytes) => Ok(Input { name: path.display().to_string(), path: Some(path.to_owned()), bytes }),
        Err(error) => {
            let failure = Failure::unreadable(path, &error);
            let no_such_file = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename);
            match as_text(path).filter(|_| no_such_file).map(hint).filter(|hint| !hint.is_empty()) {
                Some(hint) => Err(failure.with_help(hint)),
                None => Err(failure),
            }
        }
    }
}

/// The name quoted for a shell, if it looks like a prompt rather than like the name of a file.
fn as_text(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let is_text = text.contains([',', ' ', '<', '\n']) || !text.contains(['.', '/', '\\']);
    is_text.then(|| {
        let text = one_line(text);
        let short = text.chars().count() <= 60;
        if short { format!("'{}'", text.replace('\'', r"'\''")) } else { "'...'".to_owned() }
    })
}

fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    bounded(open(path)?, max_bytes)
}

fn bounded(from: impl Read, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        let text = format!("it has more than {}", super::units::bytes(max_bytes));
        return Err(io::Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Opens a regular file, or the pipe that a shell passes for `<(command)`. Opening does not wait.
fn open(path: &Path) -> io::Result<File> {
    let refused = |what: &str| io::Error::new(ErrorKind::InvalidInput, format!("it is {what}; name a file"));
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    let file = options.open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(refused("a directory"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            // Without a writer it reads as empty, and waiting for one could take forever.
            if has_name(path) {
                let text = "it is a named pipe; name a file, or write `<(cat PIPE)` in its place";
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            }
            // The writer of `<(command)` is there: wait for what it writes.
            let flags = rustix::fs::fcntl_getfl(&file)?;
            rustix::fs::fcntl_setfl(&file, flags - rustix::fs::OFlags::NONBLOCK)?;
            return Ok(file);
        }
    }
    if kind.is_file() { Ok(file) } else { Err(refused("a device or a socket")) }
}

/// Whether the pipe at `path` has a name in a file system. A pipe of a shell is only an open file: `/dev/fd/63`, whose link leads
/// to no name.
#[cfg(unix)]
fn has_name(path: &Path) -> bool {
    !path.starts_with("/dev/fd") && path.canonicalize().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_up_to_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        let message = read_file(&path, 4).unwrap_err().message().to_owned();
        assert!(message.contains("more than 4 B"), "{message}");
        assert!(read_file(directory.path(), 5).unwrap_err().message().contains("a directory"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_and_named_pipes_are_refused_and_the_pipe_of_a_shell_is_read() {
        for device in ["/dev/zero", "/dev/null"] {
            assert!(read_file(Path::new(device), 5).unwrap_err().message().contains("a device"));
        }
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        fifo_at(&fifo);
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        for named in [&fifo, &link] {
            assert!(read_file(named, 5).unwrap_err().message().contains("a named pipe"));
        }
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            io::Write::write_all(&mut writer, b"late").unwrap();
        });
        let file = std::os::fd::AsRawFd::as_raw_fd(&reader);
        for place in [format!("/dev/fd/{file}"), format!("/proc/self/fd/{file}")] {
            assert!(!has_name(Path::new(&place)), "{place}");
        }
        assert_eq!(read_file(Path::new(&format!("/proc/self/fd/{file}")), 5).unwrap(), b"late");
        thread.join().unwrap();
    }

    #[test]
    fn text_is_distinguished_from_a_name() {
        for text in ["1girl, solo", "1girl", "<caption>a</caption>", "a fox"] {
            assert!(as_text(Path::new(text)).is_some(), "{text}");
        }
        for name in ["prompt.xml", "a/b", "no.png"] {
            assert_eq!(as_text(Path::new(name)), None);
        }
        assert_eq!(as_text(Path::new("it's me")).as_deref(), Some(r"'it'\''s me'"));
    }

    #[cfg(target_os = "linux")]
    fn fifo_at(path: &Path) {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
}
