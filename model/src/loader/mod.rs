//! From a checkpoint on disk to tensors on a device, with an account of every tensor.
//!
//! [`ModelFolder`] finds the parts of a diffusers folder, [`TensorReader`] hands out the tensors of one part under the
//! names that the network uses, and [`TensorReader::finish`] says what was missing, left over or of the wrong shape —
//! all of it in one error — or how much was loaded.

mod config;
mod decode;
mod folder;
mod reader;
mod report;
mod safetensors_file;
#[cfg(test)]
pub(crate) mod testing;

pub use config::ConfigFields;
pub(crate) use decode::decode_f32;
pub(crate) use folder::read_json;
pub use folder::{Component, ModelFolder, weight_files};
pub use reader::TensorReader;
pub(crate) use reader::linear_of;
pub use report::{LoadReport, LoraReport};
pub use safetensors_file::{SafetensorsFile, TensorEntry};
