//! What happens to pictures on their way: blur, noise, block compression.

use crate::image::Image;
use crate::rng::Rng;

/// How a picture is spoilt before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Degradation {
    /// Passes of a 3x3 binomial blur.
    pub blur_passes: usize,
    /// Standard deviation of the noise added to each channel, of 255.
    pub noise: f32,
    /// Step to which the coefficients of 8x8 cosine transforms are rounded, as JPEG does; 0 leaves them alone. High
    /// frequencies get up to three times the step.
    pub quantization: f32,
}

impl Degradation {
    /// No change.
    pub const NONE: Self = Self { blur_passes: 0, noise: 0.0, quantization: 0.0 };
    /// About what a round trip through a small autoencoder does.
    pub const SLIGHT: Self = Self { blur_passes: 1, noise: 6.0, quantization: 12.0 };

    /// The spoilt picture.
    #[must_use]
    pub fn apply(&self, image: &Image, rng: &mut Rng) -> Image {
        let (width, height) = (image.width_px as usize, image.height_px as usize);
        let mut rgb: Vec<f32> = image.rgb.iter().map(|&value| f32::from(value)).collect();
        for _ in 0..self.blur_passes {
            rgb = blurred(&rgb, width, height);
        }
        if self.quantization > 0.0 {
            quantize(&mut rgb, width, height, self.quantization);
        }
        if self.noise > 0.0 {
            // Twelve uniform numbers less six are normally distributed closely enough.
            rgb.iter_mut().for_each(|value| *value += self.noise * ((0..12).map(|_| rng.unit()).sum::<f32>() - 6.0));
        }
        Image { rgb: rgb.into_iter().map(|value| value.round().clamp(0.0, 255.0) as u8).collect(), ..*image }
    }
}

fn blurred(rgb: &[f32], width: usize, height: usize) -> Vec<f32> {
    let at = |x: usize, y: usize, channel: usize| rgb[3 * (y * width + x) + channel];
    let mut out = vec![0.0; rgb.len()];
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)];
        for x in 0..width {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width - 1)];
            for channel in 0..3 {
                let line = |row: usize| {
                    at(columns[0], row, channel) + 2.0 * at(columns[1], row, channel) + at(columns[2], row, channel)
                };
                out[3 * (y * width + x) + channel] = (line(rows[0]) + 2.0 * line(rows[1]) + line(rows[2])) / 16.0;
            }
        }
    }
    out
}

fn quantize(rgb: &mut [f32], width: usize, height: usize, step: f32) {
    const N: usize = 8;
    let basis: [[f32; N]; N] = std::array::from_fn(|frequency| {
        std::array::from_fn(|x| {
            let scale = if frequency == 0 { (1.0 / N as f32).sqrt() } else { (2.0 / N as f32).sqrt() };
            scale * (std::f32::consts::PI * (x as f32 + 0.5) * frequency as f32 / N as f32).cos()
        })
    });
    for top in (0..height / N * N).step_by(N) {
        for left in (0..width / N * N).step_by(N) {
            for channel in 0..3 {
                let index = |x: usize, y: usize| 3 * ((top + y) * width + left + x) + channel;
                let mut block: [[f32; N]; N] = std::array::from_fn(|y| std::array::from_fn(|x| rgb[index(x, y)]));
                block = transform(&block, &basis, false);
                for (v, row) in block.iter_mut().enumerate() {
                    for (u, value) in row.iter_mut().enumerate() {
                        let step = step * (1.0 + 2.0 * (u + v) as f32 / 14.0);
                        *value = (*value / step).round() * step;
                    }
                }
                block = transform(&block, &basis, true);
                for (y, row) in block.iter().enumerate() {
                    for (x, &value) in row.iter().enumerate() {
                        rgb[index(x, y)] = value;
                    }
                }
            }
        }
    }
}

/// The two-dimensional cosine transform of a block, or its inverse.
fn transform(block: &[[f32; 8]; 8], basis: &[[f32; 8]; 8], is_inverse: bool) -> [[f32; 8]; 8] {
    let weight =
        |frequency: usize, place: usize| if is_inverse { basis[place][frequency] } else { basis[frequency][place] };
    let rows: [[f32; 8]; 8] =
        std::array::from_fn(|y| std::array::from_fn(|u| (0..8).map(|x| block[y][x] * weight(u, x)).sum()));
    std::array::from_fn(|v| std::array::from_fn(|u| (0..8).map(|y| rows[y][u] * weight(v, y)).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Image {
        let rgb = (0..16 * 16 * 3).map(|index| ((index * 7) % 256) as u8).collect();
        Image { width_px: 16, height_px: 16, rgb }
    }

    #[test]
    fn without_any_step_nothing_changes() {
        assert_eq!(Degradation::NONE.apply(&ramp(), &mut Rng::new(1)), ramp());
    }

    #[test]
    fn a_tiny_quantization_changes_next_to_nothing() {
        let fine = Degradation { quantization: 0.01, ..Degradation::NONE };
        assert_eq!(fine.apply(&ramp(), &mut Rng::new(1)), ramp());
        let coarse = Degradation { quantization: 60.0, ..Degradation::NONE };
        assert_ne!(coarse.apply(&ramp(), &mut Rng::new(1)), ramp());
    }

    #[test]
    fn noise_has_the_spread_that_was_asked_for() {
        let grey = Image { width_px: 64, height_px: 64, rgb: vec![128; 64 * 64 * 3] };
        let noisy = Degradation { noise: 10.0, ..Degradation::NONE }.apply(&grey, &mut Rng::new(5));
        let variance =
            noisy.rgb.iter().map(|&value| (f32::from(value) - 128.0).powi(2)).sum::<f32>() / noisy.rgb.len() as f32;
        assert!((variance.sqrt() - 10.0).abs() < 0.5, "{}", variance.sqrt());
    }
}
