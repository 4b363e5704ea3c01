//! Pictures through the crate `object_store`: in a folder, in memory or, with the feature `s3`, in an S3-compatible store.

use std::fmt;
use std::ops::Range;
use std::path::Path as FilePath;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use super::{ArtifactStore, StoreError};

/// How long a call to a store elsewhere is tried again.
#[cfg(feature = "s3")]
const RETRY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The store: `JOB/INDEX.png` under a prefix.
pub struct ObjectArtifacts {
    objects: Box<dyn ObjectStore>,
    prefix: Path,
}

impl fmt::Debug for ObjectArtifacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectArtifacts({}, {})", self.objects, self.prefix)
    }
}

impl ObjectArtifacts {
    /// Pictures in a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the folder cannot be had.
    pub fn in_folder(folder: &FilePath) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::from_io(&error))?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(|error| store_error(&error))?;
        let files = files.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Box::new(files), prefix: Path::default() })
    }

    /// Pictures that end with the process.
    pub fn in_memory() -> Self {
        Self { objects: Box::new(InMemory::new()), prefix: Path::default() }
    }

    /// Pictures where a URL says: `s3://bucket/folder`, with credentials, region and endpoint from the `AWS_` variables
    /// of the environment.
    ///
    /// # Errors
    ///
    /// [`StoreError`] with what is wrong with the URL.
    #[cfg(feature = "s3")]
    pub fn at_url(url: &str) -> Result<Self, StoreError> {
        use object_store::RetryConfig;
        use object_store::aws::AmazonS3Builder;
        // Its own patience is minutes; callers that put or read a picture have less, and try again or return the reason.
        let retry = RetryConfig { max_retries: 3, retry_timeout: RETRY_PATIENCE, ..RetryConfig::default() };
        let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
        let objects = builder.build().map_err(|error| store_error(&error))?;
        let folder = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, folder)| folder);
        Ok(Self { objects: Box::new(objects), prefix: Path::from(folder) })
    }

    fn path(&self, job: &str, image_index: u32) -> Path {
        self.prefix.clone().join(job).join(format!("{image_index}.png"))
    }
}

#[tonic::async_trait]
impl ArtifactStore for ObjectArtifacts {
    async fn put(&self, job: &str, image_index: u32, file: Bytes) -> Result<(), StoreError> {
        let put = self.objects.put(&self.path(job, image_index), file.into()).await;
        put.map(drop).map_err(|error| store_error(&error))
    }

    async fn get(&self, job: &str, image_index: u32, range: Range<u64>) -> Result<Bytes, StoreError> {
        let wanted = range.end.saturating_sub(range.start);
        match self.objects.get_range(&self.path(job, image_index), range).await {
            Ok(bytes) if bytes.len() as u64 == wanted => Ok(bytes),
            Ok(_) => Err(StoreError::Damaged(format!("picture {image_index} is shorter than it was written"))),
            Err(Error::NotFound { .. }) => {
                Err(StoreError::Damaged(format!("the file of picture {image_index} is missing")))
            }
            Err(error) => Err(store_error(&error)),
        }
    }

    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError> {
        for image_index in 0..images {
            match self.objects.delete(&self.path(job, image_index)).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(store_error(&error)),
            }
        }
        Ok(())
    }
}

fn store_error(error: &Error) -> StoreError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return StoreError::from_io(io);
        }
        source = cause.source();
    }
    StoreError::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_come_back_in_parts_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for store in [ObjectArtifacts::in_folder(folder.path()).expect("a folder"), ObjectArtifacts::in_memory()] {
            store.put("job", 1, Bytes::from_static(b"0123456789")).await.expect("room");
            assert_eq!(store.get("job", 1, 2..5).await, Ok(Bytes::from_static(b"234")));
            assert!(matches!(store.get("job", 0, 0..1).await, Err(StoreError::Damaged(_))), "a missing file");
            store.delete("job", 2).await.expect("deletes");
            assert!(store.get("job", 1, 2..5).await.is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
    }
}
