//! SHA-256 in hexadecimal digits.

use std::io::{self, Read as _};
use std::path::Path;

use sakuga_model_core::open_regular_file;
use sha2::{Digest as _, Sha256};

/// Bytes that are read of a file at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// The SHA-256 of these bytes in 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

/// Adds the content of a regular file to a hash.
///
/// # Errors
///
/// It cannot be read, or is not a regular file.
pub(crate) fn hash_file(hash: &mut Sha256, path: &Path) -> io::Result<()> {
    let mut file = open_regular_file(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            count => hash.update(&chunk[..count]),
        }
    }
}

/// The result of a hash in 64 lower-case hexadecimal digits.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
