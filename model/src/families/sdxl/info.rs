//! Facts about a loaded checkpoint.

use std::sync::Arc;

use sakuga_model_core::{
    EncoderInfo, Guidance, ModelInfo, ModelVocabulary, NoiseSchedule, PromptText, Quality, Sampling, SizeLimits,
    Solver, Stage,
};

use super::networks::Networks;
use super::scheduler::SchedulerConfig;
use super::source::Source;
use super::text::CHUNKS_MAX;
use crate::checkpoint::{ConfigFields, LoadReport};
use crate::error::LoadError;
use crate::families::index_keys::{CommonKeys, Defaults};
use crate::sampler::diffusion;

/// Edge of the published model's images, in pixels.
const SIZE_DEFAULT_PX: usize = 1024;
/// Longest edge that is ever offered, in pixels.
const EDGE_MAX_PX: usize = 8192;
/// The largest image has the area of a square with this many times the default edge.
const AREA_EDGE_FACTOR: u64 = 2;
/// Steps and guidance that the authors recommend.
const STEPS_DEFAULT: u32 = 30;
const GUIDANCE_DEFAULT: f32 = 7.0;

/// The solvers of requests.
const SOLVERS: [Solver; 5] = [Solver::Euler, Solver::Dpm, Solver::EulerAncestral, Solver::Ddim, Solver::UniPc];

/// The keys of `model_index.json` that this family reads; every one may be absent.
pub(super) struct IndexKeys {
    common: CommonKeys,
    /// Whether no negative prompt is the same as zeros, and not as the empty text.
    pub(super) zeros_for_no_negative: bool,
}

impl IndexKeys {
    /// Reads the keys of a model's index. The solver of a request that names none is that of the scheduler.
    ///
    /// # Errors
    ///
    /// Every key of the wrong type or out of range, in one error.
    pub(super) fn read(source: &Source, scheduler: &SchedulerConfig) -> Result<Self, LoadError> {
        let index = source.index();
        let fields = ConfigFields::new(&index);
        let solver = match scheduler.solver {
            diffusion::Solver::DpmPp { .. } => Solver::Dpm,
            diffusion::Solver::Euler => Solver::Euler,
            diffusion::Solver::EulerAncestral => Solver::EulerAncestral,
            diffusion::Solver::Ddim { .. } => Solver::Ddim,
            diffusion::Solver::UniPc { .. } => Solver::UniPc,
        };
        let schedule = NoiseSchedule::usual(solver, &NoiseSchedule::ALL);
        let guidance = Guidance::new(GUIDANCE_DEFAULT);
        let defaults = Defaults {
            size_px: SIZE_DEFAULT_PX,
            edge_max_px: EDGE_MAX_PX,
            sampling: Sampling {
                solver,
                schedule,
                steps: STEPS_DEFAULT,
                guidance,
                shift: 1.0,
                quality: Quality::Exact,
                step_cache: None,
            },
            solvers: &SOLVERS,
            schedules: &NoiseSchedule::ALL,
            has_shift: false,
        };
        let path = source.path();
        let keys = Self {
            common: CommonKeys::read(&fields, path, &defaults),
            zeros_for_no_negative: fields.flag_or("force_zeros_for_empty_prompt", true),
        };
        let path = path.join("model_index.json");
        fields.finish().map_err(|source| LoadError::Config { path, source })?;
        Ok(keys)
    }
}

/// What the loaded checkpoint is.
pub(super) fn model_info(
    keys: &IndexKeys,
    networks: &Networks,
    reports: &[LoadReport],
    fingerprint: String,
    vocabulary: Option<Arc<ModelVocabulary>>,
) -> ModelInfo {
    let factor = networks.vae.config().factor();
    let default_size = (keys.common.default_size_px / factor * factor).max(factor);
    let inside = networks.text.g.config().tokens - 2;
    let encoder = |name| EncoderInfo { name, tokens_max: (CHUNKS_MAX * inside) as u32 };
    ModelInfo {
        name: keys.common.name.clone(),
        family: "sdxl",
        parameters: reports.iter().map(|report| (report.component.clone(), report.parameters)).collect(),
        encoders: vec![encoder("clip_l"), encoder("clip_g")],
        stages: vec![Stage::TextEncode, Stage::Denoise, Stage::Decode],
        default_size_px: default_size as u32,
        size: SizeLimits {
            multiple_px: factor as u32,
            edge_max_px: (EDGE_MAX_PX / factor * factor) as u32,
            pixels_max: (default_size as u64 * AREA_EDGE_FACTOR).pow(2),
        },
        has_preview_decoder: false,
        encodes_images: networks.vae.encodes(),
        notice: keys.common.notice.clone(),
        fingerprint,
        default_system_prompt: String::new(),
        default_plain_system_prompt: String::new(),
        prompt_text: PromptText::Tags,
        solvers: &SOLVERS,
        schedules: &NoiseSchedule::ALL,
        has_shift: false,
        sampling: keys.common.sampling,
        refiner: None,
        controls: Vec::new(),
        vocabulary,
        shares_guidance: false,
        step_cache: None,
    }
}
