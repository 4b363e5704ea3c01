//! The passes of a request after its text was read: the order of their stages, and their initial states.

use std::ops::ControlFlow;
use std::time::Instant;

use burn::tensor::{DType, Tensor, TensorData};
use sakuga_model_core::{
    EngineError, EvaluationReuse, GenerationSpec, InitImage, ModelInfo, Observer, Pass, Progress, Rgb8, SecondPass,
    SpecError, Stage, Timings, Upscaler,
};

use super::drawing::Drawing;
use super::profiler::Profiler;
use super::start::{KnownImage, Start, enlarged};
use crate::sampler::noise::Stream;

/// One pass, as a family's denoiser computes it.
pub(crate) struct PassPlan {
    pub(crate) number: u32,
    /// Its size and steps.
    pub(crate) pass: Pass,
    /// Its initial state.
    pub(crate) start: Start,
    /// Steps of the passes before, all batches together.
    pub(crate) steps_before: u32,
    /// Steps of all passes, all batches together.
    pub(crate) steps_total: u32,
}

impl PassPlan {
    /// Steps at the beginning of its schedule that are not computed.
    pub(crate) fn steps_skipped(&self) -> usize {
        (self.pass.grid_steps - self.pass.steps()) as usize
    }

    /// The stream of its noise.
    pub(crate) fn stream(&self) -> Stream {
        if self.number == 1 { Stream::Initial } else { Stream::SecondPass }
    }
}

/// A batch at the end of a pass.
pub(crate) struct Denoised {
    /// `[images, channels, height, width]`
    pub(crate) latents: Tensor<4>,
    /// The evaluations of each image that reused blocks in this pass; empty without a step cache.
    pub(crate) reused: Vec<EvaluationReuse>,
}

impl From<Tensor<4>> for Denoised {
    fn from(latents: Tensor<4>) -> Self {
        Self { latents, reused: Vec::new() }
    }
}

/// The images of a request.
pub(crate) struct Drawn {
    pub(crate) images: Vec<Rgb8>,
    /// The evaluations of each image that reused blocks; empty without a step cache.
    pub(crate) reused: Vec<EvaluationReuse>,
}

/// A value, or the number of steps after which the observer stopped.
pub(crate) type Flow<T> = Result<ControlFlow<u32, T>, EngineError>;
/// A family's denoiser: all batches of a pass, in order.
pub(crate) type Denoise<'a> = dyn FnMut(&PassPlan, &mut Timings, &mut Observer<'_>) -> Flow<Vec<Denoised>> + 'a;

/// Refuses a request that needs an encoder of pixels if the model has none.
///
/// # Errors
///
/// [`SpecError::Unsupported`] names the field.
pub(crate) fn check(spec: &GenerationSpec, info: &ModelInfo) -> Result<(), SpecError> {
    let field = match (&spec.init, &spec.second_pass) {
        _ if info.encodes_images => return Ok(()),
        (Some(_), _) => "init",
        (None, Some(SecondPass { upscaler: Upscaler::Lanczos, .. })) => "second_pass.upscaler",
        (None, _) => return Ok(()),
    };
    let given = "an image to encode".to_owned();
    Err(SpecError::Unsupported { field, given, supported: "a checkpoint whose VAE has an encoder".to_owned() })
}

/// Draws all passes of `spec`.
///
/// # Errors
///
/// The device fails, or a value is not finite.
pub(crate) fn draw(
    spec: &GenerationSpec,
    drawing: &Drawing<'_>,
    timings: &mut Timings,
    observer: &mut Observer<'_>,
    denoise: &mut Denoise<'_>,
) -> Flow<Drawn> {
    let mut stages = Stages { spec, drawing, timings, observer };
    let mut start = Start::Noise;
    if let Some(init) = &spec.init {
        match stages.run(Stage::VaeEncode, |stages| stages.encode_init(init))? {
            ControlFlow::Continue(encoded) => start = encoded,
            ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
        }
    }
    let batches = spec.batches().len() as u32;
    let steps_total = batches * spec.computed_steps();
    let (mut steps_before, mut latents) = (0, Vec::new());
    let mut reused = vec![EvaluationReuse::default(); spec.images as usize];
    for (number, pass) in (1..).zip(spec.passes()) {
        if let Some(second) = spec.second_pass.as_ref().filter(|_| number > 1) {
            match stages.enlarge(second, latents)? {
                ControlFlow::Continue(enlarged) => start = enlarged,
                ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
            }
        }
        let plan = PassPlan { number, pass, start, steps_before, steps_total };
        match stages.run(Stage::Denoise, |stages| denoise(&plan, stages.timings, stages.observer))? {
            ControlFlow::Continue(denoised) => {
                for (batch, denoised) in spec.batches().into_iter().zip(&denoised) {
                    let images = reused.iter_mut().skip(batch.start as usize);
                    images.zip(&denoised.reused).for_each(|(image, added)| image.append(added));
                }
                latents = denoised.into_iter().map(|batch| batch.latents).collect();
            }
            ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
        }
        (start, steps_before) = (Start::Noise, steps_before + batches * pass.steps());
    }
    let latents = spec.batches().into_iter().zip(latents).flat_map(|(batch, latents)| {
        let drawn: Vec<usize> = (0..batch.len())
            .zip(batch)
            .filter(|(_, image_index)| spec.draws(*image_index))
            .map(|(row, _)| row)
            .collect();
        drawn.into_iter().map(move |row| latents.clone().narrow(0, row, 1))
    });
    let latents = latents.collect();
    let drawn = stages.run(Stage::Decode, |stages| stages.decode(latents))?;
    Ok(drawn.map_continue(|images| {
        let images = match &spec.init {
            Some(init) => images.into_iter().map(|image| init.composed(image)).collect(),
            None => images,
        };
        let reused = match spec.sampling.step_cache {
            Some(_) => spec.drawn().into_iter().map(|index| reused[index as usize].clone()).collect(),
            None => Vec::new(),
        };
        Drawn { images, reused }
    }))
}

/// Runs the stages of a request.
struct Stages<'a, 'b> {
    spec: &'a GenerationSpec,
    drawing: &'a Drawing<'a>,
    timings: &'a mut Timings,
    observer: &'a mut Observer<'b>,
}

impl Stages<'_, '_> {
    /// Reports and measures a stage.
    fn run<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Self) -> Flow<T>) -> Flow<T> {
        if (self.observer)(Progress::Stage(stage)).is_break() {
            return Ok(self.stopped());
        }
        let profiler = Profiler::begin(self.drawing.place, self.spec.profile, stage);
        let done = work(self)?;
        if done.is_continue() && profiler.finish(self.observer)?.is_break() {
            return Ok(self.stopped());
        }
        Ok(done)
    }

    fn stopped<T>(&self) -> ControlFlow<u32, T> {
        ControlFlow::Break(self.timings.steps.len() as u32)
    }

    /// The latents of the initial image.
    fn encode_init(&mut self, init: &InitImage) -> Flow<Start> {
        let latents = self.encode(std::slice::from_ref(&*init.image))?;
        let [_, _, height, width] = latents.dims();
        let mask = init.mask.as_ref().map(|mask| {
            let blocks = mask.blocks(self.drawing.vae.config().factor());
            Tensor::from_data(TensorData::new(blocks, [1, 1, height, width]), (&latents.device(), DType::F32))
        });
        Ok(ControlFlow::Continue(Start::Image(Box::new(KnownImage { latents, mask }))))
    }

    /// The initial state of the second pass.
    fn enlarge(&mut self, second: &SecondPass, latents: Vec<Tensor<4>>) -> Flow<Start> {
        let images = match second.upscaler {
            Upscaler::Lanczos => match self.run(Stage::Decode, |stages| stages.decode(latents))? {
                ControlFlow::Continue(images) => images,
                ControlFlow::Break(steps) => return Ok(ControlFlow::Break(steps)),
            },
            Upscaler::LatentBilinear => {
                if (self.observer)(Progress::Pass(2)).is_break() {
                    return Ok(self.stopped());
                }
                let factor = self.drawing.vae.config().factor();
                let size = [second.height_px, second.width_px].map(|edge| edge as usize / factor);
                let enlarged: Result<_, _> = latents.into_iter().map(|batch| enlarged(batch, size)).collect();
                let batches = enlarged.map_err(|error| self.device_error("enlarging the latents", error))?;
                return Ok(ControlFlow::Continue(Start::Images(batches)));
            }
        };
        if (self.observer)(Progress::Pass(2)).is_break() {
            return Ok(self.stopped());
        }
        self.run(Stage::VaeEncode, |stages| {
            let enlarge = |image: &Rgb8| image.resampled(second.width_px, second.height_px);
            let (mut batches, mut left) = (Vec::new(), images.iter());
            for batch in stages.spec.batches() {
                let enlarged: Vec<Rgb8> = left.by_ref().take(batch.len()).map(enlarge).collect();
                batches.push(stages.encode(&enlarged)?);
            }
            Ok(ControlFlow::Continue(Start::Images(batches)))
        })
    }

    /// The latents of images of one size, `[images, channels, height, width]` in f32.
    fn encode(&mut self, images: &[Rgb8]) -> Result<Tensor<4>, EngineError> {
        let clock = Instant::now();
        let latents = self.drawing.encode(images)?;
        self.timings.vae_encode += clock.elapsed();
        Ok(latents)
    }

    fn decode(&mut self, latents: Vec<Tensor<4>>) -> Flow<Vec<Rgb8>> {
        let clock = Instant::now();
        let images = self.drawing.draw(latents)?;
        self.timings.decode += clock.elapsed();
        Ok(ControlFlow::Continue(images))
    }

    fn device_error(&self, doing: &'static str, error: impl std::fmt::Display) -> EngineError {
        self.drawing.place.device_error(doing, &error.to_string())
    }
}
