//! A small decoder for previews: model latents to approximate RGB at a hundredth of the cost.
//!
//! The layout is TAESD's (madebyollin, <https://github.com/madebyollin/taesd>, MIT), here for FLUX's latents ("TAEF1"):
//! tensors are named by their index in a sequence, or as diffusers' AutoencoderTiny names them.
//!
//! ```text
//! 3 tanh(x/3) -> conv 1 -> ReLU -> blocks 3-5, x2, conv 7 -> blocks 8-10, x2, conv 12 -> blocks 13-15, x2, conv 17 -> block 18 -> conv 19
//! ```

use std::path::Path;

use burn::tensor::{DType, Device, Tensor, activation};

use crate::checkpoint::{LoadReport, TensorReader, WeightSource, weight_files};
use crate::error::LoadError;
use crate::nn::ops;

/// Indices of the residual blocks of each level and of the convolution after doubling.
const LEVELS: [([usize; 3], usize); 3] = [([3, 4, 5], 7), ([8, 9, 10], 12), ([13, 14, 15], 17)];
/// Pixels that a latent position spans.
const FACTOR: usize = 1 << LEVELS.len();

/// Latents `[B, C, H, W]` to rough pixels `[B, 3, 8 H, 8 W]`.
#[derive(Debug)]
pub struct TinyDecoder {
    latent_channels: usize,
    conv_in: Conv,
    levels: Vec<([Block; 3], Conv)>,
    block_out: Block,
    conv_out: Conv,
}

impl TinyDecoder {
    /// Loads a safetensors file, or the one in a directory.
    ///
    /// # Errors
    /// When it cannot be read, or a tensor is missing, unknown or of the wrong shape.
    pub fn load(path: &Path, device: &Device, dtype: DType) -> Result<(Self, LoadReport), LoadError> {
        Self::load_from(path, device, dtype, WeightSource::Files)
    }

    /// [`load`](Self::load) with the values of weights from `source`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_from(
        path: &Path,
        device: &Device,
        dtype: DType,
        source: WeightSource,
    ) -> Result<(Self, LoadReport), LoadError> {
        let files = if path.is_dir() { weight_files(path)? } else { vec![path.to_owned()] };
        let weights = TensorReader::open("preview_decoder", &files, device, dtype)?;
        weights.read_from(source);
        let decoder = Self::read(&weights);
        weights.finish().map(|report| (decoder, report))
    }

    fn read(weights: &TensorReader) -> Self {
        weights.rename(canonical);
        weights.tolerate("encoder.*");
        // Both widths come from the file; the shape check rejects implausible ones.
        let shape = weights.shape("1.weight").filter(|shape| shape.len() == 4).unwrap_or_else(|| vec![64, 16, 3, 3]);
        let (width, latent_channels) = (shape[0].clamp(1, 4096), shape[1].clamp(1, 4096));
        let block = |index: usize| Block::load(&weights.at(index.to_string()), width);
        Self {
            latent_channels,
            conv_in: Conv::load(&weights.at("1"), latent_channels, width, true),
            levels: LEVELS
                .iter()
                .map(|&(blocks, conv)| {
                    (blocks.map(block), Conv::load(&weights.at(conv.to_string()), width, width, false))
                })
                .collect(),
            block_out: block(18),
            conv_out: Conv::load(&weights.at("19"), width, 3, true),
        }
    }

    /// Channels of the latents that it decodes.
    pub fn latent_channels(&self) -> usize {
        self.latent_channels
    }

    /// How many pixels one latent position spans: 8.
    pub fn factor(&self) -> usize {
        FACTOR
    }

    /// Model latents `[B, C, H, W]` to RGB in 0..1, `[B, 3, 8H, 8W]`, in f32.
    pub fn decode(&self, model_latents: Tensor<4>) -> Tensor<4> {
        let latents = model_latents.cast(self.conv_in.weight.dtype());
        // A soft clamp: latents of early steps are far outside the training range of the decoder.
        let latents = latents.div_scalar(3.0).tanh().mul_scalar(3.0);
        let mut x = activation::relu(self.conv_in.forward(latents));
        for (blocks, conv) in &self.levels {
            for block in blocks {
                x = block.forward(x);
            }
            x = conv.forward(ops::upsample_nearest_2x(x));
        }
        let image = self.conv_out.forward(self.block_out.forward(x));
        image.cast(DType::F32).clamp(0.0, 1.0)
    }
}

/// A 3x3 convolution that keeps height and width.
#[derive(Debug)]
struct Conv {
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
}

impl Conv {
    fn load(weights: &TensorReader, input: usize, output: usize, bias: bool) -> Self {
        Self {
            weight: weights.tensor("weight", [output, input, 3, 3]),
            bias: bias.then(|| weights.vector("bias", output)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        ops::conv2d(x, self.weight.clone(), self.bias.clone(), 1, [1; 4])
    }
}

/// Three convolutions with ReLU between them, plus the input, then ReLU.
#[derive(Debug)]
struct Block([Conv; 3]);

impl Block {
    fn load(weights: &TensorReader, width: usize) -> Self {
        Self([0, 2, 4].map(|index| Conv::load(&weights.at(format!("conv.{index}")), width, width, true)))
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Self([first, second, third]) = self;
        let hidden = activation::relu(first.forward(x.clone()));
        let hidden = activation::relu(second.forward(hidden));
        activation::relu(third.forward(hidden) + x)
    }
}

/// TAESD's own names from diffusers', which do not count the clamp at the front.
fn canonical(name: &str) -> String {
    let diffusers = name.strip_prefix("decoder.layers.").and_then(|name| name.split_once('.'));
    if let Some((index, rest)) = diffusers
        && let Some(index) = index.parse::<usize>().ok().and_then(|index| index.checked_add(1))
    {
        return format!("{index}.{rest}");
    }
    name.strip_prefix("decoder.").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    /// A 3x3 kernel that passes the channel on.
    const PASS: [f32; 9] = [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];

    /// A decoder of width 1 whose blocks add nothing.
    fn passing() -> Vec<Stored> {
        let blocks = [3, 4, 5, 8, 9, 10, 13, 14, 15, 18].into_iter().flat_map(|block| {
            [0, 2, 4].into_iter().flat_map(move |conv| {
                let name = format!("{block}.conv.{conv}");
                [
                    Stored::f32(&format!("{name}.weight"), &[1, 1, 3, 3], &[0.0; 9]),
                    Stored::f32(&format!("{name}.bias"), &[1], &[0.0]),
                ]
            })
        });
        let doubling = [7, 12, 17].map(|conv| Stored::f32(&format!("{conv}.weight"), &[1, 1, 3, 3], &PASS));
        let to_rgb = [PASS, [0.0; 9], PASS].concat();
        let ends = [
            Stored::bf16("1.weight", &[1, 1, 3, 3], &PASS),
            Stored::f32("1.bias", &[1], &[0.0]),
            Stored::f32("19.weight", &[3, 1, 3, 3], &to_rgb),
            Stored::f32("19.bias", &[3], &[0.0, 0.25, -9.0]),
        ];
        blocks.chain(doubling).chain(ends).collect()
    }

    #[test]
    fn a_passing_decoder_shows_the_soft_clamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = write_file(dir.path(), "taef1.safetensors", &passing());
        for path in [path.as_path(), dir.path()] {
            let (decoder, report) = TinyDecoder::load(path, &Device::flex(), DType::F32).unwrap();
            assert_eq!((decoder.latent_channels(), decoder.factor(), report.tensors_used), (1, 8, 67));
            let latents = Tensor::<4>::from_data([[[[0.6, -5.0]]]], (&Device::flex(), DType::F32));
            let image = decoder.decode(latents);
            assert_eq!(image.dims(), [1, 3, 8, 16]);
            let pixel =
                |channel, x| image.clone().narrow(1, channel, 1).narrow(2, 3, 1).narrow(3, x, 1).into_scalar::<f32>();
            // 3 tanh(0.2) = 0.592126; negative values end at the first ReLU; the third channel is far below zero.
            assert!((pixel(0, 1) - 0.592_126).abs() < 1e-5);
            assert_eq!([pixel(0, 12), pixel(1, 1), pixel(2, 1)], [0.0, 0.25, 0.0]);
        }
    }

    #[test]
    fn other_files_are_refused_tensor_by_tensor() {
        let dir = tempfile::tempdir().unwrap();
        let mut tensors = passing();
        tensors.pop();
        tensors.push(Stored::f32("20.weight", &[1], &[0.0]));
        let path = write_file(dir.path(), "other.safetensors", &tensors);
        let error = TinyDecoder::load(&path, &Device::flex(), DType::F32).unwrap_err().to_string();
        assert!(error.contains("missing: 19.bias [3]") && error.contains("unexpected: 20.weight"), "{error}");
    }

    #[test]
    fn diffusers_names_are_shifted_by_the_clamp() {
        assert_eq!(canonical("decoder.layers.0.weight"), "1.weight");
        assert_eq!(canonical("decoder.layers.17.conv.4.bias"), "18.conv.4.bias");
        assert_eq!(canonical("3.conv.0.bias"), "3.conv.0.bias");
        assert_eq!(canonical("decoder.19.bias"), "19.bias");
        assert_eq!(canonical("decoder.layers.18446744073709551615.bias"), "layers.18446744073709551615.bias");
    }
}
