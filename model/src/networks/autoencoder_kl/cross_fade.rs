//! Decoding in tiles as diffusers does it, for images that have to equal that library's.
//!
//! After `AutoencoderKL.tiled_decode` of diffusers: tiles begin at multiples of the step, neighbours are faded into each other
//! linearly, first from above and then from the left, and each tile is cut to what the next one does not cover. Group norms
//! and attention see one tile only, so the image differs from one that is decoded whole. [`Tiling`](super::Tiling) has
//! less visible seams and is what this crate uses by itself.

use burn::tensor::Tensor;

/// The tiles and how far they fade into each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossFade {
    /// Edge of a tile in latents.
    pub tile_latents: usize,
    /// Edge of a tile in pixels.
    pub tile_px: usize,
    /// The share of a tile's edge that neighbours have in common, from 0 to less than 1.
    pub overlap: f64,
}

impl CrossFade {
    /// Latents `[B, C, H, W]` to `[B, 3, factor H, factor W]`; `decode` does one tile.
    pub(super) fn decode(&self, latents: &Tensor<4>, decode: impl Fn(Tensor<4>) -> Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = latents.dims();
        let step = ((self.tile_latents as f64 * (1.0 - self.overlap)) as usize).max(1);
        let fade = (self.tile_px as f64 * self.overlap) as usize;
        let kept = self.tile_px - fade;
        let mut rows: Vec<Tensor<4>> = Vec::new();
        let mut above: Vec<Tensor<4>> = Vec::new();
        for top in (0..height).step_by(step) {
            let bottom = (top + self.tile_latents).min(height);
            let mut row: Vec<Tensor<4>> = Vec::new();
            for (column, left) in (0..width).step_by(step).enumerate() {
                let right = (left + self.tile_latents).min(width);
                let mut tile = decode(latents.clone().slice([0..batch, 0..channels, top..bottom, left..right]));
                if let Some(before) = above.get(column) {
                    tile = faded(before, tile, 2, fade);
                }
                if let Some(before) = row.last() {
                    tile = faded(before, tile, 3, fade);
                }
                row.push(tile);
            }
            let cut = row.iter().map(|tile| {
                let [_, _, height, width] = tile.dims();
                tile.clone().narrow(2, 0, height.min(kept)).narrow(3, 0, width.min(kept))
            });
            rows.push(Tensor::cat(cut.collect(), 3));
            above = row;
        }
        Tensor::cat(rows, 2)
    }
}

/// `tile` whose first `length` rows (axis 2) or columns (axis 3) fade over from the last ones of `before`.
fn faded(before: &Tensor<4>, tile: Tensor<4>, axis: usize, length: usize) -> Tensor<4> {
    let (end, size) = (before.dims()[axis], tile.dims()[axis]);
    let length = length.min(end).min(size);
    if length == 0 {
        return tile;
    }
    let weights: Vec<f32> = (0..length).map(|i| i as f32 / length as f32).collect();
    let mut shape = [1; 4];
    shape[axis] = length;
    let weights = Tensor::<1>::from_data(weights.as_slice(), &tile.device()).cast(tile.dtype()).reshape(shape);
    let from = before.clone().narrow(axis, end - length, length);
    let to = tile.clone().narrow(axis, 0, length);
    let seam = from.clone() + (to - from) * weights;
    if length == size {
        return seam;
    }
    Tensor::cat(vec![seam, tile.narrow(axis, length, size - length)], axis)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    #[test]
    fn neighbours_fade_linearly_and_the_size_is_kept() {
        let tiles = CrossFade { tile_latents: 4, tile_px: 8, overlap: 0.5 };
        let latents = Tensor::<4>::zeros([1, 3, 3, 6], (&Device::flex(), DType::F32));
        let calls = std::cell::Cell::new(0.0_f32);
        let image = tiles.decode(&latents, |tile| {
            calls.set(calls.get() + 1.0);
            crate::nn::ops::upsample_nearest_2x(tile).add_scalar(calls.get())
        });
        assert_eq!(image.dims(), [1, 3, 6, 12]);
        let row: Vec<f32> = image.slice([0..1, 0..1, 0..1, 0..12]).try_into_vec_as().unwrap();
        assert_eq!(row, [1.0, 1.0, 1.0, 1.0, 1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75]);
    }
}
