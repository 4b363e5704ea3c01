//! Pictures through the crate `object_store`: in a folder, in memory or, with the feature `s3`, in an S3-compatible store.

use std::fmt;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _};

use super::{ArtifactStore, StoreError};

/// How long a call to a remote store is retried.
#[cfg(feature = "s3")]
const RETRY_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The store: `JOB/INDEX.png` under a prefix.
pub struct ObjectArtifacts {
    objects: Box<dyn ObjectStore>,
    prefix: Path,
    /// The folder that the pictures are in, if it is one of this machine.
    folder: Option<PathBuf>,
}

impl fmt::Debug for ObjectArtifacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ObjectArtifacts({}, {})", self.objects, self.prefix)
    }
}

impl ObjectArtifacts {
    /// Pictures in a folder, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the folder cannot be created.
    pub fn in_folder(folder: &FilePath) -> Result<Self, StoreError> {
        std::fs::create_dir_all(folder).map_err(|error| StoreError::from_io(&error))?;
        let files = LocalFileSystem::new_with_prefix(folder).map_err(|error| store_error(&error))?;
        let files = files.with_fsync(true).with_automatic_cleanup(true);
        Ok(Self { objects: Box::new(files), prefix: Path::default(), folder: Some(folder.to_owned()) })
    }

    /// Pictures that end with the process.
    pub fn in_memory() -> Self {
        Self { objects: Box::new(InMemory::new()), prefix: Path::default(), folder: None }
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
        // Its own retries take minutes; callers that put or get a picture have less time, and retry or return the
        // reason.
        let retry = RetryConfig { max_retries: 3, retry_timeout: RETRY_PATIENCE, ..RetryConfig::default() };
        let builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
        let objects = builder.build().map_err(|error| store_error(&error))?;
        let folder = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, folder)| folder);
        Ok(Self { objects: Box::new(objects), prefix: Path::from(folder), folder: None })
    }

    /// Removes the files that were being written when an earlier server was killed. What cannot be removed is logged.
    pub fn remove_unfinished(&self) {
        for file in self.unfinished() {
            match std::fs::remove_file(&file) {
                Ok(()) => tracing::info!(file = %file.display(), "an unfinished picture was removed"),
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "an unfinished picture could not be removed")
                }
            }
        }
    }

    /// The files that were being written when a server was killed: their names end in `#` and a number.
    pub fn unfinished(&self) -> Vec<PathBuf> {
        let read = |folder: &FilePath| std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let jobs = self.folder.iter().flat_map(|folder| read(folder)).map(|job| job.path());
        let files = jobs.flat_map(|job| read(&job).collect::<Vec<_>>());
        files.filter(|file| file.file_name().to_string_lossy().contains('#')).map(|file| file.path()).collect()
    }

    /// The ids of the jobs that have a folder for pictures, if the pictures are in a folder of this machine.
    pub fn job_folders(&self) -> Vec<String> {
        let folder = self.folder.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
        folder.filter_map(Result::ok).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Bytes of a picture's file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub async fn size(&self, job: &str, image_index: u32) -> Result<Option<u64>, StoreError> {
        match self.objects.head(&self.path(job, image_index)).await {
            Ok(file) => Ok(Some(file.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(store_error(&error)),
        }
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
            Err(error) if is_no_file(&error) => Err(StoreError::Damaged(format!(
                "in the place of picture {image_index} is something that is not a file"
            ))),
            Err(error) => Err(store_error(&error)),
        }
    }

    async fn delete(&self, job: &str, images: u32) -> Result<(), StoreError> {
        for image_index in 0..images {
            match self.objects.delete(&self.path(job, image_index)).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                // Not written by the server; an error here would stop every later deletion.
                Err(error) if is_no_file(&error) => tracing::warn!(job, image_index, %error, "not a picture; it stays"),
                Err(error) => return Err(store_error(&error)),
            }
        }
        Ok(())
    }
}

fn store_error(error: &Error) -> StoreError {
    io_error(error).map_or_else(|| StoreError::Io(error.to_string()), StoreError::from_io)
}

/// The system's error in one of the object store.
fn io_error(error: &Error) -> Option<&std::io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return Some(io);
        }
        source = cause.source();
    }
    None
}

/// Whether there is a folder, or something else that is not a file, in the place of a file.
fn is_no_file(error: &Error) -> bool {
    use std::io::ErrorKind;
    io_error(error).is_some_and(|io| matches!(io.kind(), ErrorKind::IsADirectory | ErrorKind::NotADirectory))
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

    #[tokio::test]
    async fn a_folder_in_the_place_of_a_picture_is_damage_and_does_not_stop_a_deletion() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = ObjectArtifacts::in_folder(folder.path()).expect("a folder");
        std::fs::create_dir_all(folder.path().join("job/0.png")).expect("made");
        let read = store.get("job", 0, 0..1).await;
        assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
        store.delete("job", 1).await.expect("nothing stops it");
    }
}
