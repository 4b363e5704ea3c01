//! Errors between a checkpoint on disk and a network on a device. Each names the place and the remedy.

use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};

/// Why a device could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// A GPU was asked for but this binary has no GPU code.
    #[error(
        "`{requested}` was asked for, but this program was built without GPU code; build it with `--features cuda` or use the device `cpu`"
    )]
    NotBuilt {
        /// The device that was asked for.
        requested: String,
    },
    /// The binary has GPU code but the machine offers no GPU.
    #[error(
        "no CUDA driver or no CUDA GPU was found; install the NVIDIA driver, or use the device `cpu` (slow, but it works)"
    )]
    NoGpu,
    /// The GPU index is beyond what the machine offers.
    #[error("there is no `cuda:{index}`: this machine has {count} CUDA GPU(s), numbered from 0")]
    NoSuchGpu {
        /// The requested index.
        index: usize,
        /// Number of GPUs.
        count: usize,
    },
    /// The device cannot compute in the precision that was asked for.
    #[error("`{device}` does not support the precision {precision}; use `f32`")]
    UnsupportedPrecision {
        /// Name of the device.
        device: String,
        /// Name of the precision.
        precision: String,
    },
    /// The device has no products in 8 bits.
    #[error("`{device}` cannot compute in fp8: {reason}; choose bf16 on a GPU, or f32 on the CPU")]
    NoFp8 {
        /// Name of the device.
        device: String,
        /// What is missing.
        reason: String,
    },
    /// The system provides no threads for the CPU's cores.
    #[error("no threads for {cores} cores: {reason}")]
    NoThreads {
        /// The requested number of cores.
        cores: usize,
        /// The system's message.
        reason: String,
    },
}

/// Everything wrong with one configuration file, collected before reporting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct ConfigError {
    /// One sentence for each fault, naming the field.
    pub problems: Vec<String>,
}

impl ConfigError {
    /// An error with a single fault.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { problems: vec![problem.into()] }
    }
}

/// Why the family of a checkpoint cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// `_class_name` of `model_index.json` is not one that is known.
    #[error(
        "{}: {}; the known families are {known}",
        .path.display(),
        match class_name {
            Some(name) => format!("`{name}` is an unknown kind of model"),
            None => "model_index.json has no `_class_name`".to_owned(),
        }
    )]
    UnknownClass {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The value, if there is one.
        class_name: Option<String>,
        /// Names of the known families, separated by commas.
        known: String,
    },
    /// The tensors of a single file are those of no known family.
    #[error("{}: its {tensors} tensors are those of no known model; the known families are {known}", .path.display())]
    UnknownTensors {
        /// The file.
        path: PathBuf,
        /// Number of tensors in the file.
        tensors: usize,
        /// Names of the known families, separated by commas.
        known: String,
    },
    /// A single file is one part of a model that needs a folder with all of its parts.
    #[error("{}: this file is only the {part} of a {family} model; {remedy}", .path.display())]
    OnePart {
        /// The file.
        path: PathBuf,
        /// Name of the family that it belongs to.
        family: &'static str,
        /// The part, as its folder is called.
        part: &'static str,
        /// How to load the model that the file is a part of.
        remedy: PartRemedy,
    },
}

/// What to do with a file that is one part of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartRemedy {
    /// Name this folder instead, which has the file as one of its parts.
    NameFolder(PathBuf),
    /// Make a folder with these entries, and name it.
    MakeFolder {
        /// The folder of the file, in which the entries were looked for.
        searched: PathBuf,
        /// Everything that the model needs.
        entries: Vec<FolderEntry>,
    },
}

/// A file or folder that a checkpoint's folder needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderEntry {
    /// The name of the file or folder.
    pub name: &'static str,
    /// What it contains.
    pub content: &'static str,
    /// Whether the folder has it.
    pub is_found: bool,
}

impl Display for PartRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameFolder(folder) => write!(f, "name the whole folder, {}", folder.display()),
            Self::MakeFolder { searched, entries } => {
                write!(f, "make a folder of all its parts and name that; searched in {}:", searched.display())?;
                entries.iter().try_for_each(|FolderEntry { name, content, is_found }| {
                    let found = if *is_found { "found" } else { "missing" };
                    write!(f, "\n  {name}: {found} ({content})")
                })
            }
        }
    }
}

/// Why a checkpoint, or one file of it, could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory could not be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("{} is not valid JSON: {source}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why the parser stopped.
        source: serde_json::Error,
    },
    /// The directory does not have the layout of a checkpoint.
    #[error("{}: {reason}", .path.display())]
    Layout {
        /// The directory or file.
        path: PathBuf,
        /// What is missing or in the way, and what to do.
        reason: String,
    },
    /// A configuration cannot describe the network.
    #[error("{}: {source}", .path.display())]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The faults.
        source: ConfigError,
    },
    /// A weight file is damaged or not of the safetensors format.
    #[error("{} is not a usable safetensors file: {reason}", .path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The tensors found are not the tensors that the network needs.
    #[error(transparent)]
    Weights(#[from] Box<WeightsError>),
    /// An adapter cannot be applied.
    #[error("adapter {}: {}", .path.display(), .problems.join("; "))]
    Lora {
        /// The adapter's file or directory.
        path: PathBuf,
        /// One sentence for each fault, naming the key.
        problems: Vec<String>,
    },
    /// A changed weight cannot be quantised.
    #[error("cannot quantise a weight with adapters: {0}")]
    Quantise(String),
    /// The family of the checkpoint is unknown.
    #[error(transparent)]
    Family(#[from] FamilyError),
    /// Several parts of a checkpoint are at fault.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<LoadError>),
    /// A `tokenizer.json` cannot be used.
    #[error("{}: {reason}", .path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl LoadError {
    /// Wraps an I/O error with its path.
    pub fn read(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Read { path: path.as_ref().to_owned(), source }
    }

    /// One error for all of `faults`, so that a user fixes a checkpoint once and not part by part; `None` without faults.
    pub fn all(mut faults: Vec<Self>) -> Option<Self> {
        if faults.len() > 1 { Some(Self::Several(faults)) } else { faults.pop() }
    }

    /// A fault of the directory layout.
    pub fn layout(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Layout { path: path.as_ref().to_owned(), reason: reason.into() }
    }
}

/// A tensor whose shape in the file is not the one that the configuration implies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongShape {
    /// The tensor's name.
    pub name: String,
    /// Shape that the configuration implies.
    pub expected: Vec<usize>,
    /// Shape in the file.
    pub found: Vec<usize>,
}

/// Every difference between the tensors of a component and the tensors that its network needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
pub struct WeightsError {
    /// The component: `transformer`, `text_encoder`, `clip_model`, `vae` or `preview_decoder`.
    pub component: String,
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// Tensors that the network needs and no file has, with the shapes they must have.
    pub missing: Vec<(String, Vec<usize>)>,
    /// Tensors that the files have and nothing needs.
    pub unexpected: Vec<String>,
    /// Tensors with another shape than the configuration implies.
    pub wrong_shape: Vec<WrongShape>,
    /// Tensors that cannot be used for another reason, with that reason.
    pub unusable: Vec<(String, String)>,
}

impl WeightsError {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.wrong_shape.is_empty() && self.unusable.is_empty()
    }
}

impl Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the weights of {} do not fit its configuration ({} missing, {} unexpected, {} of the wrong shape, {} unusable)",
            self.component,
            self.missing.len(),
            self.unexpected.len(),
            self.wrong_shape.len(),
            self.unusable.len()
        )?;
        for file in &self.files {
            write!(f, "\n  file: {}", file.display())?;
        }
        for (name, shape) in &self.missing {
            write!(f, "\n  missing: {name} {shape:?}")?;
        }
        for name in &self.unexpected {
            write!(f, "\n  unexpected: {name}")?;
        }
        for WrongShape { name, expected, found } in &self.wrong_shape {
            write!(f, "\n  wrong shape: {name} is {found:?}, needed {expected:?}")?;
        }
        for (name, reason) in &self.unusable {
            write!(f, "\n  unusable: {name}: {reason}")?;
        }
        Ok(())
    }
}

/// Why a text encoder refused its token ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// An id is beyond the embedding table: the tokenizer belongs to another model.
    #[error(
        "token id {id} (row {row}, position {position}) is beyond the {encoder} vocabulary of {vocabulary}; the tokenizer.json does not belong to this checkpoint"
    )]
    OutOfVocabulary {
        /// The name of the text encoder.
        encoder: &'static str,
        /// The token id that the embedding table has no row for.
        id: u32,
        /// Row of the batch, from 0.
        row: usize,
        /// Position in the row, from 0.
        position: usize,
        /// Number of rows of the embedding table.
        vocabulary: usize,
    },
    /// The batch has no text, or one of its texts has no token.
    #[error(
        "a text of the batch has no tokens, not even the one that begins every text; the tokenizer.json lacks its post-processor"
    )]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_faults_make_one_error_that_names_each() {
        let fault = |part: &str| LoadError::layout(part, "is missing");
        assert!(LoadError::all(Vec::new()).is_none());
        assert_eq!(LoadError::all(vec![fault("vae")]).unwrap().to_string(), "vae: is missing");
        let both = LoadError::all(vec![fault("vae"), fault("transformer")]).unwrap().to_string();
        assert_eq!(both, "vae: is missing\ntransformer: is missing");
    }
}
