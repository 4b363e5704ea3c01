//! The refiner of a request.

/// The model's refiner computes the end of the schedule, on the latents of the base model (Podell et al. 2023,
/// <https://arxiv.org/abs/2307.01952>, section 2.5).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refiner {
    /// The share of the training times, from noise on, that the base model computes. In diffusers this is `denoising_end` of the
    /// base model and `denoising_start` of the refiner.
    pub switch_at: f32,
    /// The aesthetic score that the refiner reads with the prompt.
    pub aesthetic_score: f32,
    /// The aesthetic score that it reads with the negative prompt.
    pub negative_aesthetic_score: f32,
}

impl Default for Refiner {
    /// The values of diffusers, and the share of its documentation.
    fn default() -> Self {
        Self { switch_at: 0.8, aesthetic_score: 6.0, negative_aesthetic_score: 2.5 }
    }
}
