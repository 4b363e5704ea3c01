//! The denoiser of Stable Diffusion XL: a U-Net whose levels attend to the text, and the control network that steers it.
//!
//! References: Podell et al. 2023 (<https://arxiv.org/abs/2307.01952>); diffusers, `unet_2d_condition.py` and
//! `controlnet.py`.

mod conditioning;
mod config;
mod control;
mod control_kind;
mod down;
#[cfg(feature = "cuda")]
mod fast;
mod names;
mod steering;
mod tap;
mod time;
mod transformer;
mod up;

use burn::tensor::{DType, Tensor};

use self::conditioning::Prepared;
pub use self::conditioning::{Conditioned, Conditioning};
pub use self::config::{ControlConfig, Level, UnetConfig};
pub use self::control::{ControlNet, Residuals, acts};
pub use self::control_kind::ControlKind;
use self::down::Downward;
pub use self::names::Names;
pub use self::steering::ControlConditioned;
pub use self::tap::{Tap, Tapped};
use self::up::Upward;
use crate::checkpoint::TensorReader;
use crate::nn::accelerated::Accelerated;
use crate::nn::adaptable::AdaptableWeight;

/// The passes of the network in an accelerated implementation. `None`: it does not support this batch.
trait Passes: Send + Sync {
    /// What all evaluations of a batch share.
    fn prepare(&self, conditioning: &Conditioning, times: &[f32]) -> Option<Prepared>;
    /// The prediction for noisy latents at the `step`-th of the times that were prepared, `[B, out_channels, H, W]` in f32.
    fn evaluate(
        &self,
        sample: &Tensor<4>,
        step: usize,
        prepared: &Prepared,
        control: Option<&Residuals>,
    ) -> Option<Tensor<4>>;
}

/// The U-Net.
#[derive(Debug)]
pub struct Unet {
    config: UnetConfig,
    down: Downward,
    up: Upward,
    /// The same on an NVIDIA GPU. It holds addresses of the weights above.
    fast: Accelerated<dyn Passes>,
}

impl Unet {
    /// Gives the tensors the names that [`load`](Self::load) reads, those of diffusers. Adapters are merged after it.
    pub fn rename(config: &UnetConfig, weights: &TensorReader) {
        names::apply(&Names::new(config), weights);
    }

    /// Reads the network, after [`rename`](Self::rename). Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &UnetConfig, weights: &TensorReader) -> Self {
        let (down, up) = (Downward::load(config, weights), Upward::load(config, weights));
        Self { down, up, config: config.clone(), fast: Accelerated::new() }
    }

    fn fast(&self) -> Option<&dyn Passes> {
        self.fast.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return fast::FastUnet::of(self).map(|fast| -> Box<dyn Passes> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Whether evaluations run on vendor libraries and our kernels instead of burn's operations. The first call prepares
    /// that.
    pub fn is_fast(&self) -> bool {
        self.fast().is_some()
    }

    /// Drops the fast path, which holds the addresses of the weights before a change. The next evaluation builds it again.
    pub(crate) fn weights_changed(&mut self) {
        self.fast.rebuild();
    }

    /// All weights under the names that [`load`](Self::load) reads. Call [`weights_changed`](Self::weights_changed) after a
    /// change.
    pub(crate) fn adaptable(&mut self) -> Vec<AdaptableWeight<'_>> {
        let mut weights = self.down.adaptable();
        weights.extend(self.up.adaptable());
        weights
    }

    /// The configuration.
    pub fn config(&self) -> &UnetConfig {
        &self.config
    }

    /// A conditioning for evaluations at these times, of 1000, fractions allowed.
    pub fn condition(&self, conditioning: Conditioning, times: &[f32]) -> Conditioned {
        Conditioned::new(conditioning, times)
    }

    /// The prediction for noisy latents at one time, on the fast path where there is one.
    ///
    /// # Shapes
    ///
    /// - sample: `[B, in_channels, H, W]`, with the rows of `conditioned`
    /// - time: of 1000. One that `conditioned` was not prepared for costs its embedding.
    /// - control: residuals of control networks
    /// - output: `[B, out_channels, H, W]` in f32
    pub fn predict(
        &self,
        sample: Tensor<4>,
        time: f32,
        conditioned: &Conditioned,
        control: Option<&Residuals>,
    ) -> Tensor<4> {
        let fast = self.fast().and_then(|fast| {
            let (step, prepared) = conditioned.at(time, |conditioning, times| fast.prepare(conditioning, times))?;
            fast.evaluate(&sample, step, &prepared, control)
        });
        fast.unwrap_or_else(|| self.forward(sample, &[time], conditioned.conditioning(), control, &mut |_, _| ()))
    }

    /// The prediction for noisy latents in burn's operations.
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
