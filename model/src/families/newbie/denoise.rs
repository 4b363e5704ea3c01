//! [`Denoiser`]: integrates one batch of images from noise to latents, with guidance.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU32, Ordering};

use burn::tensor::Tensor;
use sakuga_model_core::{EvaluationReuse, Guidance, HalfTask, StepCache};

use super::networks::TextFeatures;
use crate::device;
use crate::families::shared_guidance::SharedGuidance;
use crate::networks::next_dit::reuse::{ReuseRow, Reusing};
use crate::networks::next_dit::{Conditioned, NextDit};
use crate::sampler::guidance::combine;
use crate::sampler::reuse::Evaluation;
use crate::sampler::{Interval, Schedule, integrate_from};

/// The inputs that all evaluations of one batch share.
pub struct Denoiser<'a> {
    transformer: &'a NextDit,
    guidance: Guidance,
    images: usize,
    /// The conditioning of the conditional half.
    conditional: Conditioned,
    /// The conditioning of guided evaluations; `None` if guidance is never active.
    guided: Option<Guided>,
    /// Number of evaluations so far.
    evaluations: AtomicU32,
    /// State of the step cache; `None` without one.
    reuse: Option<Reuse>,
    /// Another device computes the unconditional half; `None`: both are computed here.
    shared: Option<SharedBatch<'a>>,
}

/// A batch whose unconditional half another device computes.
#[derive(Clone, Copy)]
pub(crate) struct SharedBatch<'a> {
    pub(crate) guidance: &'a SharedGuidance<'a>,
    /// Number of the pass, from 1.
    pub(crate) pass: u32,
    /// Number of the batch in the pass, from 0.
    pub(crate) batch: u32,
    /// Whether no batch follows in this or a later pass.
    pub(crate) is_last: bool,
}

/// Where the halves of guidance are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Halves {
    Together,
    Apart,
    Shared,
}

/// The step cache of a batch. Each image has its own state for the conditional and for the unconditional half.
struct Reuse {
    evaluations_per_step: u32,
    /// The conditional half of each image, then the unconditional half of each image.
    rows: Vec<ReuseRow>,
}

impl Reuse {
    /// The evaluation of this number.
    fn evaluation(&self, number: u32) -> Evaluation {
        Evaluation { number, step: number.div_ceil(self.evaluations_per_step) }
    }
}

/// How the two halves of a guided evaluation are computed.
enum Guided {
    /// One batch with the conditional rows first, then the unconditional rows. On a GPU, few large kernels are faster.
    Together(Conditioned),
    /// Two batches on two threads; this is the unconditional one. On a CPU, elementwise operations run on one core each, so
    /// two threads use more cores. All rows of a half have the same caption, so no padding and no mask is needed.
    Apart(Conditioned),
    /// Two batches on two devices: the conditional and the unconditional one.
    Shared(Box<[Conditioned; 2]>),
}

impl<'a> Denoiser<'a> {
    /// Prepares a batch of `images` images of one prompt. The caption refiner runs once for the batch.
    ///
    /// Row 0 of `features` is the prompt. Row 1 is the negative prompt; it is absent if guidance is never active. `latent_size`
    /// is `[height, width]` of the latents.
    pub fn new(
        transformer: &'a NextDit,
        features: &TextFeatures,
        guidance: Guidance,
        images: usize,
        latent_size: [usize; 2],
    ) -> Self {
        let is_cpu = device::is_cpu(&features.pooled.device());
        let halves = if is_cpu { Halves::Apart } else { Halves::Together };
        Self::with_halves(transformer, features, guidance, images, latent_size, halves)
    }

    /// [`new`](Self::new) with halves that two devices compute. Their bits are those of [`new`](Self::new).
    pub(crate) fn halved(
        transformer: &'a NextDit,
        features: &TextFeatures,
        guidance: Guidance,
        images: usize,
        latent_size: [usize; 2],
    ) -> Self {
        Self::with_halves(transformer, features, guidance, images, latent_size, Halves::Shared)
    }

    fn with_halves(
        transformer: &'a NextDit,
        features: &TextFeatures,
        guidance: Guidance,
        images: usize,
        latent_size: [usize; 2],
        halves: Halves,
    ) -> Self {
        let grid = latent_size.map(|edge| edge / transformer.config().patch_size);
        let rows = features.caption.lengths.len();
        let prepared = transformer.condition(&features.caption, Some(features.pooled.clone()), &vec![grid; rows]);
        let both: Vec<usize> = (0..2 * images).map(|row| row / images).collect();
        let guided = (rows > 1).then(|| match halves {
            Halves::Together => Guided::Together(prepared.select(&both)),
            Halves::Apart => Guided::Apart(prepared.select(&vec![1; images])),
            Halves::Shared => {
                Guided::Shared(Box::new([0..images, images..2 * images].map(|half| prepared.part(&both, half))))
            }
        });
        let conditional = prepared.select(&vec![0; images]);
        let evaluations = AtomicU32::new(0);
        Self { transformer, guidance, images, conditional, guided, evaluations, reuse: None, shared: None }
    }

    /// Has another device compute the unconditional half, of a denoiser that is [`halved`](Self::halved).
    #[must_use]
    pub(crate) fn shared(self, shared: SharedBatch<'a>) -> Self {
        Self { shared: Some(shared), ..self }
    }

    /// Adds a step cache. `evaluations_per_step` is the solver's.
    #[must_use]
    pub fn with_step_cache(self, settings: Option<StepCache>, evaluations_per_step: u32) -> Self {
        let reuse = settings.map(|settings| Reuse {
            evaluations_per_step: evaluations_per_step.max(1),
            rows: (0..2 * self.images).map(|_| ReuseRow::new(settings)).collect(),
        });
        Self { reuse, ..self }
    }

    /// The evaluations of each image that reused blocks so far; empty without a step cache. On a GPU, call it after a
    /// synchronisation: the decisions are made on the device.
    pub fn reused(&self) -> Vec<EvaluationReuse> {
        let Some(reuse) = &self.reuse else { return Vec::new() };
        let (conditional, unconditional) = reuse.rows.split_at(self.images);
        let images = conditional.iter().zip(unconditional).map(|(conditional, unconditional)| EvaluationReuse {
            evaluations: self.evaluations.load(Ordering::Relaxed),
            conditional: conditional.reused(),
            unconditional: unconditional.reused(),
        });
        images.collect()
    }

    /// The share of halves that reused blocks in the latest step, over all images. `evaluations` is the number of evaluations
    /// so far. On a GPU, call it after a synchronisation.
    pub fn reused_share(&self, evaluations: usize) -> f32 {
        let Some(reuse) = &self.reuse else { return 0.0 };
        let last = evaluations as u32;
        let step = last.saturating_sub(reuse.evaluations_per_step) + 1..=last;
        let counts = reuse.rows.iter().map(|row| row.counts(step.clone()));
        let [made, reused] = counts.fold([0, 0], |sum, row| [sum[0] + row[0], sum[1] + row[1]]);
        if made == 0 { 0.0 } else { reused as f32 / made as f32 }
    }

    /// Whether an evaluation at `t` computes both halves.
    pub fn is_guided(&self, t: f64) -> bool {
        self.guided.is_some() && self.guidance.is_active(t as f32)
    }

    /// Evaluates some rows of the batch, as evaluation `number`.
    fn evaluate(&self, conditioned: &Conditioned, x: Tensor<4>, t: f64, rows: Range<usize>, number: u32) -> Tensor<4> {
        let times = vec![t as f32; rows.len()];
        match &self.reuse {
            Some(reuse) => {
                let reusing = Reusing { rows: &reuse.rows[rows], evaluation: reuse.evaluation(number) };
                self.transformer.velocity_reusing(conditioned, x, &times, reusing)
            }
            None => self.transformer.velocity(conditioned, x, &times),
        }
    }

    /// The unconditional half of evaluation `number` at `t`, and what its rows reused once it is computed. `None`: the denoiser is not
    /// [`halved`](Self::halved).
    pub(crate) fn unconditional(
        &self,
        x: Tensor<4>,
        t: f64,
        number: u32,
    ) -> Option<(Tensor<4>, impl FnOnce() -> Vec<bool> + use<'_>)> {
        let Some(Guided::Shared(halves)) = &self.guided else { return None };
        let [_, unconditional] = &**halves;
        let rows = self.images..2 * self.images;
        let velocity = self.evaluate(unconditional, x, t, rows.clone(), number);
        Some((velocity, move || match &self.reuse {
            Some(reuse) => reuse.rows[rows].iter().map(|row| row.counts(number..=number)[1] > 0).collect(),
            None => Vec::new(),
        }))
    }

    /// Both halves, the unconditional one by the other device, or here if that has left.
    fn halves(&self, halves: &[Conditioned; 2], x: &Tensor<4>, t: f64, number: u32) -> [Tensor<4>; 2] {
        let (first, second) = (0..self.images, self.images..2 * self.images);
        let begun = self.shared.filter(|shared| {
            let task =
                HalfTask { pass: shared.pass, batch: shared.batch, evaluation: number, t, ..HalfTask::default() };
            shared.guidance.begin(x, task)
        });
        let conditional = self.evaluate(&halves[0], x.clone(), t, first, number);
        let finished = begun.and_then(|shared| shared.guidance.finish(x));
        let received = finished.map(|(velocity, reused)| {
            if let Some(reuse) = &self.reuse {
                let rows = reuse.rows[second.clone()].iter();
                rows.zip(reused).for_each(|(row, reused)| row.note(reuse.evaluation(number), t as f32, reused));
            }
            velocity
        });
        let here = || self.evaluate(&halves[1], x.clone(), t, second, number);
        [conditional, received.unwrap_or_else(here)]
    }

    /// The velocity at `t`, guided if guidance is active there.
    ///
    /// # Shapes
    ///
    /// - x, output: `[images, channels, height, width]` in f32
    pub fn velocity(&self, x: &Tensor<4>, t: f64) -> Tensor<4> {
        let images = self.images;
        let number = self.evaluations.fetch_add(1, Ordering::Relaxed) + 1;
        let evaluate = |conditioned: &Conditioned, x: Tensor<4>, rows| self.evaluate(conditioned, x, t, rows, number);
        let conditional = || evaluate(&self.conditional, x.clone(), 0..images);
        match &self.guided {
            Some(Guided::Together(both)) if self.guidance.is_active(t as f32) => {
                let twice = Tensor::cat(vec![x.clone(), x.clone()], 0);
                let both = evaluate(both, twice, 0..2 * images);
                combine(&self.guidance, both.clone().narrow(0, 0, images), both.narrow(0, images, images))
            }
            Some(Guided::Apart(unconditional)) if self.guidance.is_active(t as f32) => {
                let unconditional = || evaluate(unconditional, x.clone(), images..2 * images);
                let (conditional, unconditional) = rayon::join(conditional, unconditional);
                combine(&self.guidance, conditional, unconditional)
            }
            Some(Guided::Shared(halves)) if self.guidance.is_active(t as f32) => {
                let [conditional, unconditional] = self.halves(halves, x, t, number);
                combine(&self.guidance, conditional, unconditional)
            }
            _ => {
                // Times rise, so nothing later is guided.
                if let Some(shared) = self.shared.filter(|shared| shared.is_last && t as f32 >= self.guidance.until) {
                    shared.guidance.release();
                }
                conditional()
            }
        }
    }

    /// Carries `noise` along `schedule`; see [`integrate_from`].
    pub fn run(
        &self,
        schedule: &Schedule,
        noise: Tensor<4>,
        observe: &mut dyn FnMut(&Interval<'_, Tensor<4>>) -> ControlFlow<()>,
    ) -> ControlFlow<usize, Tensor<4>> {
        self.run_from(schedule, 0, noise, &mut |state, _| state, observe)
    }

    /// Carries `start`, the state at point `first` of `schedule`, to its end; see [`integrate_from`].
    pub fn run_from(
        &self,
        schedule: &Schedule,
        first: usize,
        start: Tensor<4>,
        constrain: &mut dyn FnMut(Tensor<4>, usize) -> Tensor<4>,
        observe: &mut dyn FnMut(&Interval<'_, Tensor<4>>) -> ControlFlow<()>,
    ) -> ControlFlow<usize, Tensor<4>> {
        integrate_from(schedule, first, start, &mut |x, t| self.velocity(x, t), constrain, observe)
    }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{ReuseRule, Solver, StepSet};

    use super::*;
    use crate::checkpoint::ModelFolder;
    use crate::device::OpenDevice;
    use crate::families::newbie::synthetic::{self, Preset};
    use crate::families::newbie::{LoadOptions, Networks};
    use crate::sampler::noise;
    use crate::tokens::TokenBatch;

    /// A small checkpoint, and a prompt and a negative prompt of different lengths: together, the shorter one is padded and masked.
    fn small() -> (Networks, TextFeatures) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(dir.path(), &Preset::tiny(), 1).expect("writable");
        let folder = ModelFolder::open(dir.path()).expect("a checkpoint");
        let options = LoadOptions::new(OpenDevice::cpu());
        let (networks, _) = Networks::load(&folder, &options).unwrap_or_else(|error| panic!("{error}"));
        let ids: [Vec<u32>; 2] = [(3..40).collect(), vec![2]];
        let batch = |pad| TokenBatch::padded(&ids, pad, 8).expect("two rows");
        let features = networks.encode(&batch(0), &batch(1)).expect("known ids");
        (networks, features)
    }

    const SHAPE: [usize; 3] = [16, 8, 6];
    const STEPS: usize = 6;

    fn cache(rule: ReuseRule, taylor_order: u32) -> StepCache {
        StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order }
    }

    fn change(threshold: f32, consecutive_max: u32) -> ReuseRule {
        ReuseRule::Change { threshold, warmup_steps: 2, consecutive_max }
    }

    /// The latents of `images` images from image `first` on, and what each reused.
    fn run(
        (networks, features): &(Networks, TextFeatures),
        settings: Option<StepCache>,
        (first, images): (u32, usize),
        (solver, halves): (Solver, Halves),
    ) -> (Vec<f32>, Vec<EvaluationReuse>) {
        let guidance = Guidance { until: 0.9, renorm: 1.0, ..Guidance::new(4.0) };
        let [_, height, width] = SHAPE;
        let denoiser =
            Denoiser::with_halves(&networks.transformer, features, guidance, images, [height, width], halves)
                .with_step_cache(settings, solver.evaluations_per_step());
        let noise = noise::batch(1, first, images, SHAPE, networks.device());
        let schedule = Schedule::new(solver, STEPS, 3.0);
        let ControlFlow::Continue(latents) = denoiser.run(&schedule, noise, &mut |_| ControlFlow::Continue(())) else {
            panic!("nobody stopped it")
        };
        (latents.try_into_vec_as().expect("f32 on the CPU"), denoiser.reused())
    }

    fn distance(found: &[f32], expected: &[f32]) -> f64 {
        let square = |value: f32| f64::from(value).powi(2);
        let apart: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
        (apart / expected.iter().copied().map(square).sum::<f64>()).sqrt()
    }

    #[test]
    fn a_cache_that_never_reuses_gives_the_very_bits() {
        let model = small();
        for halves in [Halves::Together, Halves::Apart, Halves::Shared] {
            let (exact, none) = run(&model, None, (0, 2), (Solver::Euler, halves));
            let (found, reused) = run(&model, Some(cache(change(0.0, 0), 1)), (0, 2), (Solver::Euler, halves));
            assert!(found == exact, "{halves:?}");
            let nothing = EvaluationReuse { evaluations: STEPS as u32, ..EvaluationReuse::default() };
            assert_eq!((none, reused), (Vec::new(), vec![nothing; 2]));
        }
    }

    #[test]
    fn a_pattern_is_replayed_alike_with_the_halves_together_and_apart() {
        let model = small();
        let steps = ReuseRule::Steps(StepSet::of([3, 5]).expect("few steps"));
        for (solver, numbers) in [(Solver::Euler, vec![3, 5]), (Solver::Midpoint, vec![5, 6, 9, 10])] {
            let (exact, _) = run(&model, None, (0, 1), (solver, Halves::Apart));
            for order in [0, 1] {
                let (found, reused) = run(&model, Some(cache(steps, order)), (0, 1), (solver, Halves::Apart));
                let (together, _) = run(&model, Some(cache(steps, order)), (0, 1), (solver, Halves::Together));
                assert_eq!(reused[0].conditional, numbers, "{solver}");
                assert!(numbers.starts_with(&reused[0].unconditional), "guidance ends before the last step");
                let (far, apart) = (distance(&found, &exact), distance(&together, &found));
                assert!(far > 1e-3 && far.is_finite(), "{solver}, order {order}: {far}");
                assert!(apart < 0.05 * far, "{solver}, order {order}: {apart} of {far}");
            }
        }
    }

    #[test]
    fn every_half_of_every_image_decides_as_it_does_alone() {
        let model = small();
        // About the change from step to step here: some rows are above it, some below.
        for threshold in [0.05, 0.2, 0.4] {
            let settings = Some(cache(change(threshold, 2), 0));
            let (_, together) = run(&model, settings, (0, 3), (Solver::Euler, Halves::Together));
            for image in 0..3 {
                let (_, alone) = run(&model, settings, (image, 1), (Solver::Euler, Halves::Apart));
                assert_eq!(together[image as usize], alone[0], "image {image} at {threshold}");
            }
        }
        let (_, limited) = run(&model, Some(cache(change(1.0, 1), 0)), (0, 1), (Solver::Euler, Halves::Apart));
        assert_eq!(limited[0].conditional, [3, 5], "every second one after the warm-up");
        let first = run(&model, Some(cache(change(0.2, 2), 1)), (0, 2), (Solver::Dpm, Halves::Apart));
        assert!(
            run(&model, Some(cache(change(0.2, 2), 1)), (0, 2), (Solver::Dpm, Halves::Apart)) == first,
            "the same bits again"
        );
    }

    #[test]
    fn halves_together_and_apart_are_the_same_velocity() {
        let (networks, features) = small();
        let guidance = Guidance { until: 0.5, renorm: 1.0, ..Guidance::new(4.0) };
        let denoiser = |halves| Denoiser::with_halves(&networks.transformer, &features, guidance, 2, [8, 6], halves);
        let [together, apart] = [Halves::Together, Halves::Apart].map(denoiser);
        let x = noise::batch(1, 0, 2, [16, 8, 6], networks.device());
        let values = |denoiser: &Denoiser<'_>, t| -> Vec<f32> {
            denoiser.velocity(&x, t).try_into_vec_as().expect("f32 on the CPU")
        };
        for (t, is_guided) in [(0.2, true), (0.7, false)] {
            assert_eq!((together.is_guided(t), apart.is_guided(t)), (is_guided, is_guided));
            let (together, apart) = (values(&together, t), values(&apart, t));
            let spread = together.iter().map(|value| value.abs()).fold(0.0, f32::max);
            let difference = together.iter().zip(&apart).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(spread > 0.1 && difference < 1e-4 * spread, "t {t}: {difference} of {spread}");
        }
    }
}
