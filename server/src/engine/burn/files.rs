//! What the model crate says about the files of a model, before it is opened.

use std::path::Path;

use sakuga_model::families;
use serde_json::Value;

/// The files of a published folder, divided.
pub(crate) use sakuga_model::families::FolderFiles;

/// What a file or folder is.
pub(crate) use sakuga_model::inspect::{Inspection, Usage};

/// What a file or folder is, from headers alone.
///
/// # Errors
///
/// It cannot be read, in words.
pub(crate) fn inspect(path: &Path) -> Result<Inspection, String> {
    sakuga_model::inspect::inspect(path).map_err(|error| error.to_string())
}

/// Which files of a published folder are read, from its `model_index.json` and the paths of all files.
///
/// # Errors
///
/// Why it cannot be loaded, in words.
pub(crate) fn of_folder(index: &Value, paths: &[String]) -> Result<FolderFiles, String> {
    families::files_of_folder(index, paths).map_err(|error| error.to_string())
}

/// The name of the family of a folder or file.
///
/// # Errors
///
/// Why it is not known, in words.
pub(crate) fn family(path: &Path) -> Result<&'static str, String> {
    families::recognise(path).map(families::Family::name).map_err(|error| error.to_string())
}
