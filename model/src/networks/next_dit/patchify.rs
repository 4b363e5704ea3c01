//! Latents to patch vectors and back.

use burn::tensor::Tensor;

/// Cuts latents into patches: tokens row by row, and within a patch row, column, channel with the channel fastest.
///
/// # Shapes
///
/// - latents: `[batch, channels, height, width]`, both edges multiples of `patch`
/// - output: `[batch, (height / patch) (width / patch), patch * patch * channels]`
pub fn patchify(latents: Tensor<4>, patch: usize) -> Tensor<3> {
    let [batch, channels, height, width] = latents.dims();
    let (rows, columns) = (height / patch, width / patch);
    latents.reshape([batch, channels, rows, patch, columns, patch]).permute([0, 2, 4, 3, 5, 1]).reshape([
        batch,
        rows * columns,
        patch * patch * channels,
    ])
}

/// The inverse of [`patchify`] for an image of `grid = [rows, columns]` patches.
///
/// # Shapes
///
/// - tokens: `[batch, rows * columns, patch * patch * channels]`
/// - output: `[batch, channels, rows * patch, columns * patch]`
pub fn unpatchify(tokens: Tensor<3>, grid: [usize; 2], patch: usize) -> Tensor<4> {
    let [batch, _, width] = tokens.dims();
    let [rows, columns] = grid;
    let channels = width / (patch * patch);
    tokens.reshape([batch, rows, columns, patch, patch, channels]).permute([0, 5, 1, 3, 2, 4]).reshape([
        batch,
        channels,
        rows * patch,
        columns * patch,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn the_order_within_a_patch_is_row_column_channel() {
        // Value = 100 channel + 10 row + column.
        let values: Vec<f32> = (0..3 * 2 * 4).map(|i| (100 * (i / 8) + 10 * (i / 4 % 2) + i % 4) as f32).collect();
        let latents = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 4]), &Device::flex());
        let tokens = patchify(latents.clone(), 2);
        assert_eq!(tokens.dims(), [1, 2, 12]);
        let second: Vec<f32> = tokens.clone().narrow(1, 1, 1).try_into_vec_as().expect("f32 on the CPU");
        assert_eq!(second, [2., 102., 202., 3., 103., 203., 12., 112., 212., 13., 113., 213.]);
        assert_eq!(unpatchify(tokens, [1, 2], 2).into_data(), latents.into_data());
    }
}
