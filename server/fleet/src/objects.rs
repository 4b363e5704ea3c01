//! [`Objects`]: pictures and uploaded files under their SHA-256.

use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};

use crate::error::{FleetError, causes};
use crate::names::token;

/// How long a call to a store elsewhere is tried.
#[cfg(feature = "s3")]
const RETRY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Files under their SHA-256, as `objects/ab/abcdef…`. A file is written once and never changed, so that two workers of one job
/// cannot damage each other's pictures.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl Objects {
    /// The store that a URL names: `file:///folder` on a disk that all hosts share, `memory:` for tests, or, with the feature `s3`,
    /// `s3://bucket/folder` with credentials, region and endpoint from the `AWS_` variables of the environment.
    ///
    /// # Errors
    ///
    /// [`FleetError::Settings`] with what is wrong with the URL, or [`FleetError::Objects`] if the folder cannot be created.
    pub fn open(url: &str) -> Result<Self, FleetError> {
        if url == "memory:" {
            return Ok(Self { store: Arc::new(InMemory::new()), prefix: Path::default() });
        }
        if let Some(folder) = url.strip_prefix("file://") {
            let folder = FilePath::new(folder);
            if !folder.is_absolute() {
                return Err(FleetError::Settings(format!("`{url}` names no absolute folder; write file:///folder")));
            }
            std::fs::create_dir_all(folder)
                .map_err(|error| FleetError::Objects(format!("{}: {error}", folder.display())))?;
            let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| failed(&error))?;
            return Ok(Self { store: Arc::new(store.with_fsync(true)), prefix: Path::default() });
        }
        if let Some(rest) = url.strip_prefix("s3://") {
            return Self::open_s3(url, rest);
        }
        Err(FleetError::Settings(format!("`{url}` names no store of files; use s3://bucket/folder or file:///folder")))
    }

    #[cfg(feature = "s3")]
    fn open_s3(url: &str, rest: &str) -> Result<Self, FleetError> {
        use object_store::RetryConfig;
        use object_store::aws::AmazonS3Builder;
        let retry = RetryConfig { retry_timeout: RETRY_PATIENCE, ..RetryConfig::default() };
        let store = AmazonS3Builder::from_env().with_url(url).with_retry(retry).build();
        let store = store.map_err(|error| FleetError::Settings(causes(&error)))?;
        let folder = rest.split_once('/').map_or("", |(_, folder)| folder);
        Ok(Self { store: Arc::new(store), prefix: Path::from(folder) })
    }

    #[cfg(not(feature = "s3"))]
    fn open_s3(url: &str, _: &str) -> Result<Self, FleetError> {
        Err(FleetError::Settings(format!("`{url}`: this program was built without the feature `s3`")))
    }

    /// The files of one job, apart from those of all others: deleting them takes no file from another job with the same picture.
    pub fn of_job(&self, job: &str) -> Self {
        Self { store: self.store.clone(), prefix: self.prefix.clone().join("jobs").join(token(job)) }
    }

    /// Deletes all files, also those of attempts that were superseded.
    ///
    /// # Errors
    ///
    /// [`FleetError::Objects`]; then some of them may be left.
    pub async fn delete_all(&self) -> Result<(), FleetError> {
        let mut found = self.store.list(Some(&self.prefix));
        while let Some(file) = found.next().await {
            let file = file.map_err(|error| failed(&error))?;
            match self.store.delete(&file.location).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(())
    }

    /// Stores a file and returns its SHA-256. A file that is there already is not written again.
    ///
    /// # Errors
    ///
    /// [`FleetError::Objects`].
    pub async fn put(&self, file: Bytes) -> Result<String, FleetError> {
        let sha256 = hex(&Sha256::digest(&file));
        let path = self.path(&sha256)?;
        match self.store.head(&path).await {
            Ok(there) if there.size == file.len() as u64 => return Ok(sha256),
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(&error)),
        }
        self.store.put(&path, file.into()).await.map_err(|error| failed(&error))?;
        Ok(sha256)
    }

    /// A part of a file. It is not compared with the SHA-256.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] if the file is missing or shorter, or [`FleetError::Objects`].
    pub async fn get(&self, sha256: &str, range: Range<u64>) -> Result<Bytes, FleetError> {
        let wanted = range.end.saturating_sub(range.start);
        match self.store.get_range(&self.path(sha256)?, range).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(FleetError::Damaged(format!("file {sha256} is shorter than it was written"))),
            Err(Error::NotFound { .. }) => Err(FleetError::Damaged(format!("file {sha256} is missing"))),
            Err(error) => Err(failed(&error)),
        }
    }

    /// A whole file, compared with its SHA-256.
    ///
    /// # Errors
    ///
    /// [`FleetError::Damaged`] if it is missing or not what was written, or [`FleetError::Objects`].
    pub async fn get_whole(&self, sha256: &str) -> Result<Bytes, FleetError> {
        let read = match self.store.get(&self.path(sha256)?).await {
            Ok(found) => found.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(file) if hex(&Sha256::digest(&file)) == sha256 => Ok(file),
            Ok(_) => Err(FleetError::Damaged(format!("file {sha256} is not what was written"))),
            Err(Error::NotFound { .. }) => Err(FleetError::Damaged(format!("file {sha256} is missing"))),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Deletes a file; does nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`FleetError::Objects`].
    pub async fn delete(&self, sha256: &str) -> Result<(), FleetError> {
        match self.store.delete(&self.path(sha256)?).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Where a file is. Its name comes over the wire, so it is checked.
    fn path(&self, sha256: &str) -> Result<Path, FleetError> {
        let is_hash =
            sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match sha256.get(..2).filter(|_| is_hash) {
            Some(head) => Ok(self.prefix.clone().join("objects").join(head).join(sha256)),
            None => Err(FleetError::Damaged(format!("`{sha256}` is not a SHA-256 in lowercase hexadecimal"))),
        }
    }
}

fn failed(error: &Error) -> FleetError {
    FleetError::Objects(causes(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_found_under_its_hash_and_compared_with_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("file://{}", folder.path().display());
        for url in ["memory:", &url] {
            let objects = Objects::open(url).expect("a store");
            let file = Bytes::from_static(b"a picture");
            let sha256 = objects.put(file.clone()).await.expect("room");
            assert_eq!(objects.put(file.clone()).await.as_ref(), Ok(&sha256), "the same file has the same place");
            assert_eq!(objects.get_whole(&sha256).await, Ok(file));
            assert_eq!(objects.get(&sha256, 2..6).await, Ok(Bytes::from_static(b"pict")));
            assert!(matches!(objects.get(&sha256, 0..99).await, Err(FleetError::Damaged(_))));
            objects.delete(&sha256).await.expect("deleted");
            objects.delete(&sha256).await.expect("there is nothing to delete");
            assert!(matches!(objects.get_whole(&sha256).await, Err(FleetError::Damaged(_))));
        }
    }

    #[tokio::test]
    async fn a_file_that_was_altered_is_not_returned() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let objects = Objects::open(&format!("file://{}", folder.path().display())).expect("a store");
        let sha256 = objects.put(Bytes::from_static(b"a picture")).await.expect("room");
        std::fs::write(folder.path().join("objects").join(&sha256[..2]).join(&sha256), b"another").expect("written");
        assert!(matches!(objects.get_whole(&sha256).await, Err(FleetError::Damaged(_))));
    }

    #[tokio::test]
    async fn a_name_that_is_no_hash_leaves_the_store_alone() {
        let objects = Objects::open("memory:").expect("a store");
        for name in ["", "../etc/passwd", &"A".repeat(64), &"é".repeat(32)] {
            assert!(matches!(objects.get(name, 0..1).await, Err(FleetError::Damaged(_))), "{name}");
        }
    }

    #[test]
    fn an_unknown_url_is_refused_with_the_forms_that_exist() {
        for url in ["", "http://host/bucket", "file://relative", "bucket"] {
            let error = Objects::open(url).expect_err("refused").to_string();
            assert!(error.contains("file:///folder"), "{error}");
        }
    }
}
