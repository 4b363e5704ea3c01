//! An unfinished file: its bytes, their checksum, and the entity tag of their source.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use sakuga_proto::digest::hex;
use sha1_smol::Sha1;
use sha2::{Digest as _, Sha256};

use super::checksum::Checksum;
use super::disk::Disk;
use super::error::{PullError, at};
use super::paths;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Suffix of an unfinished file's name.
const PARTIAL: &str = ".partial";
/// Suffix of the name of the file with its entity tag.
const TAG: &str = ".etag";

/// An unfinished file. Appended bytes remain after the program ends.
pub(super) struct PartialFile {
    path: PathBuf,
    tag_path: PathBuf,
    file: File,
    bytes: u64,
    sha256: Sha256,
    /// The git object's name has the length before the content, so it is computed for a length that is known.
    git_blob: Option<Sha1>,
    length: Option<u64>,
}

impl PartialFile {
    /// Opens the unfinished file of `target`, or a new one, and computes the checksum of its bytes. `length` is that of
    /// the whole file, if it is known. `read` is called with the bytes that were read so far.
    pub(super) fn open(target: &Path, length: Option<u64>, mut read: impl FnMut(u64)) -> Result<Self, PullError> {
        let [path, tag_path] = [PARTIAL, TAG].map(|end| with_end(target, end));
        paths::plain_file_or_nothing(&path)?;
        paths::plain_file_or_nothing(&tag_path)?;
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(at(&path))?;
        let git_blob = length.map(git_header);
        let mut partial = Self { path, tag_path, file, bytes: 0, sha256: Sha256::new(), git_blob, length };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match partial.file.read(&mut chunk).map_err(at(&partial.path))? {
                0 => return Ok(partial),
                count => {
                    partial.count(&chunk[..count]);
                    read(partial.bytes);
                }
            }
        }
    }

    /// Turns a complete file of an earlier run into an unfinished one, so that it is verified before it is used.
    /// Returns whether there is one, of `length` bytes if that is known.
    pub(super) fn reopen_whole(target: &Path, length: Option<u64>) -> Result<bool, PullError> {
        let Some(bytes) = paths::plain_file_or_nothing(target)? else { return Ok(false) };
        fs::rename(target, with_end(target, PARTIAL)).map_err(at(target))?;
        Ok(length.is_none_or(|length| length == bytes))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(git_blob) = &mut self.git_blob {
            git_blob.update(bytes);
        }
    }

    /// Appends bytes. After an error the file may have a part of them.
    pub(super) fn append(&mut self, disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = disk.append(&mut self.file, bytes) {
            // A part of them may be in the file, but not in the checksum.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            return Err(error);
        }
        self.count(bytes);
        Ok(())
    }

    /// Begins again from nothing.
    pub(super) fn restart(&mut self) -> Result<(), PullError> {
        let cut = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map_err(at(&self.path))?;
        (self.bytes, self.sha256, self.git_blob) = (0, Sha256::new(), self.length.map(git_header));
        // Without a tag nothing is continued.
        let _ = fs::remove_file(&self.tag_path);
        Ok(())
    }

    /// The entity tag of the source of the bytes.
    pub(super) fn tag(&self) -> Option<String> {
        fs::read_to_string(&self.tag_path).ok().filter(|tag| !tag.is_empty() && tag.len() <= 256 && tag.is_ascii())
    }

    /// Records the entity tag of the bytes that are appended from now on.
    pub(super) fn set_tag(&self, tag: Option<&str>) -> Result<(), PullError> {
        match tag {
            Some(tag) => fs::write(&self.tag_path, tag).map_err(at(&self.tag_path)),
            None => {
                let _ = fs::remove_file(&self.tag_path);
                Ok(())
            }
        }
    }

    /// SHA-256 of the bytes.
    pub(super) fn sha256(&self) -> String {
        hex(&self.sha256.clone().finalize())
    }

    /// The kind of checksum, the one that is expected and the one that the bytes have, if they differ.
    pub(super) fn difference(&self, expected: &Checksum) -> Option<(&'static str, String, String)> {
        let (kind, expected, found) = match expected {
            Checksum::Sha256(expected) => ("SHA-256", expected, self.sha256()),
            Checksum::GitBlob(expected) => (
                "git object name",
                expected,
                self.git_blob.as_ref().map(|sha1| sha1.digest().to_string()).unwrap_or_default(),
            ),
        };
        (*expected != found).then(|| (kind, expected.clone(), found))
    }

    /// Syncs the complete file to the disk and gives it its name.
    pub(super) fn finish(self, target: &Path) -> Result<(), PullError> {
        self.file.sync_all().map_err(at(&self.path))?;
        drop(self.file);
        let _ = fs::remove_file(&self.tag_path);
        fs::rename(&self.path, target).map_err(at(target))
    }

    /// Deletes the file. An error is ignored: the next attempt checks the file again.
    pub(super) fn delete(self) {
        drop(self.file);
        // If it remains, the next attempt finds it wrong again.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.tag_path);
    }
}

/// Bytes of an unfinished file on disk.
pub(super) fn unfinished_bytes(target: &Path) -> u64 {
    fs::symlink_metadata(with_end(target, PARTIAL)).map_or(0, |data| data.len())
}

fn with_end(target: &Path, end: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(end);
    target.with_file_name(name)
}

fn git_header(length: u64) -> Sha1 {
    let mut sha1 = Sha1::new();
    sha1.update(format!("blob {length}\0").as_bytes());
    sha1
}

#[cfg(test)]
mod tests {
    use super::super::disk::SystemDisk;
    use super::*;

    #[test]
    fn both_checksums_go_on_after_a_stop() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("config.json");
        let mut partial = PartialFile::open(&target, Some(6), |_| {}).expect("a new file");
        partial.append(&SystemDisk, b"hel").expect("written");
        partial.set_tag(Some("\"1\"")).expect("written");
        drop(partial);
        assert_eq!(unfinished_bytes(&target), 3);
        let mut partial = PartialFile::open(&target, Some(6), |_| {}).expect("the same file");
        assert_eq!((partial.bytes(), partial.tag().as_deref()), (3, Some("\"1\"")));
        partial.append(&SystemDisk, b"lo\n").expect("written");
        // `printf 'hello\n' | git hash-object --stdin`
        let blob = Checksum::GitBlob("ce013625030ba8dba906f756967f9e9ca394464a".into());
        assert_eq!(partial.difference(&blob), None);
        let sha256 = Checksum::Sha256("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03".into());
        assert_eq!(partial.difference(&sha256), None);
        assert!(partial.difference(&Checksum::Sha256("0".repeat(64))).is_some());
        partial.finish(&target).expect("renamed");
        assert_eq!(fs::read(&target).expect("whole"), b"hello\n");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
