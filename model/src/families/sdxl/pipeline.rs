//! Reads the texts of a request and computes its steps; `families/generate.rs` has the order of the work.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sakuga_model_core::{
    AdapterChoice, AdapterInspector, ComputePath, EngineError, GenerationSpec, Guidance, MemoryProbe, ModelInfo,
    ModelVocabulary, NoiseSchedule, Observer, Outcome, Sampling, Solver, Timings, TokenCount, TokenCounter,
};

use super::applied::AppliedAdapters;
use super::denoise::{Denoiser, Prompted};
use super::info::{IndexKeys, model_info};
use super::networks::Networks;
use super::prompt::PromptRules;
use super::scheduler::SchedulerConfig;
use super::source::Source;
use super::text::{STATE_FROM_END, TextFeatures, TokenizerPair};
use crate::checkpoint::LoadReport;
use crate::error::LoadError;
use crate::families::drawing::Drawing;
use crate::families::generate::{FamilyStages, generate, with_previews};
use crate::families::passes::{Denoised, Flow, PassPlan};
use crate::families::steps::{BatchStep, StepReporter};
use crate::families::vocabulary;
use crate::families::{FamilyModel, LoadOptions, WarmUpSize};
use crate::sampler::diffusion::{self, Curve};
use crate::sampler::noise::{self, Stream};

/// Values of working memory for each pixel of a batch, about: those of the decoder's widest layers, a few copies of 256
/// channels at full size.
const DECODER_PIXEL_VALUES: u64 = 1024;

/// What is read of a checkpoint besides its networks, and is the same at every opening.
struct Facts {
    tokenizers: TokenizerPair,
    fingerprint: String,
    vocabulary: Option<Arc<ModelVocabulary>>,
}

/// A loaded checkpoint.
pub struct Pipeline {
    networks: Networks,
    applied: AppliedAdapters,
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
        let (networks, reports) = Networks::load(&source, options, facts.tokenizers.tokenizers.clone())?;
        let info = model_info(&keys, &networks, &reports, facts.fingerprint.clone(), facts.vocabulary.clone());
        let pipeline = Self {
            networks,
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

    /// What the U-Net reads of the prompt and of the negative prompt.
    fn texts(&self, spec: &GenerationSpec) -> [TextFeatures; 2] {
        let text = &self.networks.text;
        let rules = PromptRules::default();
        let encode = |prompt: &str| text.encode(rules, prompt, STATE_FROM_END);
        let positive = encode(&spec.text);
        let negative = if spec.negative.is_empty() && self.zeros_for_no_negative {
            positive.zeros()
        } else {
            encode(&spec.negative)
        };
        text.aligned(rules, STATE_FROM_END, [positive, negative])
    }

    fn sync(&self, doing: &'static str) -> Result<(), EngineError> {
        let place = &self.networks.place;
        place.sync().map_err(|error| place.device_error(doing, &error))
    }
}

impl FamilyStages for Pipeline {
    type Conditioning = [TextFeatures; 2];

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn drawing(&self) -> Drawing<'_> {
        let Networks { vae, linear_preview, place, .. } = &self.networks;
        Drawing { vae, tiny_decoder: None, linear_preview, place }
    }

    fn encode_text(&self, spec: &GenerationSpec) -> Result<([TextFeatures; 2], Vec<TokenCount>), EngineError> {
        let texts = self.texts(spec);
        self.sync("reading the text")?;
        Ok((texts, self.tokenizers.count(&spec.system_prompt, &spec.text)))
    }

    #[tracing::instrument(level = "debug", skip_all, fields(pass = plan.number))]
    fn denoise(
        &self,
        spec: &GenerationSpec,
        texts: &[TextFeatures; 2],
        plan: &PassPlan,
        timings: &mut Timings,
        observer: &mut Observer<'_>,
    ) -> Flow<Vec<Denoised>> {
        let guidance = spec.sampling.guidance;
        let config = self.sampling(&spec.sampling);
        let sampler = config.sampler(plan.pass.grid_steps as usize);
        let first = plan.steps_skipped();
        let size = [plan.pass.height_px as f32, plan.pass.width_px as f32];
        let sizes = [size, [0.0, 0.0], size].concat();
        let [positive, negative] = texts.clone().map(|text| Prompted { text, sizes: sizes.clone() });
        let factor = self.networks.vae.config().factor();
        let [height, width] = [plan.pass.height_px, plan.pass.width_px].map(|edge| edge as usize / factor);
        let channels = self.networks.vae.config().latent_channels;
        let batches = spec.batches();
        let mut finished = Vec::with_capacity(batches.len());
        for (turn, batch) in (0..).zip(batches) {
            let images = batch.len();
            let clock = Instant::now();
            let denoiser = Denoiser::new(&self.networks.unet, images, &positive, &negative, guidance);
            let shape = [channels, height, width];
            let draw = |stream| noise::batch_of(stream, spec.seed, batch.start, images, shape, self.networks.device());
            let noise = draw(plan.stream());
            let init = plan.start.latents(turn as usize, images);
            // The initial image with the noise of the beginning of a step; after the last one, without.
            let at =
                |step: usize| init.as_ref().map_or_else(|| noise.clone(), |init| sampler.add_noise(init, &noise, step));
            // At the beginning of the schedule is noise alone, also with an initial image.
            let start = match first {
                0 => noise.clone().mul_scalar(config.initial_factor(&sampler)),
                first => at(first),
            };
            self.sync("preparing the steps")?;
            timings.prepare += clock.elapsed();

            let first_image = batch.start;
            let mut reports =
                StepReporter::begin(self.drawing(), plan, turn, first_image, 1, &mut timings.steps, &mut *observer);
            let total = sampler.steps.len();
            let walk = sampler.run(
                first..total,
                start,
                &mut |x, _, index| denoiser.evaluate(x, &sampler.steps[index], (index, total)),
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
            match reports.finish(walk)? {
                ControlFlow::Continue(latents) => finished.push(latents.into()),
                ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
            }
        }
        Ok(ControlFlow::Continue(finished))
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
        self.networks.compute_paths()
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
            generate(self, &spec, &mut with_previews)?;
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
        self.sync("changing adapters")
    }

    fn generate(&self, spec: &GenerationSpec, observer: &mut Observer<'_>) -> Result<Outcome, EngineError> {
        generate(self, spec, observer)
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{Area, InitImage, Mask, PreviewMethod, Progress, Rgb8, SecondPass, Upscaler, limits};

    use super::*;
    use crate::device::OpenDevice;
    use crate::families::sdxl::synthetic;

    fn pipeline() -> (tempfile::TempDir, Pipeline) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(dir.path(), 1).expect("writable");
        let options = LoadOptions::new(OpenDevice::cpu());
        let (pipeline, reports) = Pipeline::load(dir.path(), &options).unwrap_or_else(|error| panic!("{error}"));
        let parts: Vec<&str> = reports.iter().map(|report| report.component.as_str()).collect();
        assert_eq!(parts, ["unet", "text_encoder", "text_encoder_2", "vae"]);
        (dir, pipeline)
    }

    fn spec(pipeline: &Pipeline) -> GenerationSpec {
        let sampling = Sampling { steps: 3, ..pipeline.info.sampling };
        GenerationSpec { seed: 7, images: 2, ..GenerationSpec::new("1girl, (red hat:1.2)", 32, 48, sampling) }
    }

    fn draw(pipeline: &Pipeline, spec: &GenerationSpec) -> Vec<Rgb8> {
        match pipeline.generate(spec, &mut |_| ControlFlow::Continue(())) {
            Ok(Outcome::Finished { images, .. }) => images,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_picture_depends_on_seed_prompt_negative_and_solver_and_not_on_its_batch() {
        let (_dir, pipeline) = pipeline();
        let spec = spec(&pipeline);
        let first = draw(&pipeline, &spec);
        assert_eq!((first.len(), first[0].width_px, first[0].height_px), (2, 32, 48));
        assert_ne!(first[0], first[1]);
        assert_eq!(draw(&pipeline, &spec), first);
        for (alone, together) in draw(&pipeline, &GenerationSpec { max_batch: 1, ..spec.clone() }).iter().zip(&first) {
            let difference = alone.pixels.iter().zip(&together.pixels).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(difference <= Some(1), "{difference:?}");
        }
        let second = draw(&pipeline, &GenerationSpec { image_indices: vec![1], ..spec.clone() });
        assert!(second == first[1..], "the second picture alone");
        let by = |solver, schedule| Sampling { solver, schedule, ..spec.sampling };
        let rescaled = Guidance { rescale: 0.7, ..spec.sampling.guidance };
        for changed in [
            GenerationSpec { seed: 8, ..spec.clone() },
            GenerationSpec { text: "1girl, (red hat:1.3)".into(), ..spec.clone() },
            GenerationSpec { negative: "blurry".into(), ..spec.clone() },
            GenerationSpec { sampling: by(Solver::Dpm, NoiseSchedule::Native), ..spec.clone() },
            GenerationSpec { sampling: by(Solver::Ddim, NoiseSchedule::Native), ..spec.clone() },
            GenerationSpec { sampling: by(Solver::UniPc, NoiseSchedule::Exponential), ..spec.clone() },
            GenerationSpec { sampling: by(Solver::EulerAncestral, NoiseSchedule::Native), ..spec.clone() },
            GenerationSpec { sampling: by(Solver::Euler, NoiseSchedule::Karras), ..spec.clone() },
            GenerationSpec { sampling: Sampling { guidance: rescaled, ..spec.sampling }, ..spec.clone() },
        ] {
            assert_ne!(draw(&pipeline, &changed), first, "{changed:?}");
        }
    }

    /// The noise that a solver adds is a function of seed, picture, pass and step.
    #[test]
    fn an_ancestral_picture_is_the_same_again_and_alone() {
        let (_dir, pipeline) = pipeline();
        let mut spec = spec(&pipeline);
        spec.sampling.solver = Solver::EulerAncestral;
        let first = draw(&pipeline, &spec);
        assert_eq!(draw(&pipeline, &spec), first);
        let second = draw(&pipeline, &GenerationSpec { image_indices: vec![1], ..spec.clone() });
        assert!(second == first[1..], "the second picture alone");
    }

    #[test]
    fn images_begin_from_an_image_keep_what_a_mask_keeps_and_have_a_second_pass() {
        let (_dir, pipeline) = pipeline();
        let pixels: Vec<u8> = (0..3 * 32 * 48).map(|place| (place / 20) as u8).collect();
        let image = Arc::new(Rgb8 { width_px: 32, height_px: 48, pixels });
        let mut mask = Mask::empty(32, 48);
        mask.mark(&Area { left_px: 8, top_px: 8, width_px: 16, height_px: 16 });
        let mut spec = spec(&pipeline);
        spec.sampling.steps = 6;
        let from_noise = draw(&pipeline, &spec);
        for solver in [Solver::Euler, Solver::Dpm, Solver::EulerAncestral, Solver::Ddim, Solver::UniPc] {
            spec.sampling.solver = solver;
            let init = InitImage { image: Arc::clone(&image), strength: 0.5, mask: None, region: None };
            let changed = GenerationSpec { init: Some(init.clone()), ..spec.clone() };
            let (mut steps, mut pixels) = (Vec::new(), Vec::new());
            let outcome = pipeline.generate(&changed, &mut |progress| {
                if let Progress::Step(step) = progress {
                    steps.push((step.report.index, step.report.total));
                }
                ControlFlow::Continue(())
            });
            if let Ok(Outcome::Finished { images, .. }) = outcome {
                pixels = images;
            }
            assert_eq!((steps, pixels.len()), (vec![(1, 3), (2, 3), (3, 3)], 2), "{solver}");
            assert_eq!(draw(&pipeline, &changed), pixels);
            let masked = InitImage { mask: Some(Arc::new(mask.clone())), ..init.clone() };
            for picture in draw(&pipeline, &GenerationSpec { init: Some(masked), ..spec.clone() }) {
                let both = picture.pixels.as_chunks::<3>().0.iter().zip(image.pixels.as_chunks::<3>().0);
                let differing = both.zip(mask.levels()).filter(|((found, before), level)| {
                    assert!(**level > 0 || found == before);
                    found != before
                });
                assert!(differing.count() > 100, "{solver}");
            }
            let whole = InitImage { strength: 1.0, ..init };
            let alone = GenerationSpec { init: Some(whole), ..spec.clone() };
            assert_eq!(draw(&pipeline, &alone), draw(&pipeline, &spec), "all noise");
        }
        spec.sampling.solver = Solver::Euler;
        let second = SecondPass { width_px: 48, height_px: 72, upscaler: Upscaler::Lanczos, strength: 0.5, steps: 4 };
        let enlarged = draw(&pipeline, &GenerationSpec { second_pass: Some(second), ..spec.clone() });
        assert_eq!((enlarged[0].width_px, enlarged[0].height_px, enlarged.len()), (48, 72, 2));
        assert_ne!(enlarged[0], from_noise[0].resampled(48, 72));
    }

    #[test]
    fn steps_are_reported_and_can_be_stopped() {
        let (_dir, pipeline) = pipeline();
        let mut levels = Vec::new();
        let outcome = pipeline.generate(&spec(&pipeline), &mut |progress| {
            let Progress::Step(step) = progress else { return ControlFlow::Continue(()) };
            assert_eq!(step.previews(PreviewMethod::Linear).len(), 2);
            levels.push((step.report.index, step.report.t));
            if step.report.index == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(outcome, Ok(Outcome::Stopped { after_step: 2 })), "{outcome:?}");
        assert!(levels[0].1 < levels[1].1 && levels[1].1 < 1.0, "{levels:?}");
    }

    #[test]
    fn options_that_this_family_does_not_have_are_refused() {
        let (_dir, pipeline) = pipeline();
        let spec = spec(&pipeline);
        for (sampling, field) in [
            (Sampling { shift: 6.0, ..spec.sampling }, "sampling.shift"),
            (Sampling { solver: Solver::Rk4, ..spec.sampling }, "sampling.solver"),
            (Sampling { solver: Solver::Ddim, schedule: NoiseSchedule::Karras, ..spec.sampling }, "sampling.schedule"),
            (Sampling { steps: limits::STEPS.max + 1, ..spec.sampling }, "steps"),
        ] {
            let spec = GenerationSpec { sampling, ..spec.clone() };
            let error = pipeline.generate(&spec, &mut |_| ControlFlow::Continue(())).expect_err("refused");
            assert!(error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn tokens_are_counted_in_chunks() {
        let (_dir, pipeline) = pipeline();
        let counts = pipeline.tokens().count("", "red hat BREAK blue sky");
        let found: Vec<_> = counts.iter().map(|count| (count.encoder, count.tokens)).collect();
        assert_eq!(found, [("clip_l", 4), ("clip_g", 4)]);
    }
}
