//! SHA-256 sums in the format of `sha256sum --check`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use sha2::{Digest as _, Sha256};

/// One line for each file, in the order of their names.
///
/// # Errors
///
/// A file cannot be read, or two have the same name.
pub(crate) fn of(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    for file in files {
        let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        lines.push((name, hex(&Sha256::digest(&content))));
    }
    lines.sort_unstable();
    ensure!(lines.windows(2).all(|pair| pair[0].0 != pair[1].0), "two files of the release have the same name");
    Ok(lines.into_iter().fold(String::new(), |text, (name, sum)| format!("{text}{sum}  {name}\n")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_listed_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["b", "a"].map(|name| folder.path().join(name));
        fs::write(&files[0], "").unwrap();
        fs::write(&files[1], "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n\
            e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b\n";
        assert_eq!(of(&files).unwrap(), expected);
        assert!(of(&[files[0].clone(), files[0].clone()]).is_err());
    }
}
