//! Changing the size of an image with Lanczos' kernel of three lobes.
//!
//! `L(x) = sinc(x) sinc(x / 3)` for `|x| < 3` (Duchon 1979, doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2). Rows and
//! columns are resampled one after the other, in f32. To make an image smaller, the kernel is widened by the ratio of the
//! sizes, so that every source pixel counts. Weights are normalised, so a constant colour does not change.

use std::f64::consts::PI;

use crate::Rgb8;

/// Half the width of the kernel.
const LOBES: f64 = 3.0;
const CHANNELS: usize = 3;

impl Rgb8 {
    /// The image resampled to another size, at least 1 x 1. The same size returns the same pixels.
    #[must_use]
    pub fn resampled(&self, width_px: u32, height_px: u32) -> Self {
        if (width_px, height_px) == (self.width_px, self.height_px) {
            return self.clone();
        }
        let [from_width, from_height] = [self.width_px, self.height_px].map(|edge| edge as usize);
        let [to_width, to_height] = [width_px, height_px].map(|edge| edge as usize);
        let across = taps(from_width, to_width);
        let row_values = CHANNELS * to_width;
        let mut rows = vec![0.0_f32; row_values * from_height];
        for (row, source) in rows.chunks_exact_mut(row_values).zip(self.pixels.chunks_exact(CHANNELS * from_width)) {
            for (pixel, taps) in row.chunks_exact_mut(CHANNELS).zip(&across) {
                for (weight, source) in taps.weights.iter().zip(source.chunks_exact(CHANNELS).skip(taps.first)) {
                    for (sum, value) in pixel.iter_mut().zip(source) {
                        *sum += weight * f32::from(*value);
                    }
                }
            }
        }
        let mut pixels = Vec::with_capacity(row_values * to_height);
        let mut sums = vec![0.0_f32; row_values];
        for taps in taps(from_height, to_height) {
            sums.fill(0.0);
            for (weight, row) in taps.weights.iter().zip(rows.chunks_exact(row_values).skip(taps.first)) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += weight * value;
                }
            }
            pixels.extend(sums.iter().map(|sum| sum.round() as u8));
        }
        Self { width_px, height_px, pixels }
    }
}

/// The weights of neighbouring source values that make one target value.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The taps of every target value along an edge.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let ratio = from as f64 / to as f64;
    let widening = ratio.max(1.0);
    let reach = LOBES * widening;
    let along = |target: usize| {
        let centre = (target as f64 + 0.5) * ratio - 0.5;
        let first = (centre - reach).ceil().max(0.0) as usize;
        let last = ((centre + reach).floor() as usize).min(from - 1);
        let weights: Vec<f64> = (first..=last).map(|source| kernel((source as f64 - centre) / widening)).collect();
        let total: f64 = weights.iter().sum();
        Taps { first, weights: weights.into_iter().map(|weight| (weight / total) as f32).collect() }
    };
    (0..to).map(along).collect()
}

fn kernel(x: f64) -> f64 {
    if x == 0.0 {
        1.0
    } else if x.abs() < LOBES {
        let angle = PI * x;
        LOBES * angle.sin() * (angle / LOBES).sin() / (angle * angle)
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width_px: u32, height_px: u32) -> Rgb8 {
        let pixel = |x: u32, y: u32| [(2 * x) as u8, (3 * y) as u8, 90];
        let pixels = (0..height_px).flat_map(|y| (0..width_px).flat_map(move |x| pixel(x, y))).collect();
        Rgb8 { width_px, height_px, pixels }
    }

    #[test]
    fn its_own_size_changes_nothing_and_a_colour_stays() {
        let image = ramp(37, 21);
        assert_eq!(image.resampled(37, 21), image);
        for (width_px, height_px) in [(80, 9), (1, 1), (12, 64)] {
            let resized = image.resampled(width_px, height_px);
            assert_eq!(resized.pixels.len(), 3 * (width_px * height_px) as usize);
            assert!(resized.pixels.iter().skip(2).step_by(3).all(|blue| *blue == 90), "{width_px}x{height_px}");
        }
    }

    #[test]
    fn a_ramp_keeps_its_slope() {
        let enlarged = ramp(40, 40).resampled(80, 80);
        let reds: Vec<i32> =
            enlarged.pixels[3 * 80 * 40..][..3 * 80].iter().step_by(3).map(|red| (*red).into()).collect();
        // Pixel 2 i lies a quarter of a source pixel left of i, pixel 2 i + 1 a quarter right of it.
        for (x, red) in reds.iter().enumerate().skip(8).take(64) {
            let expected = 2.0 * ((x as f64 + 0.5) / 2.0 - 0.5);
            assert!((f64::from(*red) - expected).abs() <= 1.0, "{x}: {red}, not {expected}");
        }
    }

    #[test]
    fn a_smaller_image_is_the_mean_of_a_fine_pattern() {
        let pixels =
            (0..64 * 64).flat_map(|place| [if (place % 64 + place / 64) % 2 == 0 { 255 } else { 0 }; 3]).collect();
        let board = Rgb8 { width_px: 64, height_px: 64, pixels };
        let small = board.resampled(16, 16);
        assert!(small.pixels.iter().all(|value| value.abs_diff(128) <= 2), "{:?}", &small.pixels[..12]);
    }
}
