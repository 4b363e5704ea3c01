//! Reading what a user names: a file, or `-` for stdin.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::failure::Failure;

/// The most that is read as a prompt. The prompt language allows far less and says how much; this only keeps an endless
/// stream from filling the memory.
const MAX_PROMPT_BYTES: u64 = 64 * 1024 * 1024;

/// The most that is read as a picture.
const MAX_PICTURE_BYTES: u64 = 1024 * 1024 * 1024;

/// An input and what to call it.
#[derive(Debug)]
pub struct Input {
    /// The path as it was given, or `stdin`.
    pub name: String,
    /// Where to write a changed form; `None` for stdin.
    pub path: Option<PathBuf>,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Reads the text of a prompt.
pub fn read_prompt(path: &Path) -> Result<Input, Failure> {
    read(path, MAX_PROMPT_BYTES)
}

/// Reads a picture.
pub fn read_picture(path: &Path) -> Result<Input, Failure> {
    read(path, MAX_PICTURE_BYTES)
}

fn read(path: &Path, max_bytes: u64) -> Result<Input, Failure> {
    let mut bytes = Vec::new();
    let limit = max_bytes.saturating_add(1);
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let result = if is_stdin {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    let read_bytes =
        result.map_err(|error| Failure::new(Exit::Unreadable, format_args!("cannot read {name}: {error}")))?;
    if read_bytes as u64 > max_bytes {
        let message = format!("cannot read {name}: it has more than {} MiB", max_bytes / (1024 * 1024));
        return Err(Failure::new(Exit::Unreadable, message));
    }
    Ok(Input { name, path: (!is_stdin).then(|| path.to_owned()), bytes })
}
