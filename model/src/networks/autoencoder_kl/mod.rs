//! diffusers' AutoencoderKL, the autoencoder of FLUX.1 and of Stable Diffusion: pixels to latents and back.
//!
//! There are two spaces of latents: those of the autoencoder's encoder and decoder, `z`, and *model latents* of the
//! diffusion model, `(z - shift) * scale`. Public functions use model latents unless documented otherwise. Reference:
//! diffusers, `autoencoder_kl.py` and `vae.py` (<https://arxiv.org/abs/2112.10752>).

mod config;
mod cross_fade;
mod decoder;
mod encoder;
#[cfg(feature = "cuda")]
mod fast;
mod key_map;
mod layers;
mod tiled;

use burn::tensor::{DType, Tensor};

pub use self::config::AutoencoderKlConfig;
pub use self::cross_fade::CrossFade;
pub use self::decoder::Decoder;
pub use self::encoder::Encoder;
use self::tiled::Scale;
pub use self::tiled::Tiling;
use crate::checkpoint::TensorReader;
use crate::nn::accelerated::Accelerated;
use crate::nn::conv::Conv;

/// Receives intermediate values under the names of the reference, for comparisons: `[B, C, H, W]`.
pub type Tap<'a> = dyn FnMut(&str, &Tensor<4>) + 'a;

/// The parameters of the posterior that the encoder predicts, in the autoencoder's own space: `[B, C, H/8, W/8]` each.
#[derive(Debug, Clone)]
pub struct Posterior {
    /// Mean, which is also the mode.
    pub mean: Tensor<4>,
    /// Logarithm of the variance, clamped to -30..20 as in the reference.
    pub logvar: Tensor<4>,
}

impl Posterior {
    /// A sample, `mean + exp(logvar / 2) * noise`, for standard normal `noise` of the same shape.
    pub fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        self.mean.clone() + self.logvar.clone().div_scalar(2.0).exp() * noise
    }
}

/// The decoder or the encoder in an accelerated implementation.
trait Passes: Send + Sync {
    /// Of a decoder, model latents `[B, C, H, W]` to RGB in 0..1, `[B, 3, 8H, 8W]`; of an encoder, RGB in -1..1 to the mode of
    /// the posterior as model latents. The result is in f32.
    fn run(&self, input: &Tensor<4>) -> Tensor<4>;
}

/// Both halves of the autoencoder.
#[derive(Debug)]
pub struct AutoencoderKl {
    config: AutoencoderKlConfig,
    encoder: Option<Encoder>,
    decoder: Decoder,
    /// Mixes the channels of the moments that the encoder returns.
    quant_conv: Option<Conv>,
    /// Mixes the channels of latents before the decoder.
    post_quant_conv: Option<Conv>,
    /// The decoder on an NVIDIA GPU. It holds addresses of the weights above.
    fast_decoder: Accelerated<dyn Passes>,
    /// The encoder on an NVIDIA GPU, likewise.
    fast_encoder: Accelerated<dyn Passes>,
}

impl AutoencoderKl {
    /// Reads encoder and decoder. Call [`TensorReader::finish`] before using the result.
    pub fn load(config: &AutoencoderKlConfig, weights: &TensorReader) -> Self {
        key_map::apply(weights);
        let encoder = Encoder::load(config, &weights.at("encoder"));
        Self::new(config, Some(encoder), weights)
    }

    /// Reads the decoder, and the encoder if the file has one. Call [`TensorReader::finish`] before using the result.
    pub fn load_available(config: &AutoencoderKlConfig, weights: &TensorReader) -> Self {
        key_map::apply(weights);
        if weights.has("encoder.conv_in.weight") {
            let encoder = Encoder::load(config, &weights.at("encoder"));
            return Self::new(config, Some(encoder), weights);
        }
        Self::load_decoder(config, weights)
    }

    /// Reads the decoder only.
    pub fn load_decoder(config: &AutoencoderKlConfig, weights: &TensorReader) -> Self {
        key_map::apply(weights);
        weights.tolerate("encoder.*");
        weights.tolerate("quant_conv.*");
        Self::new(config, None, weights)
    }

    fn new(config: &AutoencoderKlConfig, encoder: Option<Encoder>, weights: &TensorReader) -> Self {
        let decoder = Decoder::load(config, &weights.at("decoder"));
        let is_mixed = config.quant_conv.unwrap_or_else(|| weights.has("post_quant_conv.weight"));
        let conv = |name: &str, channels: usize| Conv::load(&weights.at(name), channels, channels, 1);
        let quant_conv = (is_mixed && encoder.is_some()).then(|| conv("quant_conv", 2 * config.latent_channels));
        let post_quant_conv = is_mixed.then(|| conv("post_quant_conv", config.latent_channels));
        let [fast_decoder, fast_encoder] = [Accelerated::new(), Accelerated::new()];
        Self { config: config.clone(), encoder, decoder, quant_conv, post_quant_conv, fast_decoder, fast_encoder }
    }

    fn fast_decoder(&self) -> Option<&dyn Passes> {
        self.fast_decoder.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return fast::FastDecoder::of(&self.config, &self.decoder)
                .map(|fast| -> Box<dyn Passes> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Built with the first image that is encoded: a model that encodes none needs no memory for it.
    fn fast_encoder(&self) -> Option<&dyn Passes> {
        self.fast_encoder.get_or_build(|| {
            #[cfg(feature = "cuda")]
            return fast::FastEncoder::of(&self.config, self.encoder.as_ref()?, self.quant_conv.as_ref())
                .map(|fast| -> Box<dyn Passes> { Box::new(fast) });
            #[cfg(not(feature = "cuda"))]
            return None;
        })
    }

    /// Whether images are decoded by vendor libraries and our kernels instead of burn's operations.
    pub fn is_fast(&self) -> bool {
        self.fast_decoder().is_some()
    }

    /// Whether images are encoded by vendor libraries and our kernels. The first call prepares that.
    pub fn encodes_fast(&self) -> bool {
        self.fast_encoder().is_some()
    }

    /// The same network on burn's operations only, for comparison with the fast path.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { fast_decoder: Accelerated::none(), fast_encoder: Accelerated::none(), ..self }
    }

    /// Whether the weights include an encoder. Without one, [`encode`](Self::encode) returns `None`.
    pub fn encodes(&self) -> bool {
        self.encoder.is_some()
    }

    /// The configuration.
    pub fn config(&self) -> &AutoencoderKlConfig {
        &self.config
    }

    /// Model latents `[B, C, H, W]` to RGB in 0..1, `[B, 3, 8H, 8W]`, in f32. Large images are decoded in tiles.
    pub fn decode(&self, model_latents: Tensor<4>) -> Tensor<4> {
        self.decode_tiled(model_latents, &Tiling::DEFAULT)
    }

    /// [`decode`](Self::decode) with this tiling instead of the default one.
    pub fn decode_tiled(&self, model_latents: Tensor<4>, tiling: &Tiling) -> Tensor<4> {
        let [_, _, height, width] = model_latents.dims();
        if tiling.cuts(height, width) {
            let scale = Scale { tile: 1, result: self.config.factor() };
            return tiled::apply(&model_latents, tiling, scale, |tile| self.decode_whole(tile));
        }
        self.decode_whole(model_latents)
    }

    /// Draws the images of a batch one by one, so that the memory for it does not grow with the batch.
    ///
    /// # Shapes
    ///
    /// - model_latents: `[B, C, H, W]`
    /// - output: a `[1, 3, 8H, 8W]` in 0..1 for each row
    pub fn decode_each(&self, model_latents: Tensor<4>) -> impl Iterator<Item = Tensor<4>> {
        let [batch, ..] = model_latents.dims();
        (0..batch).map(move |row| self.decode(model_latents.clone().narrow(0, row, 1)))
    }

    fn decode_whole(&self, model_latents: Tensor<4>) -> Tensor<4> {
        if let Some(fast) = self.fast_decoder() {
            return match &self.post_quant_conv {
                // The fast decoder takes model latents.
                Some(_) => fast.run(&self.to_model_latents(self.mixed_latents(model_latents, &mut |_, _| ()))),
                None => fast.run(&model_latents),
            };
        }
        to_unit_range(self.decode_raw(model_latents, &mut |_, _| ()))
    }

    /// [`AutoencoderKl::decode`] before the change of range, showing `vae_latents` and intermediate values to `tap`.
    #[doc(hidden)]
    pub fn decode_raw(&self, model_latents: Tensor<4>, tap: &mut Tap<'_>) -> Tensor<4> {
        let latents = self.mixed_latents(model_latents, tap);
        self.decoder.forward(latents, tap)
    }

    /// [`AutoencoderKl::decode_raw`] in tiles, as diffusers cuts and fades them.
    #[doc(hidden)]
    pub fn decode_raw_cross_faded(&self, model_latents: &Tensor<4>, tiles: &CrossFade) -> Tensor<4> {
        tiles.decode(model_latents, |tile| self.decode_raw(tile, &mut |_, _| ()))
    }

    /// Model latents to what the decoder reads, `[B, C, H, W]`.
    fn mixed_latents(&self, model_latents: Tensor<4>, tap: &mut Tap<'_>) -> Tensor<4> {
        let latents = model_latents.div_scalar(self.config.scaling_factor).add_scalar(self.config.shift_factor);
        tap("vae_latents", &latents);
        let Some(conv) = &self.post_quant_conv else { return latents };
        let latents = conv.forward(conv.adopt(latents));
        tap("post_quant_conv", &latents);
        latents
    }

    /// RGB in -1..1, `[B, 3, 8H, 8W]`, to the mode of the posterior as model latents, `[B, C, H, W]`; `None` if only
    /// the decoder was loaded. Large images are encoded in tiles.
    pub fn encode(&self, image: Tensor<4>) -> Option<Tensor<4>> {
        self.encode_tiled(image, &Tiling::DEFAULT)
    }

    /// [`encode`](Self::encode) with this tiling instead of the default one.
    fn encode_tiled(&self, image: Tensor<4>, tiling: &Tiling) -> Option<Tensor<4>> {
        self.encoder.as_ref()?;
        let [_, _, height, width] = image.dims();
        let factor = self.config.factor();
        if tiling.cuts(height / factor, width / factor) {
            let scale = Scale { tile: factor, result: 1 };
            // There is an encoder, so each tile has latents.
            let encode = |tile: Tensor<4>| self.encode_whole(tile.clone()).unwrap_or(tile);
            return Some(tiled::apply(&image, tiling, scale, encode));
        }
        self.encode_whole(image)
    }

    fn encode_whole(&self, image: Tensor<4>) -> Option<Tensor<4>> {
        if let Some(fast) = self.fast_encoder() {
            return Some(fast.run(&image));
        }
        self.posterior(image, &mut |_, _| ()).map(|posterior| self.to_model_latents(posterior.mean))
    }

    /// The posterior of an image, showing intermediate values to `tap`; `None` if only the decoder was loaded.
    pub fn posterior(&self, image: Tensor<4>, tap: &mut Tap<'_>) -> Option<Posterior> {
        let mut moments = self.encoder.as_ref()?.forward(image, tap);
        if let Some(conv) = &self.quant_conv {
            moments = conv.forward(moments);
            tap("quant_conv", &moments);
        }
        let channels = self.config.latent_channels;
        let mean = moments.clone().narrow(1, 0, channels);
        Some(Posterior { mean, logvar: moments.narrow(1, channels, channels).clamp(-30.0, 20.0) })
    }

    /// From the autoencoder's own space to model latents.
    pub fn to_model_latents(&self, latents: Tensor<4>) -> Tensor<4> {
        latents.sub_scalar(self.config.shift_factor).mul_scalar(self.config.scaling_factor)
    }
}

/// The decoder's output, -1..1 and somewhat beyond, to 0..1 in f32.
pub fn to_unit_range(sample: Tensor<4>) -> Tensor<4> {
    sample.cast(DType::F32).add_scalar(1.0).div_scalar(2.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use serde_json::json;

    use super::*;
    use crate::checkpoint::testing::{Stored, write_file};

    #[test]
    fn shapes_and_scales_of_an_autoencoder_of_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let stored = [
            Stored::f32("decoder.conv_out.bias", &[3], &[-1.0, 0.0, 0.5]),
            Stored::f32("encoder.conv_out.bias", &[4], &[1.25, 0.25, 50.0, -50.0]),
        ];
        let path = write_file(dir.path(), "model.safetensors", &stored);
        let config = AutoencoderKlConfig::from_json(&json!({"latent_channels": 2, "block_out_channels": [2, 2, 4],
            "norm_num_groups": 2, "layers_per_block": 1, "scaling_factor": 0.5, "shift_factor": 0.25}))
        .unwrap();
        let reader = TensorReader::open("vae", &[path], &Device::flex(), DType::F32).unwrap();
        // The report would list all other weights as missing; this test relies on their zeros.
        let vae = AutoencoderKl::load(&config, &reader);
        let zeros = |shape: [usize; 4]| Tensor::<4>::zeros(shape, (&Device::flex(), DType::F32));
        let image = vae.decode(zeros([1, 2, 3, 5]));
        assert_eq!(image.dims(), [1, 3, 12, 20]);
        let pixel: Vec<f32> = image.narrow(2, 0, 1).narrow(3, 0, 1).try_into_vec_as().unwrap();
        assert_eq!(pixel, [0.0, 0.5, 0.75]);
        let latents = vae.encode(zeros([1, 3, 8, 4])).unwrap();
        assert_eq!(latents.dims(), [1, 2, 2, 1]);
        // (1.25 - 0.25) * 0.5 and (0.25 - 0.25) * 0.5.
        assert_eq!(latents.try_into_vec_as::<f32>().unwrap(), [0.5, 0.5, 0.0, 0.0]);
        let posterior = vae.posterior(zeros([1, 3, 8, 4]), &mut |_, _| ()).unwrap();
        assert_eq!(posterior.logvar.try_into_vec_as::<f32>().unwrap(), [20.0, 20.0, -30.0, -30.0]);
    }

    #[test]
    fn an_encoder_is_loaded_if_the_file_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let config = AutoencoderKlConfig::from_json(&json!({"latent_channels": 2, "block_out_channels": [2, 2, 4],
            "norm_num_groups": 2, "layers_per_block": 1}))
        .unwrap();
        for (name, encodes) in [("encoder.conv_in.weight", true), ("decoder.conv_in.weight", false)] {
            let path = write_file(dir.path(), name, &[Stored::f32(name, &[2, 3, 3, 3], &[0.0; 54])]);
            let reader = TensorReader::open("vae", &[path], &Device::flex(), DType::F32).unwrap();
            let vae = AutoencoderKl::load_available(&config, &reader);
            let image = Tensor::<4>::zeros([1, 3, 8, 8], (&Device::flex(), DType::F32));
            assert_eq!((vae.encodes(), vae.encode(image).is_some()), (encodes, encodes));
        }
    }

    #[test]
    fn samples_are_mapped_and_clamped() {
        let sample = Tensor::<4>::from_data([[[[-3.0, -1.0, 0.0, 1.0, 1.5]]]], (&Device::flex(), DType::F32));
        to_unit_range(sample).into_data().assert_eq(&TensorData::from([[[[0.0_f32, 0.0, 0.5, 1.0, 1.0]]]]), true);
    }
}
