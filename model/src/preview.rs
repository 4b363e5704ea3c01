//! Linear previews: a map from latent channels to RGB, with one pixel for each latent position.
//!
//! The map belongs to the latent space, not to the network: a family brings that of its published autoencoder. A checkpoint in
//! another latent space brings its own in `preview_decoder/linear.json`:
//! `{"weights": [[r, g, b], ... one per channel], "bias": [r, g, b]}`, giving RGB in 0..1.

use std::path::Path;

use burn::tensor::{DType, Tensor, TensorReadError};
use sakuga_model_core::Rgb8;
use serde::Deserialize;

use crate::bounded::{CONFIG_BYTES_MAX, read_bounded};
use crate::error::{ConfigError, LoadError};
use crate::pixels::level;

/// The map of a published latent space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownSpace {
    /// RGB for each latent channel.
    pub weights: &'static [[f32; 3]],
    /// RGB of latents that are all zero.
    pub bias: [f32; 3],
}

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
    /// The checkpoint's own map, `linear.json` in `dir`, or else that of the family. For latents of another number of channels
    /// and without a file, the first three channels become red, green and blue.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or does not hold one RGB triple per channel.
    pub(crate) fn find(dir: &Path, channels: usize, known: KnownSpace) -> Result<Self, LoadError> {
        let path = dir.join("linear.json");
        if !path.exists() {
            return Ok(if channels == known.weights.len() { known.into() } else { Self::first_three(channels) });
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

impl From<KnownSpace> for LinearPreview {
    fn from(known: KnownSpace) -> Self {
        Self { weights: known.weights.to_vec(), bias: known.bias }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const SPACE: KnownSpace = KnownSpace {
        weights: &[[0.1, 0.2, 0.3], [0.0, -0.1, 0.05], [0.02, 0.0, -0.3], [-0.2, 0.1, 0.0]],
        bias: [0.5, 0.4, 0.3],
    };

    #[test]
    fn zeros_give_the_bias_and_a_channel_its_row() {
        let mut values = vec![0.0f32; 4 * 2];
        values[3 * 2 + 1] = 2.0;
        let latents = Tensor::from_data(TensorData::new(values, [1, 4, 1, 2]), &Device::flex());
        let drawn = LinearPreview::from(SPACE).draw(latents).expect("the CPU does not fail");
        assert_eq!((drawn.len(), drawn[0].width_px, drawn[0].height_px), (1, 2, 1));
        let level = |value: f32| (value * 255.0).round() as u8;
        assert_eq!(drawn[0].pixels[..3], SPACE.bias.map(level));
        let moved: [f32; 3] = std::array::from_fn(|colour| SPACE.bias[colour] + 2.0 * SPACE.weights[3][colour]);
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
        let find = |channels| LinearPreview::find(dir.path(), channels, SPACE);
        assert_eq!(find(4).expect("built in"), SPACE.into());
        assert_eq!(find(5).expect("any number of channels"), LinearPreview::first_three(5));
        let write = |text: &str| std::fs::write(dir.path().join("linear.json"), text).expect("writable");
        write(r#"{"weights": [[1, 0, 0], [0, 1, 0]], "bias": [0, 0, 0.5]}"#);
        assert_eq!(find(2).expect("fits").bias, [0.0, 0.0, 0.5]);
        assert!(matches!(find(16), Err(LoadError::Config { .. })));
        write("{");
        assert!(matches!(find(2), Err(LoadError::Json { .. })));
    }
}
