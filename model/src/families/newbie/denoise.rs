//! One batch of images from noise to latents under guidance.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sakuga_model_core::Guidance;

use super::networks::TextFeatures;
use crate::device;
use crate::networks::next_dit::{Conditioned, NextDit};
use crate::sampler::guidance::combine;
use crate::sampler::{Interval, Schedule, integrate_from};

/// Everything that the evaluations of one batch share.
pub struct Denoiser<'a> {
    transformer: &'a NextDit,
    guidance: Guidance,
    images: usize,
    /// Conditional rows.
    conditional: Conditioned,
    /// What guidance needs besides; absent if it is never active.
    guided: Option<Guided>,
}

/// How the two halves of a guided evaluation are computed.
enum Guided {
    /// Conditional, then unconditional rows as one batch: a GPU is best used by few large kernels.
    Together(Conditioned),
    /// The unconditional rows alone, and the conditional ones on another thread. On a CPU the halves share the cores
    /// better than the elementwise operations of one batch, of which each runs on one core; and as every half has one
    /// caption length, neither is padded to the other's and nothing is masked.
    Apart(Conditioned),
}

impl<'a> Denoiser<'a> {
    /// Prepares `images` images of one prompt: captions are refined once, not once per image.
    ///
    /// `features` has the prompt in row 0 and, unless guidance is never active, the negative in row 1. `latent_size` is
    /// height and width of the latents.
    pub fn new(
        transformer: &'a NextDit,
        features: &TextFeatures,
        guidance: Guidance,
        images: usize,
        latent_size: [usize; 2],
    ) -> Self {
        let apart = device::is_cpu(&features.pooled.device());
        Self::with_halves(transformer, features, guidance, images, latent_size, apart)
    }

    fn with_halves(
        transformer: &'a NextDit,
        features: &TextFeatures,
        guidance: Guidance,
        images: usize,
        latent_size: [usize; 2],
        apart: bool,
    ) -> Self {
        let grid = latent_size.map(|edge| edge / transformer.config().patch_size);
        let rows = features.caption.lengths.len();
        let prepared = transformer.condition(&features.caption, Some(features.pooled.clone()), &vec![grid; rows]);
        let guided = (rows > 1).then(|| {
            if apart {
                Guided::Apart(prepared.select(&vec![1; images]))
            } else {
                let both: Vec<usize> = (0..2 * images).map(|row| row / images).collect();
                Guided::Together(prepared.select(&both))
            }
        });
        Self { transformer, guidance, images, conditional: prepared.select(&vec![0; images]), guided }
    }

    /// Whether an evaluation at `t` computes both halves.
    pub fn is_guided(&self, t: f64) -> bool {
        self.guided.is_some() && self.guidance.is_active(t as f32)
    }

    /// The velocity at `t`, guided if guidance is active there.
    ///
    /// # Shapes
    ///
    /// - x, output: `[images, channels, height, width]` in f32
    pub fn velocity(&self, x: &Tensor<4>, t: f64) -> Tensor<4> {
        let images = self.images;
        let half = |rows: &Conditioned| self.transformer.velocity(rows, x.clone(), &vec![t as f32; images]);
        match &self.guided {
            Some(Guided::Together(both)) if self.guidance.is_active(t as f32) => {
                let twice = Tensor::cat(vec![x.clone(), x.clone()], 0);
                let both = self.transformer.velocity(both, twice, &vec![t as f32; 2 * images]);
                combine(&self.guidance, both.clone().narrow(0, 0, images), both.narrow(0, images, images))
            }
            Some(Guided::Apart(unconditional)) if self.guidance.is_active(t as f32) => {
                let (conditional, unconditional) = rayon::join(|| half(&self.conditional), || half(unconditional));
                combine(&self.guidance, conditional, unconditional)
            }
            _ => half(&self.conditional),
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
    use super::*;
    use crate::checkpoint::ModelFolder;
    use crate::device::OpenDevice;
    use crate::families::newbie::synthetic::{self, Preset};
    use crate::families::newbie::{LoadOptions, Networks};
    use crate::sampler::noise;
    use crate::tokens::TokenBatch;

    #[test]
    fn halves_together_and_apart_are_the_same_velocity() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        synthetic::write(dir.path(), &Preset::tiny(), 1).expect("writable");
        let folder = ModelFolder::open(dir.path()).expect("a checkpoint");
        let options = LoadOptions::new(OpenDevice::cpu());
        let (networks, _) = Networks::load(&folder, &options).unwrap_or_else(|error| panic!("{error}"));
        // Captions of different lengths: together, the shorter one is padded and masked.
        let ids: [Vec<u32>; 2] = [(3..40).collect(), vec![2]];
        let batch = |pad| TokenBatch::padded(&ids, pad, 8).expect("two rows");
        let features = networks.encode(&batch(0), &batch(1)).expect("known ids");
        let guidance = Guidance { until: 0.5, renorm: 1.0, ..Guidance::new(4.0) };
        let denoiser = |apart| Denoiser::with_halves(&networks.transformer, &features, guidance, 2, [8, 6], apart);
        let (together, apart) = (denoiser(false), denoiser(true));
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
