//! Adapters of the scripted engine: it reads the headers of safetensors files and changes nothing.
//!
//! A tensor is a module. Those whose names begin with `text.` are of a text encoder, and those with `foreign.` of another model.

use std::io::{self, Read as _};
use std::path::Path;

use sakuga_model_core::{AdapterDescription, AdapterInspector, EngineError, open_regular_file};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Bytes of a file that is read.
const BYTES_MAX: u64 = 64 << 20;

/// Bytes of device memory that a module takes.
const MODULE_BYTES: u64 = 1 << 20;

/// Describes adapters.
pub(super) struct Headers;

impl AdapterInspector for Headers {
    fn inspect(&self, path: &Path) -> Result<AdapterDescription, EngineError> {
        let path = if path.is_dir() { path.join("adapter_model.safetensors") } else { path.to_owned() };
        let refused = |reason: String| EngineError::Model(format!("{}: {reason}", path.display()));
        let bytes = read(&path).map_err(|error| refused(error.to_string()))?;
        let header = header(&bytes).ok_or_else(|| refused("it is not a complete safetensors file".to_owned()))?;
        let names: Vec<&str> = header.keys().map(String::as_str).filter(|name| *name != "__metadata__").collect();
        let count = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count() as u32;
        let (text_modules, unmatched) = (count("text."), count("foreign."));
        let foreign = names.iter().find(|name| name.starts_with("foreign."));
        let problem = |name: &&str| format!("module `{name}` is not in this checkpoint");
        Ok(AdapterDescription {
            sha256: Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
            bytes: bytes.len() as u64,
            algorithm: "LoRA".into(),
            rank: 4,
            modules: names.len() as u32 - text_modules - unmatched,
            denoiser_bytes: MODULE_BYTES * (names.len() as u64 - u64::from(text_modules + unmatched)),
            text_bytes: MODULE_BYTES * u64::from(text_modules),
            text_modules,
            unmatched,
            problems: foreign.map(problem).into_iter().collect(),
            nearest_layout: foreign.map_or_else(String::new, |_| "another model".to_owned()),
            ..AdapterDescription::default()
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular_file(path)?.take(BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The header, if the file is as long as it says.
fn header(bytes: &[u8]) -> Option<Map<String, Value>> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let header: Map<String, Value> = serde_json::from_slice(rest.get(..length)?).ok()?;
    let end = |value: &Value| value.get("data_offsets")?.get(1)?.as_u64();
    let data = header.values().filter_map(end).max().unwrap_or(0);
    (rest.len() as u64 == length as u64 + data).then_some(header)
}
