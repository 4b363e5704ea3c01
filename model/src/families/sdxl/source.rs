//! Where the parts of a model come from: a diffusers folder, or one file with all of them.

use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};
use serde_json::{Value, json};

use super::scheduler::SchedulerConfig;
use super::single_file::{FilePart, SingleFile};
use crate::checkpoint::{ModelFolder, TensorReader, read_json};
use crate::error::{ConfigError, LoadError};
use crate::families::fingerprint;
use crate::families::folder_files::FolderPart;
use crate::families::recognise::{Family, recognise};

/// The folder of each part, in the order in which they are loaded.
pub(crate) const PARTS: [(FilePart, &str); 4] = [
    (FilePart::Unet, "unet"),
    (FilePart::ClipL, "text_encoder"),
    (FilePart::ClipG, "text_encoder_2"),
    (FilePart::Vae, "vae"),
];

/// Files of CLIP's tokenizer.
const TOKENIZER: &[&str] = &["vocab.json", "merges.txt", "tokenizer_config.json"];

/// The files of a folder that are read.
pub(in crate::families) const FOLDER: &[FolderPart] = &[
    FolderPart::network(PARTS[0].1),
    FolderPart::network(PARTS[1].1),
    FolderPart::network(PARTS[2].1),
    FolderPart::network(PARTS[3].1),
    FolderPart::files("scheduler", &["scheduler_config.json"]),
    FolderPart::files("tokenizer", TOKENIZER).optional(),
    FolderPart::files("tokenizer_2", TOKENIZER).optional(),
    FolderPart::PREVIEW_DECODER,
];

/// The files of a refiner's folder that are read.
pub(in crate::families) const REFINER_FOLDER: &[FolderPart] = &[
    FolderPart::network(PARTS[0].1),
    FolderPart::network(PARTS[2].1),
    FolderPart::files("tokenizer_2", TOKENIZER).optional(),
];

/// A model on disk.
pub(super) enum Source {
    /// With a configuration of each part.
    Folder(ModelFolder),
    /// Without any: the sizes are those of the published model, and a tensor of another size is an error.
    File { path: PathBuf, kind: SingleFile },
}

/// A part's configuration and tensors, named as its network names them after its renaming.
pub(super) struct SourcePart {
    pub(super) config: Value,
    pub(super) reader: TensorReader,
    /// The file that a fault of the configuration is reported for.
    path: PathBuf,
}

impl SourcePart {
    /// Reads the configuration.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&Value) -> Result<T, ConfigError>) -> Result<T, LoadError> {
        parse(&self.config).map_err(|source| LoadError::Config { path: self.path.clone(), source })
    }
}

impl Source {
    /// Opens a folder or a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the file is a refiner or has no autoencoder.
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        if path.is_dir() {
            return Ok(Self::Folder(ModelFolder::open(path)?));
        }
        let kind = SingleFile::open(path)?;
        let refuse = |reason: &str| LoadError::Safetensors { path: path.to_owned(), reason: reason.to_owned() };
        if kind.is_refiner {
            return Err(refuse("it is a refiner, which does not draw by itself; name it with --refiner"));
        }
        if !kind.has_vae {
            return Err(refuse(
                "it has no autoencoder (`first_stage_model.*`); use a file that has one, or a diffusers folder",
            ));
        }
        Ok(Self::File { path: path.to_owned(), kind })
    }

    /// Opens the folder or file of a refiner.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is another model.
    pub(super) fn open_refiner(path: &Path) -> Result<Self, LoadError> {
        let family = recognise(path)?;
        if family != Family::StableDiffusionXlRefiner {
            return Err(LoadError::layout(path, format!("it is a model of {family}, and no refiner")));
        }
        if path.is_dir() {
            return Ok(Self::Folder(ModelFolder::open(path)?));
        }
        Ok(Self::File { path: path.to_owned(), kind: SingleFile::open(path)? })
    }

    /// The folder or file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(folder) => folder.dir(),
            Self::File { path, .. } => path,
        }
    }

    /// The content of `model_index.json`; an empty object for a file.
    pub(super) fn index(&self) -> Value {
        match self {
            Self::Folder(folder) => folder.index().clone(),
            Self::File { .. } => json!({}),
        }
    }

    /// A part, with its tensors on `device` in `dtype`.
    pub(super) fn part(&self, part: usize, device: &Device, dtype: DType) -> Result<SourcePart, LoadError> {
        let (file_part, name) = PARTS[part];
        match self {
            Self::Folder(folder) => {
                let component = folder.component(name)?;
                let path = component.dir().join("config.json");
                Ok(SourcePart { config: component.config().clone(), reader: component.reader(device, dtype)?, path })
            }
            Self::File { path, kind } => {
                let reader = TensorReader::open(name, &[path], device, dtype)?;
                reader.select(file_part.prefix(kind.is_refiner));
                Ok(SourcePart { config: published(file_part, kind.is_refiner), reader, path: path.clone() })
            }
        }
    }

    /// How the model is sampled: `scheduler/scheduler_config.json`, or what the markers of a file say.
    pub(super) fn scheduler(&self) -> Result<SchedulerConfig, LoadError> {
        let (config, path) = match self {
            Self::Folder(folder) => {
                let path = folder.dir().join("scheduler").join("scheduler_config.json");
                (read_json(&path)?, path)
            }
            Self::File { path, kind } => (published_scheduler(kind), path.clone()),
        };
        SchedulerConfig::from_json(&config).map_err(|source| LoadError::Config { path, source })
    }

    /// SHA-256 of configuration, names, lengths and first bytes.
    pub(super) fn fingerprint(&self) -> Result<String, LoadError> {
        match self {
            Self::Folder(folder) => {
                // A refiner has no CLIP-L.
                let names: Vec<&str> = PARTS.iter().map(|(_, name)| *name).filter(|name| folder.has(name)).collect();
                fingerprint::of_folder(folder, &names)
            }
            Self::File { path, .. } => fingerprint::of_files(&[path]),
        }
    }
}

/// The configuration of a part of the published base model or refiner.
fn published(part: FilePart, is_refiner: bool) -> Value {
    match part {
        FilePart::Unet if is_refiner => json!({"block_out_channels": [384, 768, 1536, 1536],
            "attention_head_dim": [6, 12, 24, 24], "transformer_layers_per_block": 4, "cross_attention_dim": 1280,
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2560,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]}),
        FilePart::Unet => json!({"block_out_channels": [320, 640, 1280], "attention_head_dim": [5, 10, 20],
            "transformer_layers_per_block": [1, 2, 10], "cross_attention_dim": 2048, "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"]}),
        FilePart::Vae => json!({"block_out_channels": [128, 256, 512, 512], "latent_channels": 4,
            "scaling_factor": 0.13025, "use_quant_conv": true, "use_post_quant_conv": true}),
        FilePart::ClipL => json!({"architectures": ["CLIPTextModel"], "hidden_size": 768, "intermediate_size": 3072,
            "num_hidden_layers": 12, "num_attention_heads": 12, "hidden_act": "quick_gelu"}),
        FilePart::ClipG => json!({"architectures": ["CLIPTextModelWithProjection"], "hidden_size": 1280,
            "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20, "hidden_act": "gelu",
            "projection_dim": 1280}),
    }
}

/// The configuration of the published control networks for the base model.
pub(super) fn published_control() -> Value {
    published(FilePart::Unet, false)
}

/// The published model's scheduler, changed by what the file's markers say. Without a signal at its last time a model has to
/// begin there, which leading times do not.
fn published_scheduler(kind: &SingleFile) -> Value {
    let prediction = if kind.predicts_v { "v_prediction" } else { "epsilon" };
    let spacing = if kind.has_zero_terminal_snr { "trailing" } else { "leading" };
    json!({"_class_name": "EulerDiscreteScheduler", "prediction_type": prediction, "timestep_spacing": spacing,
        "steps_offset": 1, "rescale_betas_zero_snr": kind.has_zero_terminal_snr})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::Prediction;
    use crate::sampler::diffusion::Spacing;

    fn kind(marked: bool) -> SingleFile {
        SingleFile {
            is_refiner: false,
            predicts_v: marked,
            has_zero_terminal_snr: marked,
            has_vae: true,
            unused: Vec::new(),
        }
    }

    #[test]
    fn markers_change_prediction_and_noise_table() {
        let read = |marked| SchedulerConfig::from_json(&published_scheduler(&kind(marked))).expect("a valid scheduler");
        let (plain, marked) = (read(false), read(true));
        assert_eq!((plain.prediction, plain.spacing), (Prediction::Epsilon, Spacing::Leading { offset: 1 }));
        assert_eq!((marked.prediction, marked.spacing), (Prediction::V, Spacing::Trailing));
        assert!(marked.table.ratio(999) > 4000.0 && plain.table.ratio(999) < 15.0);
    }
}
