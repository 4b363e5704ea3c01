//! The one place that knows the order: text, noise, steps, pixels.
//!
//! A [`Pipeline`] lives on one thread and is driven by calls; it holds no channel, no runtime and prints nothing. Its
//! observer is called between steps, on the same thread, and can end the work by returning [`ControlFlow::Break`].

mod denoise;
mod error;
mod info;
mod insight;
mod networks;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;

pub use denoise::Denoiser;
pub use error::PipelineError;
pub use info::PipelineInfo;
pub use insight::{ComputePath, MemoryPool, MemoryProbe};
pub use networks::{LoadOptions, Networks, TextFeatures, load_transformer};

use crate::checkpoint::{LoadReport, ModelFolder};
use crate::error::LoadError;
use crate::networks::next_dit;
use crate::pixels::read_rgb8;
use crate::profile::StageProfile;
use crate::progress::{Outcome, PreviewMethod, Progress, Rgb8, Stage, StepProgress, Timings};
use crate::sampler::{Interval, Schedule, noise};
use crate::spec::GenerateSpec;
use crate::text::{GEMMA_PAD_MULTIPLE, Tokenizers};
use crate::tokens::TokenBatch;
use info::IndexKeys;

/// Gemma's padding id; its mask makes it invisible.
const GEMMA_PAD_ID: u32 = 0;
/// Jina CLIP's padding id.
const JINA_PAD_ID: u32 = 1;

/// A size that is drawn before anybody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarmUpSize {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Pictures that are computed at once.
    pub images: usize,
    /// Whether texts of every length are drawn, in steps of what shares its plans. Else the longest one is.
    pub every_length: bool,
}

/// What the fast path of the text encoders reads at most.
const OFFLOADED_TOKENS_MAX: usize = 2048;
/// More of these words than any encoder reads.
const WARM_UP_WORD: &str = "blue_hair, ";
const WARM_UP_WORDS: usize = 2048;
/// Tokens of the word, about and at most.
const WARM_UP_WORD_TOKENS: usize = 8;

/// A loaded checkpoint with its tokenisers.
pub struct Pipeline {
    networks: Networks,
    tokenizers: Arc<Tokenizers>,
    info: PipelineInfo,
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
        let info = PipelineInfo::new(&folder, &keys, &networks, &reports, &options.device)?;
        let tokenizer = |part: &str| dir.join(part).join("tokenizer.json");
        let tokenizers = Tokenizers::open(&tokenizer("text_encoder"), &tokenizer("clip_model"), info.token_limits)?;
        Ok((Self { networks, tokenizers: Arc::new(tokenizers), info }, reports))
    }

    /// Facts about the model.
    pub fn info(&self) -> &PipelineInfo {
        &self.info
    }

    /// The tokenisers, which other threads may use to count tokens.
    pub fn text(&self) -> Arc<Tokenizers> {
        Arc::clone(&self.tokenizers)
    }

    /// Draws pictures of these sizes in as few steps as there are, so that the device's memory is taken, kernels are chosen,
    /// and later requests of at most these sizes find everything ready.
    ///
    /// # Errors
    ///
    /// A size is out of bounds, or the device has no memory for it.
    pub fn warm_up(&self, sizes: &[WarmUpSize]) -> Result<(), PipelineError> {
        for &WarmUpSize { width_px, height_px, images, every_length } in sizes {
            let spec = GenerateSpec {
                images,
                // Both halves of guidance and then one alone, whatever the model's default is.
                steps: 2,
                guidance_scale: 2.0,
                guidance_until: 1e-3,
                system_prompt: self.info.default_system_prompt.clone(),
                ..GenerateSpec::with_defaults("", width_px, height_px, self.info.sampling)
            };
            let longest = GenerateSpec { text: WARM_UP_WORD.repeat(WARM_UP_WORDS), ..spec.clone() };
            self.generate(&longest, &mut |progress| {
                if let Progress::Step(step) = progress {
                    step.preview(PreviewMethod::Linear);
                    step.preview(PreviewMethod::Decoder);
                }
                ControlFlow::Continue(())
            })?;
            if every_length {
                let words = self.info.token_limits[0] / WARM_UP_WORD_TOKENS;
                for words in (0..words).step_by(next_dit::ROW_MULTIPLE / WARM_UP_WORD_TOKENS) {
                    let text = GenerateSpec { text: WARM_UP_WORD.repeat(words), ..spec.clone() };
                    self.generate(&text, &mut |_| ControlFlow::Continue(()))?;
                }
            }
        }
        Ok(())
    }

    /// The networks, for those who bring their own ids or noise.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// Draws the images of `spec`. `observer` is told of every stage and step.
    ///
    /// # Errors
    ///
    /// A field of `spec` is out of bounds, or the device fails.
    #[tracing::instrument(level = "info", skip_all, fields(width_px = spec.width_px, height_px = spec.height_px, images = spec.images, steps = spec.steps))]
    pub fn generate(
        &self,
        spec: &GenerateSpec,
        observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Outcome, PipelineError> {
        spec.check(&self.info.limits)?;
        let begun = Instant::now();
        let mut timings = Timings::default();
        let stopped = |after_step| Ok(Outcome::Stopped { after_step });

        if observer(Progress::Stage(Stage::TextEncode)).is_break() {
            return stopped(0);
        }
        let profiler = Profiler::begin(self, spec.profile, Stage::TextEncode);
        let clock = Instant::now();
        let (features, counts) = self.encode_text(spec)?;
        timings.text_encode_ms = elapsed_ms(clock);
        if profiler.finish(observer)?.is_break()
            || observer(Progress::TextEncoded(counts)).is_break()
            || observer(Progress::Stage(Stage::Denoise)).is_break()
        {
            return stopped(0);
        }

        let profiler = Profiler::begin(self, spec.profile, Stage::Denoise);
        let latents = match self.denoise(spec, &features, &mut timings, observer)? {
            ControlFlow::Continue(latents) => latents,
            ControlFlow::Break(after_step) => return stopped(after_step),
        };
        if profiler.finish(observer)?.is_break() {
            return stopped(timings.step_ms.len());
        }

        if observer(Progress::Stage(Stage::Decode)).is_break() {
            return stopped(timings.step_ms.len());
        }
        let profiler = Profiler::begin(self, spec.profile, Stage::Decode);
        let clock = Instant::now();
        let images = self.draw(latents)?;
        timings.decode_ms = elapsed_ms(clock);
        if profiler.finish(observer)?.is_break() {
            return stopped(timings.step_ms.len());
        }
        timings.total_ms = elapsed_ms(begun);
        Ok(Outcome::Finished { images, timings })
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn encode_text(
        &self,
        spec: &GenerateSpec,
    ) -> Result<(TextFeatures, [crate::progress::TokenCount; 2]), PipelineError> {
        // At a time below every other, guidance is active if it ever is.
        let negative = spec.guidance().is_active(-1.0).then_some(spec.negative.as_str());
        let tokens = self.tokenizers.encode(&spec.system_prompt, &spec.text, negative);
        let gemma = TokenBatch::padded(&tokens.gemma, GEMMA_PAD_ID, GEMMA_PAD_MULTIPLE)?;
        let jina = TokenBatch::padded(&tokens.jina, JINA_PAD_ID, 1)?;
        let features = self.networks.encode(&gemma, &jina)?;
        self.sync("reading the text")?;
        Ok((features, tokens.counts))
    }

    /// All batches of a request, one after the other; the latents of each.
    #[tracing::instrument(level = "debug", skip_all)]
    fn denoise(
        &self,
        spec: &GenerateSpec,
        features: &TextFeatures,
        timings: &mut Timings,
        observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<usize, Vec<Tensor<4>>>, PipelineError> {
        let schedule = Schedule::new(spec.solver, spec.steps, f64::from(spec.shift));
        let factor = self.networks.vae.config().factor();
        let size = [spec.height_px, spec.width_px].map(|edge| edge as usize / factor);
        let channels = self.networks.transformer.config().in_channels;
        let batches = spec.images.div_ceil(spec.batch_size());
        let mut finished = Vec::with_capacity(batches);
        for batch in 0..batches {
            let first_image = batch * spec.batch_size();
            let images = spec.batch_size().min(spec.images - first_image);
            let clock = Instant::now();
            let denoiser = Denoiser::new(&self.networks.transformer, features, spec.guidance(), images, size);
            let shape = [channels, size[0], size[1]];
            let noise = noise::batch(spec.seed, first_image as u32, images, shape, self.networks.device());
            self.sync("preparing the steps")?;
            timings.prepare_ms += elapsed_ms(clock);

            let mut steps = StepObserver {
                pipeline: self,
                denoiser: &denoiser,
                first_image,
                steps_before: batch * schedule.intervals(),
                steps_total: batches * schedule.intervals(),
                evaluations_before: batch * schedule.intervals() * spec.solver.evaluations_per_interval(),
                clock: Instant::now(),
                step_ms: &mut timings.step_ms,
                observer: &mut *observer,
                failure: None,
            };
            let walk = denoiser.run(&schedule, noise, &mut |interval| steps.observe(interval));
            if let Some(failure) = steps.failure {
                return Err(failure);
            }
            match walk {
                ControlFlow::Continue(latents) => finished.push(latents),
                ControlFlow::Break(_) => return Ok(ControlFlow::Break(timings.step_ms.len())),
            }
        }
        Ok(ControlFlow::Continue(finished))
    }

    #[tracing::instrument(level = "debug", skip_all)]
    fn draw(&self, latents: Vec<Tensor<4>>) -> Result<Vec<Rgb8>, PipelineError> {
        let mut images = Vec::new();
        for batch in latents {
            let values: Vec<f32> = batch.try_to_vec_as().map_err(device_error("reading the latents"))?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(PipelineError::NotFinite { part: "latents" });
            }
            for image in self.networks.decode(batch) {
                let read = read_rgb8(image).map_err(device_error("decoding"))?;
                if !read.is_finite {
                    return Err(PipelineError::NotFinite { part: "image" });
                }
                images.extend(read.images);
            }
        }
        Ok(images)
    }

    fn preview(&self, latents: Tensor<4>, method: PreviewMethod) -> Result<Vec<Rgb8>, PipelineError> {
        let images = match method {
            PreviewMethod::Linear => {
                return self.networks.linear_preview.draw(latents).map_err(device_error("drawing a preview"));
            }
            PreviewMethod::Decoder => match &self.networks.tiny_decoder {
                Some(decoder) => vec![decoder.decode(latents)],
                None => self.networks.decode(latents).collect(),
            },
        };
        let mut previews = Vec::new();
        for batch in images {
            previews.extend(read_rgb8(batch).map_err(device_error("drawing a preview"))?.images);
        }
        Ok(previews)
    }

    fn sync(&self, doing: &'static str) -> Result<(), PipelineError> {
        self.networks.sync().map_err(device_error(doing))
    }
}

/// Notes where the time of one part goes, if anybody wants to know. Ended early, it stops noting.
struct Profiler<'a> {
    pipeline: &'a Pipeline,
    stage: Stage,
    begun: Option<Instant>,
}

impl<'a> Profiler<'a> {
    fn begin(pipeline: &'a Pipeline, is_wanted: bool, stage: Stage) -> Self {
        if is_wanted {
            pipeline.networks.start_profile();
        }
        Self { pipeline, stage, begun: is_wanted.then(Instant::now) }
    }

    fn finish(
        mut self,
        observer: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, PipelineError> {
        let Some(begun) = self.begun.take() else { return Ok(ControlFlow::Continue(())) };
        let wall_ms = elapsed_ms(begun);
        let networks = &self.pipeline.networks;
        let spans = networks.finish_profile().map_err(device_error("measuring where the time goes"))?;
        // A ceiling for each part: clocks fall under load and recover after it.
        let peaks = networks.measure_peaks().map_err(device_error("measuring what the device can do"))?;
        Ok(observer(Progress::Profile(StageProfile { stage: self.stage, spans, wall_ms, peaks })))
    }
}

impl Drop for Profiler<'_> {
    fn drop(&mut self) {
        if self.begun.is_some() {
            self.pipeline.networks.drop_profile();
        }
    }
}

/// Turns the intervals of one batch into progress of the whole request.
struct StepObserver<'a> {
    pipeline: &'a Pipeline,
    denoiser: &'a Denoiser<'a>,
    first_image: usize,
    steps_before: usize,
    steps_total: usize,
    evaluations_before: usize,
    clock: Instant,
    step_ms: &'a mut Vec<f64>,
    observer: &'a mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    failure: Option<PipelineError>,
}

impl StepObserver<'_> {
    fn observe(&mut self, interval: &Interval<'_, Tensor<4>>) -> ControlFlow<()> {
        // Work is queued on a GPU: without this wait the clock would measure the queueing.
        if let Err(failure) = self.pipeline.sync("computing a step") {
            self.failure = Some(failure);
            return ControlFlow::Break(());
        }
        let step_ms = elapsed_ms(self.clock);
        self.step_ms.push(step_ms);
        let failure = RefCell::new(None);
        let previews = |method: PreviewMethod| {
            self.pipeline.preview(interval.predicted_data(), method).unwrap_or_else(|error| {
                *failure.borrow_mut() = Some(error);
                Vec::new()
            })
        };
        let flow = (self.observer)(Progress::Step(StepProgress {
            index: self.steps_before + interval.index,
            total: self.steps_total,
            t: interval.t,
            sigma: interval.sigma,
            step_ms,
            guidance_active: self.denoiser.is_guided(interval.t_start),
            evaluations: self.evaluations_before + interval.evaluations,
            first_image: self.first_image,
            previews: &previews,
        }));
        self.failure = failure.into_inner();
        self.clock = Instant::now();
        if self.failure.is_some() { ControlFlow::Break(()) } else { flow }
    }
}

fn elapsed_ms(clock: Instant) -> f64 {
    clock.elapsed().as_secs_f64() * 1e3
}

fn device_error<E: std::fmt::Display>(doing: &'static str) -> impl FnOnce(E) -> PipelineError {
    move |error| PipelineError::Device { doing, reason: error.to_string() }
}
