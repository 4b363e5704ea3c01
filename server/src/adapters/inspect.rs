//! Describes an adapter file for each model.

use std::path::Path;
use std::sync::Arc;

use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError};

/// One inspector for each model, in the order of the configuration; `None`: the model takes no adapters.
pub(crate) type Inspectors = Vec<Option<Arc<dyn AdapterInspector>>>;

/// The description of a file for each model, in the same order.
pub(super) type Descriptions = Vec<Option<AdapterDescription>>;

/// Describes the file or folder at `path` for each model. Reads all of it; blocks.
///
/// # Errors
///
/// Why it cannot be used with any of them.
pub(super) fn inspect(inspectors: &Inspectors, path: &Path) -> Result<Descriptions, String> {
    let of_model = |inspector: &Option<Arc<dyn AdapterInspector>>| -> Result<_, EngineError> {
        inspector.as_ref().map(|inspector| inspector.inspect(path)).transpose()
    };
    let descriptions: Descriptions =
        inspectors.iter().map(of_model).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    match descriptions.iter().all(Option::is_none) {
        true => Err("no model of this server takes adapters".to_owned()),
        false => Ok(descriptions),
    }
}
