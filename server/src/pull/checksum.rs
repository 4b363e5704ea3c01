//! Checksums as a hub states them.

/// The checksum of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Checksum {
    /// SHA-256, as hubs state it for large files.
    Sha256(String),
    /// The object name that git gives a file: SHA-1 of its length and content.
    GitBlob(String),
}

/// Whether a text has this many lower-case hexadecimal digits.
pub(super) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
