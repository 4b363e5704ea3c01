//! [`Listing`]: a snapshot of the folder of adapters.

use std::path::PathBuf;

use sakuga_model_core::AdapterDescription;

use crate::models::ModelId;

/// A snapshot of the folder of adapters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// By name.
    pub adapters: Vec<ListedAdapter>,
    /// By name.
    pub unusable: Vec<UnusableFile>,
}

/// An adapter that requests may name.
#[derive(Clone, Debug)]
pub(crate) struct ListedAdapter {
    /// The name of its file without the extension, or of its folder.
    pub name: String,
    /// The file or folder.
    pub path: PathBuf,
    /// Its description for each model, by [`ModelId`]; `None`: the model takes no adapters.
    pub descriptions: Vec<Option<AdapterDescription>>,
}

/// A file or folder that is not an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnusableFile {
    /// Its name, without the extension.
    pub name: String,
    /// Why it cannot be used.
    pub reason: String,
}

impl ListedAdapter {
    /// The description for one of the models. Content and metadata are the same in all of them.
    pub(crate) fn any_description(&self) -> Option<&AdapterDescription> {
        self.descriptions.iter().flatten().next()
    }

    /// Its description for a model; `None`: the model takes no adapters.
    pub(crate) fn description(&self, model: ModelId) -> Option<&AdapterDescription> {
        self.descriptions.get(model.index())?.as_ref()
    }

    /// SHA-256 of its content.
    pub(crate) fn sha256(&self) -> &str {
        self.any_description().map_or("", |description| &description.sha256)
    }
}
