//! Reads the texts of a request and computes its steps; `families/generate.rs` has the order of the work.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::DType;
use sakuga_model_core::{
    AdapterChoice, AdapterInspector, Assistant, ComputePath, EngineError, GenerationSpec, Guidance, Leader,
    MemoryProbe, ModelInfo, ModelVocabulary, NoiseSchedule, Observer, Outcome, Sampling, Solver, Timings, TokenCount,
    TokenCounter,
};

use super::controls::ControlNetworks;
use super::denoise::{Denoiser, Prompted};
use super::info::{IndexKeys, model_info};
use super::networks::Networks;
use super::prompt::PromptRules;
use super::refiner::Refiner;
use super::scheduler::SchedulerConfig;
use super::source::Source;
use super::text::{STATE_FROM_END, TextFeatures, TokenizerPair};
use crate::checkpoint::LoadReport;
use crate::error::LoadError;
use crate::families::applied::AppliedAdapters;
use crate::families::drawing::Drawing;
use crate::families::generate::{FamilyStages, assist, generate, with_previews};
use crate::families::passes::{Denoised, Flow, PassPlan};
use crate::families::shared_guidance::{Exchange, SharedGuidance};
use crate::families::steps::{BatchStep, StepReporter};
use crate::families::vocabulary;
use crate::families::{FamilyModel, LoadOptions, WarmUpSize};
use crate::sampler::diffusion::{self, Curve};
use crate::sampler::noise::{self, Stream};

/// Values of working memory for each pixel of a batch, about: those of the decoder's widest layers, a few copies of 256
/// channels at full size.
const DECODER_PIXEL_VALUES: u64 = 1024;

/// Contents of a checkpoint besides its networks, which are the same at every opening.
struct Facts {
    tokenizers: TokenizerPair,
    fingerprint: String,
    vocabulary: Option<Arc<ModelVocabulary>>,
}

/// The features of the prompt and of the negative prompt, for each U-Net.
pub(crate) struct Texts {
    base: [TextFeatures; 2],
    /// `None`: the request has no refiner.
    refiner: Option<[TextFeatures; 2]>,
}

/// A loaded checkpoint.
pub struct Pipeline {
    networks: Networks,
    refiner: Option<Refiner>,
    controls: ControlNetworks,
    applied: AppliedAdapters<Networks>,
    tokenizers: Arc<TokenizerPair>,
    scheduler: SchedulerConfig,
    info: ModelInfo,
    weight_bytes: u64,
    zeros_for_no_negative: bool,
}

impl Pipeline {
    /// Loads a diffusers folder (`model_index.json`, `unet/`, `text_encoder/`, `text_encoder_2/`, `vae/`, `scheduler/`, and
    /// `tokenizer/` and `tokenizer_2/` if they are there), or one file with all parts under LDM's names.
    ///
    /// # Errors
    ///
    /// What is missing, malformed or does not fit, with the file.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<(Self, Vec<LoadReport>), LoadError> {
        let source = Source::open(path)?;
        let scheduler = source.scheduler()?;
        let keys = IndexKeys::read(&source, &scheduler)?;
        let facts = options.facts.get_or_read(|| -> Result<_, LoadError> {
            let vocabulary = vocabulary::read(source.path())?;
            Ok(Facts { tokenizers: TokenizerPair::open(path)?, fingerprint: source.fingerprint()?, vocabulary })
        })?;
        let (networks, mut reports) = Networks::load(&source, options, facts.tokenizers.tokenizers.clone())?;
        let refiner = options.refiner.as_deref().map(|path| -> Result<_, LoadError> {
            let (refiner, parts) = Refiner::load(path, options, networks.vae.config().latent_channels)?;
            reports.extend(parts);
            Ok(refiner)
        });
        let refiner = refiner.transpose()?;
        let identity = refiner.as_ref().map(|refiner| refiner.identity.clone());
        let info = model_info(&keys, &networks, &reports, facts.fingerprint.clone(), facts.vocabulary.clone());
        let controls = options.controlnets.as_deref().map(|folder| ControlNetworks::find(folder, &networks));
        let controls = controls.transpose()?.unwrap_or_default();
        let info = ModelInfo { refiner: identity, controls: controls.networks(), ..info };
        let pipeline = Self {
            networks,
            refiner,
            controls,
            applied: AppliedAdapters::default(),
            tokenizers: Arc::new(facts.tokenizers.clone()),
            scheduler,
            info,
            weight_bytes: reports.iter().map(|report| report.bytes).sum(),
            zeros_for_no_negative: keys.zeros_for_no_negative,
        };
        Ok((pipeline, reports))
    }

    /// The sampler of a request. UniPC has the parameters of the scheduler configuration if that names UniPC.
    fn sampling(&self, sampling: &Sampling) -> SchedulerConfig {
        let config = self.scheduler.clone();
        let solver = match sampling.solver {
            Solver::Dpm => diffusion::Solver::DPM_PP_2M,
            Solver::EulerAncestral => diffusion::Solver::EulerAncestral,
            Solver::Ddim => diffusion::Solver::Ddim { eta: 0.0 },
            Solver::UniPc if matches!(config.solver, diffusion::Solver::UniPc { .. }) => config.solver,
            Solver::UniPc => diffusion::Solver::UNIPC,
            Solver::Euler | Solver::Midpoint | Solver::Rk4 => diffusion::Solver::Euler,
        };
        let curve = match sampling.schedule {
            NoiseSchedule::Native => config.curve,
            NoiseSchedule::Karras => Curve::Karras,
            NoiseSchedule::Exponential => Curve::Exponential,
        };
        SchedulerConfig { solver, curve, ..config }
    }

    /// The features of the prompt and of the negative prompt.
    fn texts(&self, spec: &GenerationSpec) -> [TextFeatures; 2] {
        let texts = [spec.text.as_str(), spec.negative.as_str()];
        self.networks.text.pair(PromptRules::default(), STATE_FROM_END, texts, self.zeros_for_no_negative)
    }

    /// The refiner of a request, with its numbers.
    fn refiner(&self, spec: &GenerationSpec) -> Option<(&Refiner, sakuga_model_core::Refiner)> {
        self.refiner.as_ref().zip(spec.refiner)
    }
}

impl FamilyStages for Pipeline {
    type Conditioning = Texts;

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn drawing(&self) -> Drawing<'_> {
        let Networks { vae, linear_preview, place, .. } = &self.networks;
        Drawing { vae, tiny_decoder: None, linear_preview, place }
    }

    fn encode_text(&self, spec: &GenerationSpec) -> Result<(Texts, Vec<TokenCount>), EngineError> {
        let refiner = self.refiner(spec).map(|(refiner, _)| refiner.texts(spec));
        let texts = Texts { base: self.texts(spec), refiner };
        self.networks.place.finish("reading the text")?;
        Ok((texts, self.tokenizers.count(&spec.system_prompt, &spec.text)))
    }

    #[tracing::instrument(level = "debug", skip_all, fields(pass = plan.number))]
    fn denoise(
        &self,
        spec: &GenerationSpec,
        texts: &Texts,
        plan: &PassPlan,
        _shared: Option<&SharedGuidance<'_>>,
        timings: &mut Timings,
        observer: &mut Observer<'_>,
    ) -> Flow<Vec<Denoised>> {
        let guidance = spec.sampling.guidance;
        let config = self.sampling(&spec.sampling);
        let sampler = config.sampler(plan.pass.grid_steps as usize);
        let first = plan.steps_skipped();
        let size = [plan.pass.height_px as f32, plan.pass.width_px as f32];
        let sizes = [size, [0.0, 0.0], size].concat();
        let prompts = texts.base.clone().map(|text| Prompted { text, sizes: sizes.clone() });
        let mut segments = vec![(&self.networks.unet, prompts, first..sampler.steps.len())];
        if let (Some((refiner, chosen)), Some(texts)) = (self.refiner(spec), &texts.refiner) {
            let split = config.split(&sampler, f64::from(chosen.switch_at)).max(first);
            segments[0].2.end = split;
            segments.push((&refiner.unet, Refiner::prompted(texts, size, &chosen), split..sampler.steps.len()));
        }
        let factor = self.networks.vae.config().factor();
        let [height, width] = [plan.pass.height_px, plan.pass.width_px].map(|edge| edge as usize / factor);
        let channels = self.networks.vae.config().latent_channels;
        let clock = Instant::now();
        let ready = self.controls.ready(&spec.controls, &self.networks.place);
        let ready = ready.map_err(|error| EngineError::Failed(error.to_string()))?;
        let controls = ready.controls(&spec.controls, &plan.pass, self.networks.device());
        timings.prepare += clock.elapsed();
        let batches = spec.batches();
        let mut finished = Vec::with_capacity(batches.len());
        for (turn, batch) in (0..).zip(batches) {
            let images = batch.len();
            let clock = Instant::now();
            let denoisers: Vec<(Denoiser<'_>, Range<usize>)> = segments
                .iter()
                .enumerate()
                .map(|(index, (unet, [positive, negative], steps))| {
                    let denoiser = Denoiser::new(unet, images, positive, negative, guidance);
                    let denoiser = denoiser.for_steps(&sampler.steps[steps.clone()]);
                    // Control networks are made for the base model, which is the first.
                    let controls = if index == 0 { controls.clone() } else { Vec::new() };
                    (denoiser.with_controls(controls), steps.clone())
                })
                .collect();
            let shape = [channels, height, width];
            let draw = |stream| noise::batch_of(stream, spec.seed, batch.start, images, shape, self.networks.device());
            let noise = draw(plan.stream());
            let init = plan.start.latents(turn as usize, images);
            // The initial image with the noise of the beginning of a step; after the last one, without.
            let at =
                |step: usize| init.as_ref().map_or_else(|| noise.clone(), |init| sampler.add_noise(init, &noise, step));
            // The first point of the schedule is noise alone, also with an initial image.
            let start = match first {
                0 => noise.clone().mul_scalar(config.initial_factor(&sampler)),
                first => at(first),
            };
            self.networks.place.finish("preparing the steps")?;
            timings.prepare += clock.elapsed();

            let first_image = batch.start;
            let mut reports =
                StepReporter::begin(self.drawing(), plan, turn, first_image, 1, &mut timings.steps, &mut *observer);
            let total = sampler.steps.len();
            let mut walk = ControlFlow::Continue(start);
            for (denoiser, steps) in &denoisers {
                let ControlFlow::Continue(latents) = walk else { break };
                walk = sampler.run(
                    steps.clone(),
                    latents,
                    &mut |x, _, index| denoiser.evaluate(x, &sampler.steps[index], (index - first, total - first)),
                    &mut |index| draw(Stream::Step { pass: plan.number, index: index as u32 }),
                    &mut |done| {
                        let step = &sampler.steps[done.index];
                        let t = step.to.t();
                        let step = BatchStep {
                            index: (done.index - first) as u32 + 1,
                            t,
                            sigma: 1.0 - t,
                            guidance_active: denoiser.is_guided(step),
                            evaluations: (done.index - first) as u32 + 1,
                            reused_share: &|| 0.0,
                        };
                        let next = done.index + 1;
                        let kept = plan.start.keeps().then(|| plan.start.keep(done.state.clone(), || at(next)));
                        match reports.report(&step, &|| plan.start.keep(done.data.clone(), || at(total))) {
                            ControlFlow::Continue(()) => ControlFlow::Continue(kept),
                            ControlFlow::Break(()) => ControlFlow::Break(()),
                        }
                    },
                );
            }
            match reports.finish(walk)? {
                ControlFlow::Continue(latents) => finished.push(latents.into()),
                ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
            }
        }
        Ok(ControlFlow::Continue(finished))
    }

    /// Convolutions over one row may add up in another order than over two.
    fn shared_dtype(&self) -> Option<DType> {
        None
    }

    fn assist(
        &self,
        _spec: &GenerationSpec,
        _texts: &Texts,
        _exchange: Exchange<'_>,
        _leader: &mut dyn Leader,
    ) -> Result<(), EngineError> {
        Ok(())
    }
}

impl FamilyModel for Pipeline {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn tokens(&self) -> Arc<dyn TokenCounter> {
        Arc::clone(&self.tokenizers) as Arc<dyn TokenCounter>
    }

    fn compute_paths(&self) -> Vec<ComputePath> {
        let refiner = self
            .refiner
            .as_ref()
            .map(|refiner| self.networks.place.compute_path("refiner_unet", refiner.unet.is_fast(), ""));
        self.networks.compute_paths().into_iter().chain(refiner).collect()
    }

    fn memory_probe(&self) -> MemoryProbe {
        self.networks.place.memory_probe()
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
        for &WarmUpSize { width_px, height_px, images, .. } in sizes {
            let defaults = self.info.sampling;
            // Both halves of guidance and then one alone, whatever the model's default is.
            let guidance = Guidance { until: 0.5, renorm: defaults.guidance.renorm, ..Guidance::new(2.0) };
            let sampling = Sampling { steps: 2, guidance, ..defaults };
            let spec = GenerationSpec { images, ..GenerationSpec::new("cat", width_px, height_px, sampling) };
            generate(self, &spec, None, &mut with_previews)?;
            if self.refiner.is_some() {
                let half = sakuga_model_core::Refiner { switch_at: 0.5, ..Default::default() };
                generate(self, &GenerationSpec { refiner: Some(half), ..spec }, None, &mut with_previews)?;
            }
        }
        Ok(())
    }

    fn adapters(&self) -> Option<Arc<dyn AdapterInspector>> {
        Some(self.networks.adaptable.clone())
    }

    fn has_adapters(&self, adapters: &[AdapterChoice]) -> bool {
        self.applied.are(adapters)
    }

    fn switch_adapters(&mut self, adapters: &[AdapterChoice]) -> Result<(), EngineError> {
        self.applied.switch(&mut self.networks, adapters).map_err(|error| EngineError::Failed(error.to_string()))?;
        self.networks.place.finish("changing adapters")
    }

    fn release_adapters(&mut self) -> Result<(), EngineError> {
        self.controls.release();
        if self.has_adapters(&[]) { Ok(()) } else { self.switch_adapters(&[]) }
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

#[cfg(test)]
mod tests;
