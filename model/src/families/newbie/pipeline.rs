//! [`Pipeline`]: reads the texts of a request and computes its steps; `families/generate.rs` has the order of the work.
//!
//! A [`Pipeline`] is used from one thread at a time; it holds no channel and no runtime and prints nothing. Its observer is
//! called between steps, on the same thread, and can stop the work by returning [`ControlFlow::Break`].

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{DType, Tensor};
use sakuga_model_core::{
    AdapterChoice, AdapterInspector, Assistant, ComputePath, EngineError, GenerationSpec, Guidance, Leader,
    MemoryProbe, ModelInfo, Observer, Outcome, Pass, Sampling, Timings, TokenCount, TokenCounter,
};

use super::denoise::{Denoiser, SharedBatch};
use super::info::{Facts, IndexKeys, model_info, token_limits, weight_bytes};
use super::layout::PARTS;
use super::networks::{Networks, TextFeatures};
use super::text::{GEMMA_PAD_MULTIPLE, Tokenizers};
use super::{LoadOptions, WarmUpSize};
use crate::checkpoint::{LoadReport, ModelFolder};
use crate::device;
use crate::error::{LoadError, TokenError};
use crate::families::FamilyModel;
use crate::families::applied::AppliedAdapters;
use crate::families::drawing::Drawing;
use crate::families::fingerprint;
use crate::families::generate::{FamilyStages, answer, assist, generate, with_previews};
use crate::families::passes::{Denoised, Flow, PassPlan};
use crate::families::shared_guidance::{Exchange, SharedGuidance};
use crate::families::steps::{BatchStep, StepReporter};
use crate::families::{quality_profile, vocabulary};
use crate::networks::next_dit;
use crate::sampler::{Schedule, State as _, noise};
use crate::tokens::TokenBatch;

/// Gemma's padding id; its mask makes it invisible.
const GEMMA_PAD_ID: u32 = 0;
/// Jina CLIP's padding id.
const JINA_PAD_ID: u32 = 1;

/// The most tokens that the fast path of an offloaded text encoder reads.
const OFFLOADED_TOKENS_MAX: usize = 2048;
/// More of these words than any encoder reads.
const WARM_UP_WORD: &str = "blue_hair, ";
const WARM_UP_WORDS: usize = 2048;
/// Tokens of the word, about and at most.
const WARM_UP_WORD_TOKENS: usize = 8;

/// Values of working memory for each pixel of a batch, about: the decoder's widest layers, a few copies of 128 channels at
/// full size, outweigh everything else.
const DECODER_PIXEL_VALUES: u64 = 512;

/// A loaded checkpoint with its tokenizers.
pub struct Pipeline {
    networks: Networks,
    applied: AppliedAdapters<Networks>,
    tokenizers: Arc<Tokenizers>,
    info: ModelInfo,
    weight_bytes: u64,
}

impl Pipeline {
    /// Loads a diffusers folder: `model_index.json`, `transformer/`, `text_encoder/` and `clip_model/` with their
    /// `tokenizer.json`, `vae/`, and `preview_decoder/` if it is there.
    ///
    /// # Errors
    ///
    /// What is missing, malformed or does not fit, with the file.
    pub fn load(dir: &Path, options: LoadOptions) -> Result<(Self, Vec<LoadReport>), LoadError> {
        let folder = ModelFolder::open(dir)?;
        let keys = IndexKeys::read(&folder)?;
        if options.offload_text_encoder && keys.token_limits[0] > OFFLOADED_TOKENS_MAX {
            let reason = format!(
                "`_sakuga_gemma_tokens_max` is {}, and a text encoder in the host's memory reads {OFFLOADED_TOKENS_MAX} at most",
                keys.token_limits[0]
            );
            return Err(LoadError::layout(dir, reason));
        }
        let (networks, reports) = Networks::load(&folder, &options)?;
        let limits = token_limits(&keys, &networks);
        let facts = options.facts.get_or_read(|| -> Result<_, LoadError> {
            let tokenizer = |part: &str| dir.join(part).join("tokenizer.json");
            let tokenizers = Tokenizers::open(&tokenizer("text_encoder"), &tokenizer("clip_model"), limits)?;
            let (tokenizers, vocabulary) = (Arc::new(tokenizers), vocabulary::read(dir)?);
            let fingerprint = fingerprint::of_folder(&folder, &PARTS)?;
            let quality = quality_profile::read(dir, &fingerprint)?;
            Ok(Facts { tokenizers, fingerprint, vocabulary, quality })
        })?;
        let info = model_info(&keys, &networks, &reports, &facts);
        let weight_bytes = weight_bytes(&reports, &options);
        let (tokenizers, applied) = (Arc::clone(&facts.tokenizers), AppliedAdapters::default());
        Ok((Self { networks, applied, tokenizers, info, weight_bytes }, reports))
    }

    /// Facts about the model.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Bytes that the weights take in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// The tokenisers, which other threads may use to count tokens.
    pub fn text(&self) -> Arc<Tokenizers> {
        Arc::clone(&self.tokenizers)
    }

    /// Generates images of these sizes in as few steps as possible, so that memory is allocated and kernels are chosen before
    /// the first request of at most these sizes.
    ///
    /// # Errors
    ///
    /// A size is out of bounds, or the device has no memory for it.
    pub fn warm_up(&self, sizes: &[WarmUpSize]) -> Result<(), EngineError> {
        for &WarmUpSize { width_px, height_px, images, every_length } in sizes {
            let defaults = self.info.sampling;
            // Both halves of guidance and then one alone, whatever the model's default is.
            let guidance = Guidance { until: 1e-3, renorm: defaults.guidance.renorm, ..Guidance::new(2.0) };
            let spec = GenerationSpec {
                images,
                system_prompt: self.info.default_system_prompt.clone(),
                ..GenerationSpec::new("", width_px, height_px, Sampling { steps: 2, guidance, ..defaults })
            };
            let longest = GenerationSpec { text: WARM_UP_WORD.repeat(WARM_UP_WORDS), ..spec.clone() };
            self.generate(&longest, &mut with_previews)?;
            if every_length {
                let words = self.tokenizers.limits()[0] / WARM_UP_WORD_TOKENS;
                for words in (0..words).step_by(next_dit::ROW_MULTIPLE / WARM_UP_WORD_TOKENS) {
                    let text = GenerationSpec { text: WARM_UP_WORD.repeat(words), ..spec.clone() };
                    self.generate(&text, &mut |_| ControlFlow::Continue(()))?;
                }
            }
        }
        Ok(())
    }

    /// The networks, for callers with their own ids or noise.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Draws the images of `spec`. `observer` is called for every stage and step.
    ///
    /// # Errors
    ///
    /// A field of `spec` is out of bounds, or the device fails.
    pub fn generate(&self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        generate(self, spec, None, observer)
    }

    /// The denoiser of a batch of `images` images with latents of `[height, width]`.
    fn denoiser<'a>(
        &'a self,
        features: &TextFeatures,
        guidance: Guidance,
        (images, size): (usize, [usize; 2]),
        shared: Option<SharedBatch<'a>>,
    ) -> Denoiser<'a> {
        let transformer = &self.networks.transformer;
        match shared {
            Some(shared) => Denoiser::halved(transformer, features, guidance, images, size).shared(shared),
            None => Denoiser::new(transformer, features, guidance, images, size),
        }
    }

    /// The size of the latents of a pass, `[height, width]`.
    fn latent_size(&self, pass: &Pass) -> [usize; 2] {
        let factor = self.networks.vae.config().factor();
        [pass.height_px, pass.width_px].map(|edge| edge as usize / factor)
    }
}

impl FamilyStages for Pipeline {
    type Conditioning = TextFeatures;

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn drawing(&self) -> Drawing<'_> {
        let Networks { vae, tiny_decoder, linear_preview, place, .. } = &self.networks;
        Drawing { vae, tiny_decoder: tiny_decoder.as_ref(), linear_preview, place }
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn encode_text(&self, spec: &GenerationSpec) -> Result<(TextFeatures, Vec<TokenCount>), EngineError> {
        let is_guided = spec.sampling.guidance.is_ever_active();
        let negative = is_guided.then_some([spec.negative_system_prompt.as_str(), &spec.negative]);
        let tokens = self.tokenizers.encode([&spec.system_prompt, &spec.text], negative);
        let gemma = TokenBatch::padded(&tokens.gemma, GEMMA_PAD_ID, GEMMA_PAD_MULTIPLE).map_err(token_error)?;
        let jina = TokenBatch::padded(&tokens.jina, JINA_PAD_ID, 1).map_err(token_error)?;
        let features = self.networks.encode(&gemma, &jina).map_err(token_error)?;
        self.networks.place.finish("reading the text")?;
        Ok((features, tokens.counts.into()))
    }

    #[tracing::instrument(level = "debug", skip_all, fields(pass = plan.number))]
    fn denoise(
        &self,
        spec: &GenerationSpec,
        features: &TextFeatures,
        plan: &PassPlan,
        shared: Option<&SharedGuidance<'_>>,
        timings: &mut Timings,
        observer: &mut Observer<'_>,
    ) -> Flow<Vec<Denoised>> {
        let Sampling { solver, guidance, shift, step_cache, .. } = spec.sampling;
        let schedule = Schedule::new(solver, plan.pass.grid_steps as usize, f64::from(shift));
        let first = plan.steps_skipped();
        let size = self.latent_size(&plan.pass);
        let channels = self.networks.transformer.config().in_channels;
        let batches = spec.batches();
        let batches_total = batches.len();
        let mut finished = Vec::with_capacity(batches.len());
        for (turn, batch) in (0..).zip(batches) {
            let images = batch.len();
            let mut clock = Instant::now();
            let evaluations = solver.evaluations_per_step();
            let shape = [channels, size[0], size[1]];
            let noise = noise::batch_of(plan.stream(), spec.seed, batch.start, images, shape, self.networks.device());
            let init = plan.start.latents(turn as usize, images);
            // The straight path from noise to the initial image, at a point of the grid.
            let at = |point: usize| match &init {
                Some(init) => Tensor::combine(&[(schedule.times()[point], init), (schedule.sigmas()[point], &noise)]),
                None => noise.clone(),
            };
            // The first point of the grid is noise alone, also with an initial image.
            let start = if first == 0 { noise.clone() } else { at(first) };
            let is_last = turn as usize + 1 == batches_total && plan.number as usize == spec.passes().count();
            let first_image = batch.start;
            let mut steps_reported = 0;
            // Once, and a second time without the assisting device if that is lost with what the step cache keeps for its rows.
            let denoised = loop {
                let shared = shared.filter(|shared| !shared.is_alone());
                let is_lost = || step_cache.is_some() && shared.is_some_and(SharedGuidance::is_lost);
                let batch = shared.map(|guidance| SharedBatch { guidance, pass: plan.number, batch: turn, is_last });
                let denoiser = self.denoiser(features, guidance, (images, size), batch);
                let denoiser = denoiser.with_step_cache(step_cache, evaluations);
                self.networks.place.finish("preparing the steps")?;
                timings.prepare += clock.elapsed();

                let mut reports = StepReporter::begin(
                    self.drawing(),
                    plan,
                    turn,
                    first_image,
                    evaluations,
                    &mut timings.steps,
                    &mut *observer,
                );
                let mut constrain = |drawn: Tensor<4>, point: usize| plan.start.keep(drawn, || at(point));
                let walk = denoiser.run_from(&schedule, first, start.clone(), &mut constrain, &mut |interval| {
                    if is_lost() {
                        return ControlFlow::Break(());
                    }
                    if interval.index <= steps_reported {
                        return reports.again();
                    }
                    steps_reported = interval.index;
                    let step = BatchStep {
                        index: interval.index as u32,
                        t: interval.t,
                        sigma: interval.sigma,
                        guidance_active: denoiser.is_guided(interval.t_start),
                        evaluations: interval.evaluations as u32,
                        reused_share: &|| denoiser.reused_share(interval.evaluations),
                    };
                    let end = schedule.intervals();
                    reports.report(&step, &|| plan.start.keep(interval.predicted_data(), || at(end)))
                });
                if let Some(failure) = shared.and_then(SharedGuidance::take_failure) {
                    return Err(failure);
                }
                if is_lost() {
                    clock = Instant::now();
                    continue;
                }
                match reports.finish(walk)? {
                    ControlFlow::Continue(latents) => break Denoised { latents, reused: denoiser.reused() },
                    ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
                }
            };
            finished.push(denoised);
        }
        Ok(ControlFlow::Continue(finished))
    }

    fn shared_dtype(&self) -> Option<DType> {
        let transformer = &self.networks.transformer;
        if transformer.is_fast() {
            return Some(DType::BF16);
        }
        device::is_cpu(self.networks.device()).then_some(DType::F32)
    }

    fn assist(
        &self,
        spec: &GenerationSpec,
        features: &TextFeatures,
        exchange: Exchange<'_>,
        leader: &mut dyn Leader,
    ) -> Result<(), EngineError> {
        let Sampling { solver, guidance, step_cache, .. } = spec.sampling;
        let channels = self.networks.transformer.config().in_channels;
        let mut prepared: Option<((u32, u32), Denoiser<'_>)> = None;
        while let Some(task) = leader.next() {
            let place = (task.pass, task.batch);
            let pass = spec.passes().nth((task.pass as usize).wrapping_sub(1));
            let batch = spec.batches().into_iter().nth(task.batch as usize);
            let (Some(pass), Some(batch)) = (pass, batch) else { return Err(foreign_task()) };
            let size = self.latent_size(&pass);
            let kept = prepared.take().filter(|(of, _)| *of == place);
            let (_, denoiser) = prepared.insert(kept.unwrap_or_else(|| {
                let denoiser = Denoiser::halved(&self.networks.transformer, features, guidance, batch.len(), size);
                (place, denoiser.with_step_cache(step_cache, solver.evaluations_per_step()))
            }));
            let latents = exchange.tensor(task.latents, [batch.len(), channels, size[0], size[1]]);
            let half = latents.and_then(|latents| denoiser.unconditional(latents, task.t, task.evaluation));
            let (prediction, reused) = half.ok_or_else(foreign_task)?;
            if !answer(leader, exchange, prediction, reused)? {
                break;
            }
        }
        Ok(())
    }
}

impl FamilyModel for Pipeline {
    fn info(&self) -> &ModelInfo {
        self.info()
    }

    fn tokens(&self) -> Arc<dyn TokenCounter> {
        self.text()
    }

    fn compute_paths(&self) -> Vec<ComputePath> {
        self.networks.compute_paths()
    }

    fn memory_probe(&self) -> MemoryProbe {
        self.networks.memory_probe()
    }

    fn memory_bytes(&self) -> Option<(u64, u64)> {
        self.networks.place.memory_bytes()
    }

    fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    fn pixel_values(&self) -> u64 {
        DECODER_PIXEL_VALUES
    }

    fn warm_up(&self, sizes: &[WarmUpSize]) -> Result<(), EngineError> {
        Pipeline::warm_up(self, sizes)
    }

    fn adapters(&self) -> Option<Arc<dyn AdapterInspector>> {
        Some(self.networks.adaptable.clone())
    }

    fn has_adapters(&self, adapters: &[AdapterChoice]) -> bool {
        self.applied.are(adapters)
    }

    fn switch_adapters(&mut self, adapters: &[AdapterChoice]) -> Result<(), EngineError> {
        let was_fast = self.networks.is_fast();
        self.applied.switch(&mut self.networks, adapters).map_err(|error| EngineError::Failed(error.to_string()))?;
        self.networks.place.finish("changing adapters")?;
        if self.networks.is_fast() != was_fast {
            let reason = "the networks have no fast path with these adapters; the log says why";
            return Err(EngineError::DeviceLost(reason.to_owned()));
        }
        self.networks.place.finish("changing adapters")
    }

    fn release_adapters(&mut self) -> Result<(), EngineError> {
        if !self.has_adapters(&[]) {
            self.switch_adapters(&[])?;
        }
        self.networks.masters.forget();
        Ok(())
    }

    fn generate_with(
        &self,
        spec: &GenerationSpec,
        assistant: Option<&dyn Assistant>,
        observer: &mut Observer<'_>,
    ) -> Result<Outcome, EngineError> {
        generate(self, spec, assistant, observer)
    }

    fn assist(&self, spec: &GenerationSpec, leader: &mut dyn Leader) -> Result<(), EngineError> {
        assist(self, spec, leader)
    }
}

/// A task of another request.
fn foreign_task() -> EngineError {
    EngineError::Failed("the leading device asked for an evaluation that is not one of this request".to_owned())
}

/// The error of ids that an encoder does not know: the tokenizer belongs to another model.
fn token_error(error: TokenError) -> EngineError {
    EngineError::Failed(error.to_string())
}
