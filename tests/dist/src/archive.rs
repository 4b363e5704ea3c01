//! Archives whose bytes depend on nothing but their contents.

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file in an archive.
pub(crate) struct Entry {
    name: String,
    content: Vec<u8>,
    mode: u32,
}

impl Entry {
    /// A file that can be executed.
    pub(crate) fn program(name: &str, content: Vec<u8>) -> Self {
        Self { name: name.to_owned(), content, mode: 0o755 }
    }

    /// A file that can be read.
    pub(crate) fn file(name: &str, content: Vec<u8>) -> Self {
        Self { name: name.to_owned(), content, mode: 0o644 }
    }
}

/// A `.tar.gz` with these files in one folder, compressed by a level from 1 to 9. Owners and times are zero.
///
/// # Errors
///
/// A name is too long for the format.
pub(crate) fn pack(folder: &str, entries: &[Entry], level: u32) -> anyhow::Result<Vec<u8>> {
    let compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(level));
    let mut builder = Builder::new(compressed);
    for entry in entries {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(entry.content.len() as u64);
        header.set_mode(entry.mode);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let path = format!("{folder}/{}", entry.name);
        builder
            .append_data(&mut header, &path, entry.content.as_slice())
            .with_context(|| format!("cannot pack {path}"))?;
    }
    Ok(builder.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_contents_give_the_same_bytes() {
        let entries = || [Entry::program("a", b"run".to_vec()), Entry::file("b", b"read".to_vec())];
        let packed = pack("x-1", &entries(), 9).unwrap();
        assert_eq!(packed, pack("x-1", &entries(), 9).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let found: Vec<(String, u32)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap())
            })
            .collect();
        assert_eq!(found, [("x-1/a".to_owned(), 0o755), ("x-1/b".to_owned(), 0o644)]);
    }
}
