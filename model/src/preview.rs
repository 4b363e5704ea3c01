//! The cheapest preview: a linear map from latent channels to RGB, one pixel per latent position.
//!
//! The map belongs to the latent space, not to the network. The one built in is for FLUX.1's 16 channels in the model's
//! scale, `(z - 0.1159) * 0.3611`. It was fitted for this project by `model/scripts/fit_linear_preview.py`: 96 drawn
//! pictures of 256 x 256 (colour fields, shapes, outlines), encoded with TAEF1's encoder, ridge regression of the mean
//! colour of each 8 x 8 block on its latent vector. On 12 pictures held back the error is 0.050 (root mean square, of a
//! range of 1) where the colours themselves spread by 0.256.
//!
//! A checkpoint in another latent space brings its own in `preview_decoder/linear.json`:
//! `{"weights": [[r, g, b], ... one per channel], "bias": [r, g, b]}`, giving RGB in 0..1.

use std::path::Path;

use burn::tensor::{DType, Tensor, TensorReadError};
use sakuga_model_core::Rgb8;
use serde::Deserialize;

use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::error::{ConfigError, LoadError};
use crate::pixels::level;

/// RGB per latent channel of FLUX.1.
const FLUX_WEIGHTS: [[f32; 3]; 16] = [
    [-0.02367, 0.02537, 0.05284],
    [0.02138, 0.02453, 0.05750],
    [0.03502, -0.04017, -0.00964],
    [-0.01091, 0.00697, 0.03154],
    [0.03746, 0.03642, 0.01401],
    [-0.01552, 0.01097, 0.00773],
    [0.03042, 0.05154, 0.04461],
    [-0.01950, -0.02765, -0.01892],
    [-0.02286, -0.00630, 0.07284],
    [0.06481, 0.05514, -0.02720],
    [-0.01110, 0.04459, 0.01368],
    [0.05602, 0.01994, 0.01262],
    [0.02625, 0.03069, 0.03638],
    [-0.07296, -0.01222, -0.06611],
    [-0.00719, -0.04501, -0.01795],
    [-0.05745, -0.03717, -0.03101],
];
/// RGB of latents that are all zero.
const FLUX_BIAS: [f32; 3] = [0.50086, 0.48183, 0.46606];

/// A linear map from latents to colours.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearPreview {
    /// RGB for each latent channel.
    weights: Vec<[f32; 3]>,
    /// RGB added to every pixel.
    bias: [f32; 3],
}

impl LinearPreview {
    /// The map for FLUX.1's latents.
    pub fn flux() -> Self {
        Self { weights: FLUX_WEIGHTS.to_vec(), bias: FLUX_BIAS }
    }

    /// The checkpoint's own map, `linear.json` in `dir`, or else FLUX.1's. For latents of another number of channels
    /// than 16 and without a file, the first three channels become red, green and blue.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not hold one RGB triple per channel.
    pub fn find(dir: &Path, channels: usize) -> Result<Self, LoadError> {
        let path = dir.join("linear.json");
        if !path.exists() {
            return Ok(if channels == FLUX_WEIGHTS.len() { Self::flux() } else { Self::first_three(channels) });
        }
        let bytes = read_bounded(&path, CONFIG_BYTES_MAX)?;
        let map: Self =
            serde_json::from_slice(&bytes).map_err(|source| LoadError::Json { path: path.clone(), source })?;
        if map.weights.len() == channels {
            Ok(map)
        } else {
            let found = map.weights.len();
            let problem = format!("`weights` has {found} rows, but the latents have {channels} channels");
            Err(LoadError::Config { path, source: ConfigError::new(problem) })
        }
    }

    fn first_three(channels: usize) -> Self {
        let row = |channel| std::array::from_fn(|colour| if colour == channel { 0.25 } else { 0.0 });
        Self { weights: (0..channels).map(row).collect(), bias: [0.5; 3] }
    }

    /// Draws a batch, one image per row. The host computes: latents are small, and on a GPU a product of sizes that burn has
    /// not seen before would be tuned first, for longer than the whole picture takes.
    ///
    /// # Shapes
    ///
    /// - latents: `[batch, channels, height, width]` in the model's scale
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn draw(&self, latents: Tensor<4>) -> Result<Vec<Rgb8>, TensorReadError> {
        let [batch, channels, height, width] = latents.dims();
        let values: Vec<f32> = latents.cast(DType::F32).try_into_vec_as()?;
        let plane = height * width;
        let image = |row: usize| {
            let mut colours = vec![self.bias; plane];
            for (channel, weights) in self.weights.iter().enumerate().take(channels) {
                let values = &values[(row * channels + channel) * plane..][..plane];
                for (colour, value) in colours.iter_mut().zip(values) {
                    for (sum, weight) in colour.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
            }
            let pixels = colours.as_flattened().iter().copied().map(level);
            Rgb8 { width_px: width as u32, height_px: height as u32, pixels: pixels.collect() }
        };
        Ok((0..batch).map(image).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn zeros_give_the_bias_and_a_channel_its_row() {
        let mut values = vec![0.0f32; 16 * 2];
        values[3 * 2 + 1] = 2.0;
        let latents = Tensor::from_data(TensorData::new(values, [1, 16, 1, 2]), &Device::flex());
        let drawn = LinearPreview::flux().draw(latents).expect("the CPU does not fail");
        assert_eq!((drawn.len(), drawn[0].width_px, drawn[0].height_px), (1, 2, 1));
        let level = |value: f32| (value * 255.0).round() as u8;
        assert_eq!(drawn[0].pixels[..3], FLUX_BIAS.map(level));
        let moved: [f32; 3] = std::array::from_fn(|colour| FLUX_BIAS[colour] + 2.0 * FLUX_WEIGHTS[3][colour]);
        assert_eq!(drawn[0].pixels[3..], moved.map(level));
    }

    #[test]
    fn every_row_of_a_batch_is_drawn() {
        let values: Vec<f32> = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0].to_vec();
        let latents = Tensor::from_data(TensorData::new(values, [2, 3, 1, 1]), &Device::flex());
        let drawn = LinearPreview::first_three(3).draw(latents).expect("the CPU does not fail");
        let pixels: Vec<&[u8]> = drawn.iter().map(|image| image.pixels.as_slice()).collect();
        assert_eq!(pixels, [[128, 128, 191], [128, 128, 191]]);
    }

    #[test]
    fn a_checkpoint_overrides_the_map() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(LinearPreview::find(dir.path(), 16).expect("built in"), LinearPreview::flux());
        let write = |text: &str| std::fs::write(dir.path().join("linear.json"), text).expect("writable");
        write(r#"{"weights": [[1, 0, 0], [0, 1, 0]], "bias": [0, 0, 0.5]}"#);
        assert_eq!(LinearPreview::find(dir.path(), 2).expect("fits").bias, [0.0, 0.0, 0.5]);
        assert!(matches!(LinearPreview::find(dir.path(), 16), Err(LoadError::Config { .. })));
        write("{");
        assert!(matches!(LinearPreview::find(dir.path(), 2), Err(LoadError::Json { .. })));
    }
}
