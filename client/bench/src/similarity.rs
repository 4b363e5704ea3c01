//! How alike two pictures are: PSNR and multi-scale structural similarity. [`crate::flip`] has FLIP.

use crate::planes::{Plane, normalised};

/// The PSNR of equal pictures in decibels, in place of infinity.
pub const PSNR_MAX_DB: f64 = 100.0;
/// Standard deviation and half the width of the window of SSIM.
const WINDOW: (f64, usize) = (1.5, 5);
/// Weights of the scales, the finest first (Wang, Simoncelli and Bovik 2003).
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
/// Constants against division by zero, for values from 0 to 1.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Peak signal-to-noise ratio over all values of two pictures of one size, in decibels.
pub fn psnr_db(a: &[u8], b: &[u8]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let mean = squares / a.len().max(1) as f64;
    if mean == 0.0 { PSNR_MAX_DB } else { (10.0 * (255.0 * 255.0 / mean).log10()).min(PSNR_MAX_DB) }
}

/// Multi-scale structural similarity of the luma of two pictures `[height, width, 3]` of one size. Pictures that are too small for
/// five scales are compared at fewer, with the weights of those.
pub fn ms_ssim(a: &[u8], b: &[u8], width: usize) -> f64 {
    let (mut a, mut b) = (luma(a, width), luma(b, width));
    let span = 2 * WINDOW.1 + 1;
    let scales = (0..WEIGHTS.len()).take_while(|scale| (a.width.min(a.height) >> scale) >= span).count().max(1);
    let total: f64 = WEIGHTS[..scales].iter().sum();
    let mut product = 1.0;
    for (scale, weight) in WEIGHTS[..scales].iter().enumerate() {
        let (luminance, structure) = ssim(&a, &b);
        let value = if scale + 1 == scales { luminance * structure } else { structure };
        product *= value.max(0.0).powf(weight / total);
        (a, b) = (a.halved(), b.halved());
    }
    product
}

/// The means of the luminance term, and of contrast and structure.
fn ssim(a: &Plane, b: &Plane) -> (f64, f64) {
    let (deviation, radius) = WINDOW;
    let kernel: Vec<f64> = (0..=2 * radius)
        .map(|place| (-(place as f64 - radius as f64).powi(2) / (2.0 * deviation * deviation)).exp())
        .collect();
    let kernel = normalised(&kernel);
    let blurred = |plane: &Plane| plane.filtered(&kernel, &kernel);
    let product = |x: &Plane, y: &Plane| x.combined(y, |x, y| x * y);
    let (mean_a, mean_b) = (blurred(a), blurred(b));
    let [square_a, square_b, cross] = [(a, a), (b, b), (a, b)].map(|(x, y)| blurred(&product(x, y)));
    let (mut luminance, mut structure) = (0.0, 0.0);
    for at in 0..mean_a.values.len() {
        let (x, y) = (mean_a.values[at], mean_b.values[at]);
        let (xx, yy, xy) = (square_a.values[at] - x * x, square_b.values[at] - y * y, cross.values[at] - x * y);
        luminance += (2.0 * x * y + C1) / (x * x + y * y + C1);
        structure += (2.0 * xy + C2) / (xx + yy + C2);
    }
    let count = mean_a.values.len().max(1) as f64;
    (luminance / count, structure / count)
}

/// Luma by ITU-R BT.601, 0 to 1.
fn luma(rgb: &[u8], width: usize) -> Plane {
    let value = |[r, g, b]: &[u8; 3]| (0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b)) / 255.0;
    Plane::of(rgb.as_chunks::<3>().0.iter().map(value).collect(), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of stripes with some noise.
    fn picture(edge: usize, noise: u8) -> Vec<u8> {
        let mut state = 1_u32;
        let value = |place: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let stripe = if (place / 24).is_multiple_of(2) { 60 } else { 180 };
            stripe + ((state >> 24) as u8 % (noise + 1))
        };
        (0..3 * edge * edge).map(value).collect()
    }

    #[test]
    fn equal_pictures_are_alike() {
        let one = picture(96, 9);
        assert_eq!(psnr_db(&one, &one), PSNR_MAX_DB);
        assert!((ms_ssim(&one, &one, 96) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_known_error_has_a_known_ratio() {
        let (a, b) = (vec![100; 300], vec![110; 300]);
        assert!((psnr_db(&a, &b) - 20.0 * (25.5_f64).log10()).abs() < 1e-9);
    }

    #[test]
    fn more_noise_is_less_alike() {
        let clean = picture(96, 0);
        let [little, much] = [8, 60].map(|noise| picture(96, noise));
        let (near, far) = (ms_ssim(&clean, &little, 96), ms_ssim(&clean, &much, 96));
        assert!(1.0 > near && near > far && far > 0.0, "{near} {far}");
    }
}
