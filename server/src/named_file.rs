//! Files that the operator names: read whole, up to a bound, with an error that says what to do.

use std::io::{self, ErrorKind};
use std::path::Path;

use sakuga_model_core::read_regular_file;

/// The content of a regular file of at most `bytes_max` bytes. Never waits for a pipe or reads a device.
///
/// # Errors
///
/// What is wrong with the file and what to do, without its path.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    read_regular_file(path, bytes_max).map_err(|error| with_remedy(&error))
}

/// As [`read`], of a text in UTF-8.
pub(crate) fn read_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|error| format!("it is not UTF-8 from byte {} on; save it as UTF-8", error.utf8_error().valid_up_to()))
}

fn with_remedy(error: &io::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::InvalidInput => "name a regular file",
        ErrorKind::FileTooLarge => "name another file",
        _ => "name a file that can be read",
    };
    format!("{error}; {remedy}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_the_file_is_and_what_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"ab\xff").expect("written");
        for (path, bytes_max, parts) in [
            (path.as_path(), 2, ["more than the 2 bytes", "name another file"]),
            (&path, 3, ["not UTF-8 from byte 2", "save it as UTF-8"]),
            (folder.path(), 3, ["it is a folder", "name a regular file"]),
            (&folder.path().join("gone"), 3, ["No such file", "name a file that can be read"]),
        ] {
            let problem = read_text(path, bytes_max).expect_err("it cannot be used");
            assert!(parts.iter().all(|part| problem.contains(part)), "{problem}");
        }
    }
}
