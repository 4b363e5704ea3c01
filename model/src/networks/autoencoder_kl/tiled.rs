//! Decoding and encoding large images in overlapping tiles, so that memory does not grow with the image.
//!
//! A group norm uses the statistics of its whole input, so a tile is slightly lighter or darker than the same part of
//! the whole image. Neighbouring tiles overlap and are blended across the overlap, so a difference is spread over many
//! pixels and shows no edge. As in diffusers' `tiled_decode`, but every pixel is the mean of all tiles that cover it,
//! weighted by the distance to their edges.

use std::ops::Range;

use burn::tensor::{DType, Tensor};

/// How an image is divided into tiles, in latents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiling {
    /// Images of more latents are decoded in tiles.
    pub whole_max: usize,
    /// Longest edge of a tile.
    pub tile: usize,
    /// The least overlap of neighbours.
    pub overlap: usize,
}

impl Tiling {
    /// Of the published model: images of up to 1536 x 1536 pixels whole, larger ones in tiles of 1024 x 1024 of which
    /// 256 pixels overlap.
    pub const DEFAULT: Self = Self { whole_max: 192 * 192, tile: 128, overlap: 32 };

    /// Whether an image of these latents is decoded in tiles.
    pub fn cuts(&self, height: usize, width: usize) -> bool {
        height * width > self.whole_max
    }

    /// The tiles along an edge: as few as possible, of equal length, spread evenly.
    fn along(&self, edge: usize) -> Vec<Range<usize>> {
        let tile = edge.min(self.tile);
        let room = edge - tile;
        let steps = room.div_ceil(self.tile - self.overlap);
        let start = |i: usize| (room * i).checked_div(steps).unwrap_or(0);
        (0..=steps).map(|i| start(i)..start(i) + tile).collect()
    }
}

/// Weights of a tile's pixels along an edge: a ramp over the overlap with the previous and with the next tile.
fn ramp(tiles: &[Range<usize>], at: usize, factor: usize) -> Vec<f32> {
    let tile = &tiles[at];
    let shared = |first: &Range<usize>, second: &Range<usize>| (first.end - second.start) * factor;
    let before = if at > 0 { shared(&tiles[at - 1], tile) } else { 0 };
    let behind = tiles.get(at + 1).map_or(0, |next| shared(tile, next));
    let length = tile.len() * factor;
    let weight = |pixel: usize| {
        let rise = if pixel < before { (pixel as f32 + 0.5) / before as f32 } else { 1.0 };
        let left = length - 1 - pixel;
        let fall = if left < behind { (left as f32 + 0.5) / behind as f32 } else { 1.0 };
        rise.min(fall)
    };
    (0..length).map(weight).collect()
}

/// Values along an edge for each latent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scale {
    /// Of what is cut into tiles.
    pub tile: usize,
    /// Of what each tile becomes.
    pub result: usize,
}

/// Cuts `input` into tiles, applies `work` to each, and blends the results in f32: `[B, C, tile H, tile W]` to
/// `[B, D, result H, result W]`.
pub(crate) fn apply(
    input: &Tensor<4>,
    tiling: &Tiling,
    scale: Scale,
    work: impl Fn(Tensor<4>) -> Tensor<4>,
) -> Tensor<4> {
    let [batch, channels, height, width] = input.dims();
    let [height, width] = [height, width].map(|edge| edge / scale.tile);
    let device = input.device();
    let (rows, columns) = (tiling.along(height), tiling.along(width));
    let factor = scale.result;
    let mut sum: Option<Tensor<4>> = None;
    let mut total = Tensor::<4>::zeros([1, 1, height * factor, width * factor], (&device, DType::F32));
    let vector = |values: Vec<f32>| Tensor::<1>::from_data(values.as_slice(), (&device, DType::F32));
    for (i, row) in rows.iter().enumerate() {
        for (j, column) in columns.iter().enumerate() {
            let cut = |range: &Range<usize>| range.start * scale.tile..range.end * scale.tile;
            let tile = input.clone().slice([0..batch, 0..channels, cut(row), cut(column)]);
            let down = vector(ramp(&rows, i, factor)).reshape([1, 1, -1, 1]);
            let across = vector(ramp(&columns, j, factor)).reshape([1, 1, 1, -1]);
            let weight: Tensor<4> = down * across;
            let place = |channels: usize, batch: usize| {
                let pixels = |range: &Range<usize>| range.start * factor..range.end * factor;
                [0..batch, 0..channels, pixels(row), pixels(column)]
            };
            let result = work(tile).cast(DType::F32) * weight.clone();
            let depth = result.dims()[1];
            let zeros = || Tensor::zeros([batch, depth, height * factor, width * factor], (&device, DType::F32));
            let all = sum.unwrap_or_else(zeros);
            let before = all.clone().slice(place(depth, batch));
            sum = Some(all.slice_assign(place(depth, batch), before + result));
            let before = total.clone().slice(place(1, 1));
            total = total.slice_assign(place(1, 1), before + weight);
        }
    }
    // An edge has at least one tile.
    sum.map_or_else(|| input.clone(), |sum| sum / total)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const TILING: Tiling = Tiling { whole_max: 64, tile: 8, overlap: 2 };

    #[test]
    fn tiles_cover_an_edge_evenly() {
        assert_eq!(TILING.along(8), std::slice::from_ref(&(0..8)));
        assert_eq!(TILING.along(9), [0..8, 1..9]);
        assert_eq!(TILING.along(14), [0..8, 6..14]);
        assert_eq!(TILING.along(15), [0..8, 3..11, 7..15]);
        for edge in 8..100 {
            let tiles = TILING.along(edge);
            assert_eq!((tiles[0].start, tiles[tiles.len() - 1].end), (0, edge));
            assert!(tiles.windows(2).all(|pair| pair[0].end >= pair[1].start + TILING.overlap), "{edge}: {tiles:?}");
        }
    }

    #[test]
    fn only_large_images_are_cut() {
        assert!(!Tiling::DEFAULT.cuts(128, 128) && !Tiling::DEFAULT.cuts(192, 192));
        assert!(Tiling::DEFAULT.cuts(256, 256) && Tiling::DEFAULT.cuts(64, 1024));
    }

    /// A pointwise decoder gives the same image with and without tiles.
    #[test]
    fn tiles_put_together_are_the_image() {
        let device = Device::flex();
        let values: Vec<f32> = (0..2 * 3 * 13 * 19).map(|i| (i as f32 * 0.37).sin()).collect();
        let latents = Tensor::<1>::from_data(values.as_slice(), &device).reshape([2, 3, 13, 19]);
        let enlarge = |x: Tensor<4>| crate::nn::ops::upsample_nearest_2x(x);
        let [tiled, whole] = [apply(&latents, &TILING, Scale { tile: 1, result: 2 }, enlarge), enlarge(latents)];
        assert_eq!(tiled.dims(), [2, 3, 26, 38]);
        let difference: f32 = (tiled - whole).abs().max().into_scalar();
        assert!(difference < 1e-6, "{difference}");
        let shrink = |x: Tensor<4>| {
            let [batch, channels, height, width] = x.dims();
            x.reshape([batch * channels, height / 2, 2, width / 2, 2]).narrow(2, 0, 1).narrow(4, 0, 1).reshape([
                batch,
                channels,
                height / 2,
                width / 2,
            ])
        };
        let image = enlarge(Tensor::<1>::from_data(values.as_slice(), &device).reshape([2, 3, 13, 19]));
        let [tiled, whole] = [apply(&image, &TILING, Scale { tile: 2, result: 1 }, shrink), shrink(image)];
        let difference: f32 = (tiled - whole).abs().max().into_scalar();
        assert!(difference < 1e-6, "{difference}");
    }

    /// Tiles that differ as a whole, as group norms make them, leave no edge: the step from a pixel to the next is the
    /// difference spread over the overlap.
    #[test]
    fn a_difference_between_tiles_is_spread_over_the_overlap() {
        let latents = Tensor::<4>::zeros([1, 3, 8, 14], (&Device::flex(), DType::F32));
        let calls = std::cell::Cell::new(0.0_f32);
        let tiled = apply(&latents, &TILING, Scale { tile: 1, result: 8 }, |tile| {
            calls.set(calls.get() + 1.0);
            crate::nn::ops::upsample_nearest_2x(crate::nn::ops::upsample_nearest_2x(
                crate::nn::ops::upsample_nearest_2x(tile),
            ))
            .add_scalar(calls.get())
        });
        let row: Vec<f32> = tiled.slice([0..1, 0..1, 0..1, 0..112]).try_into_vec_as().unwrap();
        assert_eq!((row[0], row[111]), (1.0, 2.0));
        let step = row.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 1.5 / 16.0, "{step}");
    }
}
