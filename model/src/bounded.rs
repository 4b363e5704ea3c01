//! Reads small files of a checkpoint within a bound, whatever is in their place.

use std::path::Path;

use sakuga_model_core::read_regular_file;

use crate::error::LoadError;

/// Bound of a configuration, an index of shards or another small JSON file, in bytes. Published ones have up to half a
/// mebibyte.
pub(crate) const CONFIG_BYTES_MAX: u64 = 16 << 20;
/// Bound of a `tokenizer.json`, in bytes. Published ones have up to 35 MB.
pub(crate) const TOKENIZER_BYTES_MAX: u64 = 128 << 20;

/// The contents of a regular file of at most `bytes_max` bytes.
///
/// # Errors
///
/// [`LoadError::Read`], also for a larger file and for everything that is not a regular file.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, LoadError> {
    read_regular_file(path, bytes_max).map_err(|source| LoadError::read(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_endless_files_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config.json");
        std::fs::write(&path, [7; 100]).expect("written");
        assert_eq!(read_bounded(&path, 100).expect("as large as it may be"), [7; 100]);
        let refused = read_bounded(&path, 99).expect_err("one byte too many").to_string();
        assert!(refused.contains("config.json") && refused.contains("99 bytes"), "{refused}");
        for other in [folder.path(), Path::new("/dev/zero")] {
            assert!(read_bounded(other, 100).is_err(), "{}", other.display());
        }
    }
}
