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

use burn::tensor::{DType, Tensor, TensorData};
use serde::Deserialize;

use crate::error::{ConfigError, LoadError};

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
        let bytes = std::fs::read(&path).map_err(|source| LoadError::read(&path, source))?;
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

    /// Draws a batch.
    ///
    /// # Shapes
    ///
    /// - latents: `[batch, channels, height, width]` in the model's scale
    /// - output: `[batch, 3, height, width]`, nominally in 0..1
    pub fn draw(&self, latents: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = latents.dims();
        let options = (&latents.device(), DType::F32);
        let weights = Tensor::<2>::from_data(TensorData::new(self.weights.concat(), [channels, 3]), options);
        let bias = Tensor::<1>::from_data(TensorData::new(self.bias.to_vec(), [3]), options);
        let pixels = latents.cast(DType::F32).permute([0, 2, 3, 1]).reshape([batch * height * width, channels]);
        let colours = pixels.matmul(weights).add(bias.unsqueeze());
        colours.reshape([batch, height, width, 3]).permute([0, 3, 1, 2])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn zeros_give_the_bias_and_a_channel_its_row() {
        let mut values = vec![0.0f32; 16 * 2];
        values[3 * 2 + 1] = 2.0;
        let latents = Tensor::from_data(TensorData::new(values, [1, 16, 1, 2]), &Device::flex());
        let drawn: Vec<f32> = LinearPreview::flux().draw(latents).try_into_vec_as().expect("f32 on the CPU");
        for colour in 0..3 {
            assert!((drawn[2 * colour] - FLUX_BIAS[colour]).abs() < 1e-6);
            assert!((drawn[2 * colour + 1] - FLUX_BIAS[colour] - 2.0 * FLUX_WEIGHTS[3][colour]).abs() < 1e-6);
        }
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
