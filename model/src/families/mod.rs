//! Model families: the code that knows how the parts of a kind of checkpoint work together.
//!
//! A family owns the order of the work, the conditioning, padding, defaults, system prompts and the names of its
//! checkpoint's parts. It puts [`networks`](crate::networks) together, which know nothing of each other, and runs them with
//! the [`sampler`](crate::sampler). [`load`] recognises the family of a checkpoint and loads it.
//!
//! # How to add a family
//!
//! Stable Diffusion XL is the example: where no folder is named, a file is in `families/sdxl/`.
//!
//! 1. **Networks.** `networks/NAME/` for each network that is not there yet: a configuration read by
//!    [`ConfigFields`](crate::checkpoint::ConfigFields), a `load` that takes tensors from a
//!    [`TensorReader`](crate::checkpoint::TensorReader) under their published names, and a forward pass of `nn` and
//!    burn. A faster pass for GPUs is optional (`nn/accelerated.rs`). Compare inputs and outputs with those of the
//!    authors' code in a test program like `tests/parity_sdxl/`, which shares `tests/parity/harness.rs`.
//! 2. **Recognition.** `families/recognise.rs`: a variant of [`Family`] with its name, its `_class_name`s and the
//!    tensors of its single files; add it to `Family::ALL`. The compiler then names every match to extend: [`load`],
//!    [`files_of_folder`] and `part_names` in this file, `inspect/file.rs` and `inspect/folder.rs`. In [`load`], refuse
//!    [`LoadOptions::refiner`] and warn of [`LoadOptions::controlnets`] if the family has none, as for NewBie. Add the
//!    names of its networks to `NETWORKS` of the test `sources` in `sakuga-tidy`: no file of the server may name them.
//! 3. **Loading.** `source.rs` lists the files of a folder in `FOLDER` (a list of `FolderPart`, see
//!    `families/folder_files.rs`), which the family's `mod.rs` re-exports, and opens its parts; `networks.rs` loads them. Every reader gets [`LoadOptions::weights`]: networks that were loaded from headers alone describe the model
//!    and compute nothing. `families/fingerprint.rs` identifies the files, and `families/vocabulary.rs` reads the
//!    vocabulary; keep what loading reads besides weights in [`LoadOptions::facts`].
//! 4. **Description.** `info.rs` fills [`ModelInfo`]: encoders, stages, solvers, sizes and defaults.
//!    `families/index_keys.rs` reads the keys of `model_index.json` that every family has.
//!    [`PromptText`](sakuga_model_core::PromptText) says in which form the server passes prompts. `preview.rs` has the
//!    linear preview of the latents.
//! 5. **Drawing.** `pipeline.rs` implements `FamilyStages` of `families/generate.rs`, which has the order of the work
//!    and profiles the stages. `encode_text` tokenizes and encodes (`text.rs`), and `drawing` returns the decoders and the encoder of init images.
//!    `denoise` computes one pass, batch by batch ([`GenerationSpec::batches`]). A batch starts from noise
//!    ([`sampler::noise`](crate::sampler::noise), stream `PassPlan::stream`), or from the latents of `PassPlan::start`
//!    with that noise. Each step evaluates the network with guidance (`denoise.rs`), applies the mask of
//!    `PassPlan::start`, and is reported by `StepReporter`. Flow matching is integrated by `sampler/solver.rs`; noise
//!    and v predictions at discrete training times use [`sampler::diffusion`](crate::sampler::diffusion).
//!    `SharedGuidance` exchanges halves of guidance with another device, and `FamilyStages::assist` computes the halves that a
//!    leading device hands out; a family that cannot share returns `None` from `shared_dtype`, and its `assist` is then not called.
//!    `pipeline.rs` also implements [`FamilyModel`]: `generate_with` and `assist` call those of `families/generate.rs`, `warm_up`
//!    draws each size once, and the rest is mostly calls of `families/place.rs`.
//! 6. **Adapters of requests**, optional: `adapters.rs` maps names of adapters to tensors and implements
//!    [`AdapterInspector`]; each network lends its weights as `nn/adaptable.rs` names them; `applied.rs` implements
//!    `AdaptedNetworks` of `families/applied.rs`, with which [`FamilyModel::switch_adapters`] is one call. Prefixes of
//!    adapter files are in `checkpoint/adapters/keys.rs`.
//! 7. **Tests.** `synthetic.rs` writes a small checkpoint of random weights. The server's test program
//!    `stable_diffusion_xl` draws with one through the service; do the same. `sakuga-model-core` and the server change
//!    only for a new form of prompts or new options of requests. The help of `--model`, `model/README.md` and the
//!    changelog name families.

mod adapters;
mod applied;
mod drawing;
mod fingerprint;
mod folder_files;
mod generate;
mod index_keys;
mod load_clock;
pub mod newbie;
mod passes;
mod place;
mod profiler;
mod quality_profile;
mod recognise;
pub mod sdxl;
pub(crate) mod shared_guidance;
mod start;
mod steps;
mod vocabulary;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sakuga_model_core::{
    AdapterChoice, AdapterInspector, Assistant, ComputePath, EngineError, GenerationSpec, Leader, LoraChoice,
    MemoryProbe, ModelInfo, Observer, Outcome, TokenCounter,
};

use serde_json::Value;

use crate::checkpoint::{FileFacts, LoadReport, WeightSource};
use crate::device::OpenDevice;
use crate::error::{FamilyError, LoadError};
pub use folder_files::FolderFiles;
use folder_files::FolderPart;
pub(crate) use recognise::of_index;
pub use recognise::{Family, recognise};

/// How a checkpoint is loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where the networks live and in which precision they compute. With `Precision::Fp8` the denoiser's weights are
    /// rounded after they are read; adapters are merged before.
    pub device: OpenDevice,
    /// Adapters that are merged into the denoiser while it is read.
    pub loras: Vec<LoraChoice>,
    /// The folder or file of its refiner.
    pub refiner: Option<PathBuf>,
    /// The folder of its control networks.
    pub controlnets: Option<PathBuf>,
    /// Keeps the weights of the large text encoder in the host's memory, from where they are copied layer by layer for each
    /// new text: for GPUs with less memory. Needs a GPU with the fast path, in bf16.
    pub offload_text_encoder: bool,
    /// Where the values of weights come from.
    pub weights: WeightSource,
    /// What an earlier loading of the same files read besides the weights.
    pub facts: Arc<FileFacts>,
}

impl LoadOptions {
    /// On this device, from the files, without adapters.
    pub fn new(device: OpenDevice) -> Self {
        Self {
            device,
            loras: Vec::new(),
            refiner: None,
            controlnets: None,
            offload_text_encoder: false,
            weights: WeightSource::default(),
            facts: Arc::default(),
        }
    }
}

/// A size that is generated before the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpSize {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Images that are computed at once.
    pub images: u32,
    /// Whether texts of every length are read, in steps of what shares its plans. Else only the longest one is.
    pub every_length: bool,
}

/// A loaded checkpoint of any family.
pub trait FamilyModel: Send {
    /// Name, sizes, encoders, stages and defaults.
    fn info(&self) -> &ModelInfo;

    /// The tokenizers, which other threads may use to count tokens.
    fn tokens(&self) -> Arc<dyn TokenCounter>;

    /// The implementation of each network.
    fn compute_paths(&self) -> Vec<ComputePath>;

    /// Reads how much device memory is held.
    fn memory_probe(&self) -> MemoryProbe;

    /// Free and total bytes of the device's memory, where they can be read.
    fn memory_bytes(&self) -> Option<(u64, u64)>;

    /// Bytes that the weights take in memory.
    fn weight_bytes(&self) -> u64;

    /// Values of working memory for each pixel of a batch, about.
    fn pixel_values(&self) -> u64;

    /// Generates images of these sizes in as few steps as possible, so that memory is allocated and kernels are chosen
    /// before the first request of at most these sizes.
    ///
    /// # Errors
    ///
    /// A size is out of bounds, or the device has no memory for it.
    fn warm_up(&self, sizes: &[WarmUpSize]) -> Result<(), EngineError>;

    /// Checks adapters of requests; `None`: this family takes none.
    fn adapters(&self) -> Option<Arc<dyn AdapterInspector>> {
        None
    }

    /// Whether the weights are those of a request with these adapters.
    fn has_adapters(&self, adapters: &[AdapterChoice]) -> bool {
        adapters.is_empty()
    }

    /// Changes the weights to those of a request with these adapters. Without any, they are bit-identical to those that
    /// were loaded. After an error they have these too.
    ///
    /// # Errors
    ///
    /// An adapter cannot be read, has changed since it was chosen, or does not fit; or the device fails.
    fn switch_adapters(&mut self, _adapters: &[AdapterChoice]) -> Result<(), EngineError> {
        Err(EngineError::Failed(
            "models of this family take no adapters per request; merge them with --lora".to_owned(),
        ))
    }

    /// Takes adapters back, and frees the device memory that only they and control networks needed.
    ///
    /// # Errors
    ///
    /// The device fails.
    fn release_adapters(&mut self) -> Result<(), EngineError> {
        if self.has_adapters(&[]) { Ok(()) } else { self.switch_adapters(&[]) }
    }

    /// Generates the images of `spec` with the weights as they are. `observer` is called for every stage and step.
    ///
    /// # Errors
    ///
    /// A field of `spec` is out of bounds, or the device fails.
    fn generate(&self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        self.generate_with(spec, None, observer)
    }

    /// [`generate`](Self::generate) with the help of another device if there is an `assistant`.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate).
    fn generate_with(
        &self,
        spec: &GenerationSpec,
        assistant: Option<&dyn Assistant>,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError>;

    /// Computes what the leading device of a generation of `spec` hands out, with the weights as they are.
    ///
    /// # Errors
    ///
    /// As for [`generate`](Self::generate).
    fn assist(&self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError>;
}

/// Loads the checkpoint at `path`, a folder or a single file, with the code of its family.
///
/// # Errors
///
/// The family is unknown or does not draw by itself, or a part is missing, malformed or does not fit.
pub fn load(path: &Path, options: LoadOptions) -> Result<(Box<dyn FamilyModel>, Vec<LoadReport>), LoadError> {
    match recognise(path)? {
        family @ Family::NewBie if path.is_file() => {
            let remedy = newbie::single_file(path);
            Err(FamilyError::OnePart { path: path.to_owned(), family: family.name(), part: "transformer", remedy }
                .into())
        }
        Family::NewBie if options.refiner.is_some() => Err(LoadError::layout(
            path,
            "models of this family have no refiner; leave --refiner out, or name its model",
        )),
        Family::NewBie => {
            if let Some(notice) = unused_option(&options) {
                tracing::warn!(model = %path.display(), "{notice}");
            }
            let (pipeline, reports) = newbie::Pipeline::load(path, options)?;
            Ok((Box::new(pipeline), reports))
        }
        Family::StableDiffusionXl => {
            let (pipeline, reports) = sdxl::Pipeline::load(path, &options)?;
            Ok((Box::new(pipeline), reports))
        }
        Family::StableDiffusionXlRefiner => {
            let reason = "it is a refiner, which does not draw by itself; name it with --refiner next to its model";
            Err(LoadError::layout(path, reason))
        }
    }
}

/// An option that a NewBie model does not use, for the log. Other models of the server may use it.
fn unused_option(options: &LoadOptions) -> Option<String> {
    let folder = options.controlnets.as_deref()?;
    Some(format!(
        "models of this family take no control networks, so those of --controlnets {} are left out; they are for Stable \
         Diffusion XL models",
        folder.display()
    ))
}

/// Which files of a published folder [`load`] reads, from its `model_index.json` and the paths of its files, separated by `/`:
/// known before any other file is there.
///
/// # Errors
///
/// The family is unknown, or every part that has no usable files.
pub fn files_of_folder(index: &Value, paths: &[String]) -> Result<FolderFiles, LoadError> {
    let path = Path::new("model_index.json");
    match of_index(path, index)? {
        Family::NewBie => folder_files::select(newbie::FOLDER, paths),
        Family::StableDiffusionXl => folder_files::select(sdxl::FOLDER, paths),
        Family::StableDiffusionXlRefiner => folder_files::select(sdxl::REFINER_FOLDER, paths),
    }
}

/// The directories with weights of a family's folder, in the order in which they are loaded.
pub(crate) fn part_names(family: Family) -> Vec<&'static str> {
    let folder = match family {
        Family::NewBie => newbie::FOLDER,
        Family::StableDiffusionXl => sdxl::FOLDER,
        Family::StableDiffusionXlRefiner => sdxl::REFINER_FOLDER,
    };
    folder.iter().filter_map(FolderPart::network_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newbie_model_names_the_control_networks_that_it_does_not_use() {
        let options = LoadOptions::new(OpenDevice::cpu());
        assert_eq!(unused_option(&options), None);
        let options = LoadOptions { controlnets: Some("/models/controlnets".into()), ..options };
        let notice = unused_option(&options).expect("a notice");
        assert!(notice.contains("--controlnets /models/controlnets") && notice.contains("Stable Diffusion XL"));
    }
}
