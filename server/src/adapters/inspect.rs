//! Describes an adapter file for each model.

use std::path::Path;
use std::sync::Arc;

use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError, truncated};

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
        inspectors.iter().map(of_model).collect::<Result<_, _>>().map_err(|error| reason(&error, path))?;
    match descriptions.iter().all(Option::is_none) {
        true => Err("no model of this server takes adapters".to_owned()),
        false => Ok(descriptions),
    }
}

/// The text of an error for clients: without the path of the file on this machine, and cut to what a list of adapters has
/// room for, since errors may quote the file.
fn reason(error: &EngineError, path: &Path) -> String {
    const REASON_BYTES_MAX: usize = 1024;
    truncated(&error.to_string().replace(&path.display().to_string(), "the file"), REASON_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_no_path_and_is_short() {
        let path = Path::new("/srv/adapters/ink.safetensors");
        let error = |text: String| EngineError::Model(text);
        let text = reason(&error(format!("{} is not a usable safetensors file: gaps", path.display())), path);
        assert_eq!(text, "the file is not a usable safetensors file: gaps");
        let long = reason(&error("é".repeat(5000)), path);
        assert!(long.len() <= 1024 + "…".len() && long.ends_with('…'), "{} bytes", long.len());
    }
}
