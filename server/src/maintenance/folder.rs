//! [`DataFolder`]: the files of a server that is stopped.

use std::path::{Path, PathBuf};

use super::MaintenanceError;
use crate::assets::files::AssetFiles;
use crate::store::artifacts::ObjectArtifacts;
use crate::store::place::{self, DataPlace};
use crate::store::redb::{Backing, RedbStore};
use crate::store::{ArtifactStore as _, StoreError};

/// The files of a server that is stopped.
pub(crate) struct DataFolder {
    path: PathBuf,
    pub pictures: ObjectArtifacts,
    pub assets: AssetFiles,
}

impl DataFolder {
    /// A folder that exists. `artifacts` says where its pictures are, if they are elsewhere.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::Store`].
    pub(crate) fn open(path: &Path, artifacts: Option<&str>) -> Result<Self, MaintenanceError> {
        let failed = |error| MaintenanceError::Store { path: path.to_owned(), error };
        if !path.is_dir() {
            let text = "there is no such folder; write the one that --data-dir of the server names";
            return Err(failed(StoreError::Io(text.into())));
        }
        let pictures = match artifacts {
            Some(url) => place::artifacts_at(url),
            None => ObjectArtifacts::in_folder(&place::pictures(path)),
        };
        let assets = AssetFiles::of(&DataPlace::Folder(path.to_owned()));
        Ok(Self { path: path.to_owned(), pictures: pictures.map_err(failed)?, assets })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of its database.
    pub(crate) fn database(&self) -> PathBuf {
        place::database(&self.path)
    }

    /// Its database, which is not changed.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError::Store`].
    pub(crate) fn read(&self) -> Result<RedbStore, MaintenanceError> {
        RedbStore::open(Backing::ReadOnly(self.database())).map_err(|error| self.failed(error))
    }

    /// The error with the file of the database.
    pub(crate) fn failed(&self, error: StoreError) -> MaintenanceError {
        MaintenanceError::Store { path: self.database(), error }
    }

    /// The bytes of a picture, which have to be those that were written.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) async fn picture(
        &self,
        job: &str,
        image_index: u32,
        expected: (u64, &str),
    ) -> Result<bytes::Bytes, StoreError> {
        let file = self.pictures.get(job, image_index, 0..expected.0).await?;
        if sakuga_proto::digest::sha256_hex(&file) == expected.1 {
            return Ok(file);
        }
        Err(StoreError::Damaged(format!("picture {image_index} is not what was written")))
    }
}
