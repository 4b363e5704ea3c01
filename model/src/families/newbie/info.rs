//! Facts about a loaded checkpoint, from its index, its networks and its files.

use std::sync::Arc;

use sakuga_model_core::{
    EncoderInfo, Guidance, ModelInfo, ModelVocabulary, NoiseSchedule, PromptText, Quality, QualityProfile, Sampling,
    SizeLimits, Solver, Stage, StepCacheSupport,
};

use super::LoadOptions;
use super::networks::Networks;
use super::text::{GEMMA_TOKENS_DEFAULT, JINA_TOKENS_DEFAULT, Tokenizers};
use crate::checkpoint::{ConfigFields, LoadReport, ModelFolder};
use crate::error::LoadError;
use crate::families::index_keys::{CommonKeys, Defaults};
use crate::sampler::SOLVERS;

/// Contents of a checkpoint besides its networks, which are the same at every opening.
pub(super) struct Facts {
    pub(super) tokenizers: Arc<Tokenizers>,
    pub(super) fingerprint: String,
    pub(super) vocabulary: Option<Arc<ModelVocabulary>>,
    pub(super) quality: Option<Arc<QualityProfile>>,
}

/// Text before XML captions in Gemma's input during training; the final space is part of it.
const SYSTEM_PROMPT_DEFAULT: &str =
    "You are an assistant designed to generate high-quality anime images based on xml format prompts. <Prompt Start> ";
/// Text before captions without markup.
const PLAIN_SYSTEM_PROMPT_DEFAULT: &str = "You are an assistant designed to generate high-quality anime images with \
     the highest degree of image-text alignment based on textual prompts. <Prompt Start> ";
/// Edge of the published model's images, in pixels.
const SIZE_DEFAULT_PX: usize = 1024;
/// Longest edge that is ever offered, in pixels.
const EDGE_MAX_PX: usize = 16_384;

/// The largest image has the area of a square with this many times the default edge.
const AREA_EDGE_FACTOR: u32 = 4;

/// How the model's authors sample: 28 Euler intervals at shift 6, guidance 5 throughout and unbounded.
pub const SAMPLING_DEFAULT: Sampling = Sampling {
    solver: Solver::Euler,
    schedule: NoiseSchedule::Native,
    steps: 28,
    guidance: Guidance::new(5.0),
    shift: 6.0,
    quality: Quality::Exact,
    step_cache: None,
};

const DEFAULTS: Defaults = Defaults {
    size_px: SIZE_DEFAULT_PX,
    edge_max_px: EDGE_MAX_PX,
    sampling: SAMPLING_DEFAULT,
    solvers: &SOLVERS,
    schedules: &[NoiseSchedule::Native],
    has_shift: true,
};

/// The keys that this project adds to `model_index.json`; every one may be absent. An empty system prompt means none.
pub(super) struct IndexKeys {
    pub common: CommonKeys,
    pub system_prompt: String,
    pub plain_system_prompt: String,
    pub token_limits: [usize; 2],
}

impl IndexKeys {
    /// Reads the keys of `folder`'s index.
    ///
    /// # Errors
    ///
    /// Every key of the wrong type or out of range, in one error.
    pub(crate) fn read(folder: &ModelFolder) -> Result<Self, LoadError> {
        let fields = ConfigFields::new(folder.index());
        let keys = Self {
            common: CommonKeys::read(&fields, folder.dir(), &DEFAULTS),
            system_prompt: fields.text_or("_sakuga_system_prompt", SYSTEM_PROMPT_DEFAULT),
            plain_system_prompt: fields.text_or("_sakuga_system_prompt", PLAIN_SYSTEM_PROMPT_DEFAULT),
            token_limits: [
                fields.count_or("_sakuga_gemma_tokens_max", GEMMA_TOKENS_DEFAULT, 8..=131_072),
                fields.count_or("_sakuga_jina_tokens_max", JINA_TOKENS_DEFAULT, 8..=8192),
            ],
        };
        let path = folder.dir().join("model_index.json");
        fields.finish().map_err(|source| LoadError::Config { path, source })?;
        Ok(keys)
    }
}

/// The most tokens that Gemma and Jina CLIP read.
pub(super) fn token_limits(keys: &IndexKeys, networks: &Networks) -> [usize; 2] {
    let [gemma, jina] = keys.token_limits;
    // Image positions begin one beyond the caption, and the caption's axis has this number of positions.
    [gemma.min(networks.transformer.config().caption_len_max().max(1)), jina]
}

/// What the loaded checkpoint is.
pub(super) fn model_info(keys: &IndexKeys, networks: &Networks, reports: &[LoadReport], facts: &Facts) -> ModelInfo {
    let dit = networks.transformer.config();
    let multiple = dit.patch_size * networks.vae.config().factor();
    let edge_max = (dit.axes_lens[1].min(dit.axes_lens[2]) * multiple).min(EDGE_MAX_PX / multiple * multiple);
    let default_size = (keys.common.default_size_px.min(edge_max) / multiple * multiple).max(multiple);
    let encoder = |name, tokens: usize| EncoderInfo { name, tokens_max: tokens as u32 };
    let [gemma_tokens, jina_tokens] = token_limits(keys, networks);
    ModelInfo {
        name: keys.common.name.clone(),
        family: "newbie",
        parameters: reports.iter().map(|report| (part_name(&report.component), report.parameters)).collect(),
        encoders: vec![encoder("gemma3", gemma_tokens), encoder("jina_clip", jina_tokens)],
        stages: vec![Stage::TextEncode, Stage::Denoise, Stage::Decode],
        default_size_px: default_size as u32,
        size: SizeLimits {
            multiple_px: multiple as u32,
            edge_max_px: edge_max as u32,
            pixels_max: (default_size as u64 * u64::from(AREA_EDGE_FACTOR)).pow(2),
        },
        has_preview_decoder: networks.tiny_decoder.is_some(),
        encodes_images: networks.vae.encodes(),
        notice: keys.common.notice.clone(),
        fingerprint: facts.fingerprint.clone(),
        default_system_prompt: keys.system_prompt.clone(),
        default_plain_system_prompt: keys.plain_system_prompt.clone(),
        prompt_text: PromptText::Markup,
        solvers: DEFAULTS.solvers,
        schedules: DEFAULTS.schedules,
        has_shift: DEFAULTS.has_shift,
        sampling: keys.common.sampling,
        refiner: None,
        controls: Vec::new(),
        vocabulary: facts.vocabulary.clone(),
        shares_guidance: true,
        step_cache: Some(StepCacheSupport { blocks: dit.n_layers as u32, profile: facts.quality.clone() }),
    }
}

/// Bytes of device memory that the weights take.
pub(super) fn weight_bytes(reports: &[LoadReport], options: &LoadOptions) -> u64 {
    let is_on_device = |report: &&LoadReport| !(options.offload_text_encoder && report.component == OFFLOADED_PART);
    reports.iter().filter(is_on_device).map(|report| report.bytes).sum()
}

/// The network's name for a component of the folder.
fn part_name(component: &str) -> String {
    match component {
        "transformer" => "next_dit",
        "text_encoder" => "gemma3",
        "clip_model" => "jina_clip",
        "vae" => "autoencoder_kl",
        other => other,
    }
    .to_owned()
}

/// The part whose weights `offload_text_encoder` keeps in host memory.
const OFFLOADED_PART: &str = "text_encoder";
#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys(index: Value) -> Result<IndexKeys, LoadError> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("model_index.json"), index.to_string()).expect("writable");
        IndexKeys::read(&ModelFolder::open(dir.path()).expect("a folder with an index"))
    }

    #[test]
    fn a_silent_index_has_the_authors_defaults() {
        let keys = keys(json!({})).expect("every key is optional");
        assert_eq!(keys.common.sampling, SAMPLING_DEFAULT);
        assert_eq!((keys.system_prompt.as_str(), keys.common.notice.as_str()), (SYSTEM_PROMPT_DEFAULT, ""));
        assert_eq!(keys.plain_system_prompt, PLAIN_SYSTEM_PROMPT_DEFAULT);
    }

    #[test]
    fn a_checkpoint_brings_its_own_defaults() {
        let index = json!({"_sakuga_default_steps": 20, "_sakuga_default_guidance_scale": 3.5,
            "_sakuga_default_guidance_until": 0.5, "_sakuga_default_guidance_renorm": 1, "_sakuga_default_shift": 1.0,
            "_sakuga_default_solver": "dpmpp", "_sakuga_system_prompt": ""});
        let keys = keys(index).expect("all in range");
        let guidance = Guidance { until: 0.5, renorm: 1.0, ..Guidance::new(3.5) };
        let expected = Sampling { solver: Solver::Dpm, steps: 20, guidance, shift: 1.0, ..SAMPLING_DEFAULT };
        assert_eq!(keys.common.sampling, expected);
        assert_eq!((keys.system_prompt.as_str(), keys.plain_system_prompt.as_str()), ("", ""), "none, not the default");
    }

    #[test]
    fn every_default_out_of_range_is_named() {
        let index = json!({"_sakuga_default_steps": 0, "_sakuga_default_guidance_scale": 0.5,
            "_sakuga_default_guidance_until": "late", "_sakuga_default_guidance_renorm": -1,
            "_sakuga_default_shift": 0, "_sakuga_default_solver": "heun"});
        let error = keys(index).err().expect("nothing is right").to_string();
        for key in ["steps", "guidance_scale", "guidance_until", "guidance_renorm", "shift", "solver"] {
            assert!(error.contains(&format!("`_sakuga_default_{key}`")), "{key}: {error}");
        }
        assert!(error.contains("use euler or midpoint or rk4 or dpm"), "{error}");
    }
}
