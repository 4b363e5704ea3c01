//! The denoiser of Stable Diffusion XL: a U-Net whose levels attend to the text, and the control network that steers it.
//!
//! References: Podell et al. 2023 (<https://arxiv.org/abs/2307.01952>); diffusers, `unet_2d_condition.py` and
//! `controlnet.py`.

mod conditioning;
mod config;
mod control;
mod down;
mod names;
mod tap;
mod time;
mod transformer;
mod up;

use burn::tensor::{DType, Tensor};

pub use self::conditioning::Conditioning;
pub use self::config::{ControlConfig, Level, UnetConfig};
pub use self::control::{ControlNet, Residuals, acts};
use self::down::Downward;
pub use self::names::Names;
pub use self::tap::{Tap, Tapped};
use self::up::Upward;
use crate::checkpoint::TensorReader;
use crate::nn::adaptable::AdaptableWeight;

/// The U-Net.
#[derive(Debug)]
pub struct Unet {
    config: UnetConfig,
    down: Downward,
    up: Upward,
}

impl Unet {
    /// Gives the tensors the names that [`load`](Self::load) reads, those of diffusers. Adapters are merged after it.
    pub fn rename(config: &UnetConfig, weights: &TensorReader) {
        names::apply(&Names::new(config), weights);
    }

    /// Reads the network, after [`rename`](Self::rename). Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &UnetConfig, weights: &TensorReader) -> Self {
        Self { down: Downward::load(config, weights), up: Upward::load(config, weights), config: config.clone() }
    }

    /// All weights under the names that [`load`](Self::load) reads.
    pub(crate) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let mut weights = self.down.adaptable();
        weights.extend(self.up.adaptable());
        weights
    }

    /// The configuration.
    pub fn config(&self) -> &UnetConfig {
        &self.config
    }

    /// The prediction for noisy latents.
    ///
    /// # Shapes
    ///
    /// - sample: `[B, in_channels, H, W]`
    /// - times: one for each row, or one for all; of 1000, fractions allowed
    /// - control: residuals of control networks
    /// - output: `[B, out_channels, H, W]` in f32
    pub fn forward(
        &self,
        sample: Tensor<4>,
        times: &[f32],
        conditioning: &Conditioning,
        control: Option<&Residuals>,
        tap: &mut Tap<'_>,
    ) -> Tensor<4> {
        let mut bottom = self.down.forward(sample, times, conditioning, None, tap);
        if let Some(control) = control {
            for (skip, residual) in bottom.skips.iter_mut().zip(&control.skips) {
                *skip = skip.clone() + residual.clone();
            }
            bottom.x = bottom.x + control.mid.clone();
        }
        self.up.forward(bottom, conditioning, tap).cast(DType::F32)
    }
}
