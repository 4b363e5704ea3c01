//! Where a server keeps its jobs, from what its configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::artifacts::ObjectArtifacts;
use super::redb::{Backing, RedbStore};
use super::{ArtifactStore, JobStore, StoreError};

/// Jobs and events, and pictures.
pub type Stores = (Arc<dyn JobStore>, Arc<dyn ArtifactStore>);

/// Where jobs are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataPlace {
    /// In memory: they end with the server.
    #[default]
    Memory,
    /// In a folder.
    Folder(PathBuf),
}

impl DataPlace {
    /// The place unless another is named: a folder of the user's for each port, and memory for a port that the system
    /// chooses, since nobody could find such a server again.
    pub fn of_port(port: u16, variable: impl Fn(&str) -> Option<String>) -> Self {
        let named = |name: &str| variable(name).filter(|value| Path::new(value).is_absolute()).map(PathBuf::from);
        let state = named("XDG_STATE_HOME").or_else(|| named("HOME").map(|home| home.join(".local/state")));
        match state {
            Some(state) if port != 0 => Self::Folder(state.join("sakuga").join(port.to_string())),
            _ => Self::Memory,
        }
    }

    /// Opens it, with pictures at `artifacts` if that is set.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if it cannot be had.
    pub fn open(&self, artifacts: Option<&str>) -> Result<Stores, StoreError> {
        let elsewhere = artifacts.map(at_url).transpose()?;
        let (jobs, pictures): (Arc<dyn JobStore>, ObjectArtifacts) = match self {
            Self::Memory => (Arc::new(RedbStore::in_memory()?), ObjectArtifacts::in_memory()),
            Self::Folder(folder) => {
                make_private(folder).map_err(|error| StoreError::Io(format!("{}: {error}", folder.display())))?;
                let jobs = RedbStore::open(Backing::File(folder.join("jobs.redb")))?;
                (Arc::new(jobs), ObjectArtifacts::in_folder(&folder.join("pictures"))?)
            }
        };
        Ok((jobs, elsewhere.unwrap_or_else(|| Arc::new(pictures))))
    }
}

/// Makes a folder that others cannot look into: prompts are nobody else's business.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

#[cfg(feature = "s3")]
fn at_url(url: &str) -> Result<Arc<dyn ArtifactStore>, StoreError> {
    Ok(Arc::new(ObjectArtifacts::at_url(url)?))
}

#[cfg(not(feature = "s3"))]
fn at_url(url: &str) -> Result<Arc<dyn ArtifactStore>, StoreError> {
    Err(StoreError::Io(format!("this program was built without the feature `s3`, which `{url}` needs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_its_folder_and_a_passing_one_has_none() {
        let home = |name: &str| (name == "HOME").then(|| "/users/me".to_owned());
        let expected = DataPlace::Folder("/users/me/.local/state/sakuga/50051".into());
        assert_eq!(DataPlace::of_port(50051, home), expected);
        assert_eq!(DataPlace::of_port(0, home), DataPlace::Memory);
        assert_eq!(DataPlace::of_port(50051, |_| None), DataPlace::Memory);
        let state = |name: &str| Some(if name == "HOME" { "/users/me" } else { "/state" }.to_owned());
        assert_eq!(DataPlace::of_port(1, state), DataPlace::Folder("/state/sakuga/1".into()));
    }
}
