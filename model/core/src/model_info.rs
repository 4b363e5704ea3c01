//! [`ModelInfo`]: the properties of a model.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    ControlChoice, ControlNetwork, ModelVocabulary, NoiseSchedule, Quality, Sampling, SizeLimits, Solver, SpecError,
    Stage, StepCache, StepCacheSupport,
};

/// The properties of a model that requests are checked against and clients can read.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// The name that requests give.
    pub name: String,
    /// The family, such as `newbie`: which code loads and runs it.
    pub family: &'static str,
    /// Parameters of each part, by the names that the family gives them.
    pub parameters: BTreeMap<String, u64>,
    /// The text encoders, in the order in which [`TokenCounter`](crate::TokenCounter) counts.
    pub encoders: Vec<EncoderInfo>,
    /// The stages of a generation from noise in one pass, in order.
    pub stages: Vec<Stage>,
    /// Width and height of a request that names none, in pixels.
    pub default_size_px: u32,
    /// Sizes that it can generate.
    pub size: SizeLimits,
    /// Whether it has a tiny decoder for previews.
    pub has_preview_decoder: bool,
    /// Whether requests may bring an initial image with or without a mask, or ask for a second pass: the checkpoint has an
    /// encoder of pixels.
    pub encodes_images: bool,
    /// A notice for users, such as that the weights are random; may be empty.
    pub notice: String,
    /// SHA-256 over the configuration of its parts and the beginning of its weight files, in lower-case hexadecimal.
    pub fingerprint: String,
    /// The system prompt of a request that gives none.
    pub default_system_prompt: String,
    /// The system prompt of a request that gives none and whose prompt has no markup.
    pub default_plain_system_prompt: String,
    /// How it reads prompts.
    pub prompt_text: PromptText,
    /// The solvers that it can be sampled with.
    pub solvers: &'static [Solver],
    /// The noise schedules that it can be sampled with; those other than its own go with every solver but DDIM.
    pub schedules: &'static [NoiseSchedule],
    /// Whether its times can be shifted. Otherwise the shift of a request is 1.
    pub has_shift: bool,
    /// The sampling options of a request that gives none.
    pub sampling: Sampling,
    /// Name and fingerprint of its refiner, `name@fingerprint`; `None` without a refiner.
    pub refiner: Option<String>,
    /// The control networks that were found for it.
    pub controls: Vec<ControlNetwork>,
    /// The tags and sizes it was trained with; `None` if its folder does not list them.
    pub vocabulary: Option<Arc<ModelVocabulary>>,
    /// Whether two devices can share the guidance of a request; see [`Assistant`](crate::Assistant).
    pub shares_guidance: bool,
    /// Its step cache; `None` if its family has none, which makes every request exact.
    pub step_cache: Option<StepCacheSupport>,
}

impl ModelInfo {
    /// Fills in the step cache settings of the request's quality level, unless the request has its own. A level without
    /// settings becomes exact.
    pub fn fill_quality(&self, sampling: &mut Sampling) {
        if let (None, Some(support), Quality::High | Quality::Fast) =
            (sampling.step_cache, &self.step_cache, sampling.quality)
        {
            sampling.step_cache = support.settings(sampling.quality);
            if sampling.step_cache.is_none() {
                sampling.quality = Quality::Exact;
            }
        }
    }

    /// Checks that the model supports the request's sampling options.
    ///
    /// # Errors
    ///
    /// [`SpecError::Unsupported`] for the first option that it does not have.
    pub fn check_sampling(&self, sampling: &Sampling) -> Result<(), SpecError> {
        let refuse = |field, given, supported| Err(SpecError::Unsupported { field, given, supported });
        if !self.solvers.contains(&sampling.solver) {
            let names: Vec<&str> = self.solvers.iter().map(|solver| solver.name()).collect();
            return refuse("sampling.solver", sampling.solver.to_string(), names.join(" or "));
        }
        if !self.schedules.contains(&sampling.schedule) {
            let names: Vec<&str> = self.schedules.iter().map(|schedule| schedule.name()).collect();
            return refuse("sampling.schedule", sampling.schedule.to_string(), names.join(" or "));
        }
        if sampling.solver == Solver::Ddim && sampling.schedule != NoiseSchedule::Native {
            let given = format!("{} with the solver {}", sampling.schedule, sampling.solver);
            return refuse("sampling.schedule", given, NoiseSchedule::Native.to_string());
        }
        if !self.has_shift && sampling.shift != 1.0 {
            return refuse("sampling.shift", sampling.shift.to_string(), "1".to_owned());
        }
        self.check_quality(sampling)
    }

    fn check_quality(&self, sampling: &Sampling) -> Result<(), SpecError> {
        let refuse = |field, given, supported| Err(SpecError::Unsupported { field, given, supported });
        let Some(support) = &self.step_cache else {
            if sampling.quality == Quality::Exact {
                return Ok(());
            }
            let given = format!("{}: the family {} has no step cache", sampling.quality, self.family);
            return refuse("sampling.quality", given, Quality::Exact.to_string());
        };
        match &sampling.step_cache {
            Some(cache) if cache.middle_blocks(support.blocks) == 0 => {
                let given = format!("{} blocks at the front and {} at the back", cache.front_blocks, cache.back_blocks);
                let supported = format!("fewer than its {} blocks together", support.blocks);
                refuse(StepCache::FRONT_FIELD, given, supported)
            }
            _ => Ok(()),
        }
    }

    /// Checks that the model has a refiner if a request asks for one.
    ///
    /// # Errors
    ///
    /// [`SpecError::Unsupported`] if it has none.
    pub fn check_refiner(&self, is_wanted: bool) -> Result<(), SpecError> {
        if self.refiner.is_some() || !is_wanted {
            return Ok(());
        }
        let (given, supported) = ("set".to_owned(), "a model with a refiner".to_owned());
        Err(SpecError::Unsupported { field: "refiner", given, supported })
    }

    /// The control network of this name, unless the model cannot use it.
    pub fn control(&self, name: &str) -> Option<&ControlNetwork> {
        self.controls.iter().find(|network| network.name == name && network.problem.is_empty())
    }

    /// Checks that the model has the control networks of a request.
    ///
    /// # Errors
    ///
    /// [`SpecError::Unsupported`] for the first one that it does not have.
    pub fn check_controls(&self, controls: &[ControlChoice]) -> Result<(), SpecError> {
        let Some(unknown) = controls.iter().find(|choice| self.control(&choice.network).is_none()) else {
            return Ok(());
        };
        let usable = self.controls.iter().filter(|network| network.problem.is_empty());
        let names: Vec<&str> = usable.map(|network| network.name.as_str()).collect();
        let supported = if names.is_empty() { "no control network".to_owned() } else { names.join(" or ") };
        Err(SpecError::Unsupported { field: "controls.network", given: unknown.network.clone(), supported })
    }
}

/// How a model reads prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptText {
    /// As markup: blocks of elements, or a bare caption.
    #[default]
    Markup,
    /// As a list of tags.
    Tags,
}

/// A text encoder, and how much it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderInfo {
    /// Its name, such as `gemma3`.
    pub name: &'static str,
    /// The most tokens that it reads, special tokens included.
    pub tokens_max: u32,
}
