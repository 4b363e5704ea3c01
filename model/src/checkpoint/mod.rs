//! From a checkpoint on disk to tensors on a device, with a report on every tensor.
//!
//! [`ModelFolder`] finds the parts of a diffusers folder, [`TensorReader`] hands out the tensors of one part under the
//! names that the network uses, and [`TensorReader::finish`] reports every tensor that was missing, left over or of the
//! wrong shape in one error, or else how much was loaded.
//!
//! [`adapters`] change weights while they are read, [`synthetic`] writes tensors of random numbers, and
//! [`embedded`] is the trained checkpoint that a build may contain.

pub mod adapters;
mod config;
mod decode;
pub mod embedded;
mod file_facts;
mod folder;
mod host_copy;
mod other_format;
mod reader;
mod report;
mod safetensors_file;
pub mod synthetic;
#[cfg(test)]
pub(crate) mod testing;

pub use config::ConfigFields;
pub(crate) use config::read_json;
pub(crate) use decode::decode_f32;
pub use file_facts::{FileFacts, FileStamps};
pub use folder::{Component, ModelFolder, weight_files};
pub(crate) use folder::{SHARD_INDEX, WeightNames};
pub use host_copy::{HostAllocator, HostCopy, HostValues, NoHostMemory};
pub(crate) use other_format::other_format;
pub(crate) use reader::linear_of;
pub use reader::{TensorReader, WeightSource};
pub use report::{LoadReport, LoraReport};
pub use safetensors_file::{SafetensorsFile, TensorEntry};
