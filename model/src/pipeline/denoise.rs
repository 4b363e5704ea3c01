//! One batch of images from noise to latents under guidance.

use std::ops::ControlFlow;

use burn::tensor::Tensor;

use super::networks::TextFeatures;
use crate::next_dit::{Conditioned, NextDit};
use crate::sampler::{Guidance, Interval, Schedule, integrate};

/// Everything that the evaluations of one batch share.
pub struct Denoiser<'a> {
    transformer: &'a NextDit,
    guidance: Guidance,
    images: usize,
    /// Conditional rows.
    conditional: Conditioned,
    /// Conditional, then unconditional rows; absent if guidance is never active.
    guided: Option<Conditioned>,
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
        let grid = latent_size.map(|edge| edge / transformer.config().patch_size);
        let rows = features.caption.lengths.len();
        let prepared = transformer.condition(&features.caption, Some(features.pooled.clone()), &vec![grid; rows]);
        let both: Vec<usize> = (0..2 * images).map(|row| row / images).collect();
        Self {
            transformer,
            guidance,
            images,
            conditional: prepared.select(&vec![0; images]),
            guided: (rows > 1).then(|| prepared.select(&both)),
        }
    }

    /// Whether an evaluation at `t` computes both halves.
    pub fn is_guided(&self, t: f64) -> bool {
        self.guided.is_some() && self.guidance.is_active(t as f32)
    }

    /// The velocity at `t`; the conditional and the unconditional half are one batch.
    ///
    /// # Shapes
    ///
    /// - x, output: `[images, channels, height, width]` in f32
    pub fn velocity(&self, x: &Tensor<4>, t: f64) -> Tensor<4> {
        let images = self.images;
        match &self.guided {
            Some(guided) if self.guidance.is_active(t as f32) => {
                let twice = Tensor::cat(vec![x.clone(), x.clone()], 0);
                let both = self.transformer.velocity(guided, twice, &vec![t as f32; 2 * images]);
                self.guidance.combine(both.clone().narrow(0, 0, images), both.narrow(0, images, images))
            }
            _ => self.transformer.velocity(&self.conditional, x.clone(), &vec![t as f32; images]),
        }
    }

    /// Carries `noise` along `schedule`; see [`integrate`].
    pub fn run(
        &self,
        schedule: &Schedule,
        noise: Tensor<4>,
        observe: &mut dyn FnMut(&Interval<'_, Tensor<4>>) -> ControlFlow<()>,
    ) -> ControlFlow<usize, Tensor<4>> {
        integrate(schedule, noise, &mut |x, t| self.velocity(x, t), observe)
    }
}
