//! The control network: a copy of the U-Net's way down that reads an image and returns residuals for the U-Net's skips
//! (Zhang et al. 2023, <https://arxiv.org/abs/2302.05543>).

use burn::tensor::Tensor;

use super::conditioning::{Conditioning, Prepared};
use super::config::ControlConfig;
use super::down::Downward;
use super::names::{self, Names};
use super::tap::{Tap, Tapped};
use crate::checkpoint::TensorReader;
use crate::nn::accelerated::Accelerated;
use crate::nn::conv::Conv;
use crate::nn::ops;

/// What is added to the U-Net's skips and to its middle.
#[derive(Debug, Clone)]
pub struct Residuals {
    /// For each skip, in the order in which the way down makes them: `[B, channels, h, w]`.
    pub skips: Vec<Tensor<4>>,
    /// For the middle, `[B, channels, h, w]`.
    pub mid: Tensor<4>,
}

impl Residuals {
    /// Multiplies every residual by `scale`.
    #[must_use]
    pub fn scaled(self, scale: f64) -> Self {
        self.map(|_, residual| residual.mul_scalar(scale))
    }

    /// The scale of guess mode: from 0.1 for the first skip to 1 for the middle, evenly in the exponent.
    #[must_use]
    pub fn scaled_by_depth(self) -> Self {
        let last = self.skips.len() as f64;
        self.map(|i, residual| residual.mul_scalar(10_f64.powf(i as f64 / last - 1.0)))
    }

    /// The sum of the residuals of two networks.
    #[must_use]
    pub fn plus(self, other: &Self) -> Self {
        self.map(|i, residual| residual + other.skips.get(i).unwrap_or(&other.mid).clone())
    }

    /// Zeros before every row: residuals for the conditional half of a batch of both halves of guidance, `[2B, ..]`.
    #[must_use]
    pub fn for_second_half(self) -> Self {
        self.map(|_, residual| Tensor::cat(vec![residual.zeros_like(), residual], 0))
    }

    fn map(self, change: impl Fn(usize, Tensor<4>) -> Tensor<4>) -> Self {
        let count = self.skips.len();
        let skips = self.skips.into_iter().enumerate().map(|(i, residual)| change(i, residual)).collect();
        Self { skips, mid: change(count, self.mid) }
    }
}

/// The layers that read the image: convolutions with SiLU between them.
#[derive(Debug)]
struct ImageEmbedding {
    conv_in: Conv,
    /// At the same size, then halving.
    blocks: Vec<[Conv; 2]>,
    conv_out: Conv,
}

impl ImageEmbedding {
    fn load(config: &ControlConfig, weights: &TensorReader) -> Self {
        let channels = &config.image_channels;
        let conv =
            |i: usize, input: usize, output: usize| Conv::load(&weights.at(format!("blocks.{i}")), input, output, 3);
        let blocks = channels.windows(2).enumerate().map(|(i, pair)| {
            let [input, output] = [pair[0], pair[1]];
            [conv(2 * i, input, input), conv(2 * i + 1, input, output)]
        });
        let last = channels[channels.len() - 1];
        Self {
            conv_in: Conv::load(&weights.at("conv_in"), 3, channels[0], 3),
            blocks: blocks.collect(),
            conv_out: Conv::load(&weights.at("conv_out"), last, config.unet.levels[0].channels, 3),
        }
    }

    /// `[B, 3, 8H, 8W]` to `[B, channels, H, W]`.
    fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let mut x = ops::silu(self.conv_in.forward(image));
        for [same, halving] in &self.blocks {
            x = ops::silu(same.forward(x));
            x = ops::silu(halving.forward_halving(x));
        }
        self.conv_out.forward(x)
    }
}

/// The passes of the network in an accelerated implementation. `None`: it does not support this batch.
pub(super) trait ControlPasses: Send + Sync {
    /// What all evaluations of a batch share.
    fn prepare(&self, conditioning: &Conditioning, times: &[f32]) -> Option<Prepared>;
    /// The features of images `[1 or B, 3, 8H, 8W]`, for B rows, in the implementation's own layout.
    fn hint(&self, image: &Tensor<4>, rows: usize) -> Option<Tensor<1>>;
    /// The residuals at the `step`-th of the times that were prepared.
    fn evaluate(&self, sample: &Tensor<4>, step: usize, prepared: &Prepared, hint: &Tensor<1>) -> Option<Residuals>;
}

/// A control network with its weights.
#[derive(Debug)]
pub struct ControlNet {
    config: ControlConfig,
    image: ImageEmbedding,
    down: Downward,
    skips: Vec<Conv>,
    mid: Conv,
    /// The same on an NVIDIA GPU. It holds addresses of the weights above.
    pub(super) fast: Accelerated<dyn ControlPasses>,
}

impl ControlNet {
    /// Reads the network under diffusers' or the authors' names. Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &ControlConfig, weights: &TensorReader) -> Self {
        names::apply(&Names::of_control(config), weights);
        let unet = &config.unet;
        let mut channels = vec![unet.levels[0].channels];
        for (index, level) in unet.levels.iter().enumerate() {
            let halving = usize::from(index + 1 < unet.levels.len());
            channels.extend(std::iter::repeat_n(level.channels, unet.layers_per_block + halving));
        }
        let zero = |name: String, channels: usize| Conv::load(&weights.at(name), channels, channels, 1);
        let bottom = unet.levels[unet.levels.len() - 1].channels;
        Self {
            image: ImageEmbedding::load(config, &weights.at("controlnet_cond_embedding")),
            down: Downward::load(unet, weights),
            skips: channels
                .iter()
                .enumerate()
                .map(|(i, &channels)| zero(format!("controlnet_down_blocks.{i}"), channels))
                .collect(),
            mid: zero("controlnet_mid_block".to_owned(), bottom),
            config: config.clone(),
            fast: Accelerated::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ControlConfig {
        &self.config
    }

    /// The residuals for the U-Net in burn's operations.
    ///
    /// # Shapes
    ///
    /// - sample, times, conditioning: what the U-Net gets
    /// - image: `[B, 3, 8H, 8W]`, 0..1
    pub fn forward(
        &self,
        sample: Tensor<4>,
        times: &[f32],
        conditioning: &Conditioning,
        image: Tensor<4>,
        tap: &mut Tap<'_>,
    ) -> Residuals {
        let hint = self.image.forward(self.down.adopt(image));
        tap("cond_embedding", Tapped::Images(hint.clone()));
        let bottom = self.down.forward(sample, times, conditioning, Some(hint), tap);
        let skips = self.skips.iter().zip(bottom.skips).map(|(conv, skip)| conv.forward(skip));
        Residuals { skips: skips.collect(), mid: self.mid.forward(bottom.x) }
    }
}

#[cfg(feature = "cuda")]
impl ControlNet {
    /// The blocks that reduce the resolution, copied from the U-Net.
    pub(super) fn down(&self) -> &Downward {
        &self.down
    }

    /// The convolutions that read the image, in order, with their strides.
    pub(super) fn image_convolutions(&self) -> Vec<(&Conv, usize)> {
        let ImageEmbedding { conv_in, blocks, conv_out } = &self.image;
        let blocks = blocks.iter().flat_map(|[same, halving]| [(same, 1), (halving, 2)]);
        [(conv_in, 1)].into_iter().chain(blocks).chain([(conv_out, 1)]).collect()
    }

    /// The convolutions after the skips and the middle.
    pub(super) fn residual_convolutions(&self) -> Vec<&Conv> {
        self.skips.iter().chain([&self.mid]).collect()
    }
}

/// Whether a control network acts in step `step` of `steps`, if it acts from `start` to `end`, shares of all steps: not
/// before the step that begins at `start`, and not in a step that ends after `end`.
pub fn acts(step: usize, steps: usize, start: f64, end: f64) -> bool {
    let share = |step: usize| step as f64 / steps as f64;
    share(step) >= start && share(step + 1) <= end
}
