//! FLIP for pictures of low dynamic range: Andersson et al. 2020, "FLIP: A Difference Evaluator for Alternating Images"
//! (<https://doi.org/10.1145/3406183>), with the viewing conditions of the paper.

use std::f64::consts::PI;

use crate::planes::{Plane, normalised};

/// Pixels a degree of the field of view: a monitor 0.7 m wide with 3840 pixels, seen from 0.7 m.
const PIXELS_PER_DEGREE: f64 = 67.02;
/// Contrast sensitivity: `a1 exp(-b1 f^2) + a2 exp(-b2 f^2)` in the frequency domain, of luminance, red to green, and blue to
/// yellow.
const SENSITIVITY: [[(f64, f64); 2]; 3] =
    [[(1.0, 0.0047), (0.0, 1e-5)], [(1.0, 0.0053), (0.0, 1e-5)], [(34.1, 0.04), (13.5, 0.025)]];
/// The exponent of colour differences, and the ends of their mapping to 0 to 1.
const COLOUR_EXPONENT: f64 = 0.7;
const COLOUR_KNEE: f64 = 0.4;
const COLOUR_KNEE_VALUE: f64 = 0.95;
/// The exponent of feature differences, and the width of the detectors in degrees.
const FEATURE_EXPONENT: f64 = 0.5;
const FEATURE_WIDTH: f64 = 0.082;
/// The white of the colour spaces.
const WHITE: [f64; 3] = [0.950_428_545, 1.0, 1.088_900_371];

/// The mean error of two pictures `[height, width, 3]` in sRGB, 0 for equal ones to 1.
pub fn flip(reference: &[u8], test: &[u8], width: usize) -> f64 {
    let (reference, test) = (opponents(reference, width), opponents(test, width));
    let colours = colour_difference(&filtered(&reference), &filtered(&test));
    let features = feature_difference(&reference[0], &test[0]);
    let both = colours.combined(&features, |colour, feature| colour.powf(1.0 - feature));
    both.values.iter().sum::<f64>() / both.values.len().max(1) as f64
}

/// Luminance and the two opponent colours, linear: the space of the filters.
fn opponents(rgb: &[u8], width: usize) -> [Plane; 3] {
    let pixels: Vec<[f64; 3]> = rgb
        .as_chunks::<3>()
        .0
        .iter()
        .map(|pixel| {
            let [x, y, z] = xyz(pixel.map(|value| linear(f64::from(value) / 255.0)));
            let [x, y, z] = [x / WHITE[0], y / WHITE[1], z / WHITE[2]];
            [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
        })
        .collect();
    [0, 1, 2].map(|channel| Plane::of(pixels.iter().map(|pixel| pixel[channel]).collect(), width))
}

/// Each channel, blurred as by the eye. A filter is a sum of two Gaussians, each of which is separable.
fn filtered(planes: &[Plane; 3]) -> [Plane; 3] {
    let widest = SENSITIVITY.iter().flatten().map(|(_, b)| *b).fold(0.0, f64::max);
    let radius = (3.0 * (widest / (2.0 * PI * PI)).sqrt() * PIXELS_PER_DEGREE).ceil() as isize;
    [0, 1, 2].map(|channel| {
        let plane = &planes[channel];
        let parts = SENSITIVITY[channel].iter().filter(|(a, _)| *a > 0.0).map(|&(a, b)| {
            let line: Vec<f64> =
                (-radius..=radius).map(|x| (-PI * PI * (x as f64 / PIXELS_PER_DEGREE).powi(2) / b).exp()).collect();
            let sum: f64 = line.iter().sum();
            // Its share of the whole filter, whose sum is 1.
            let weight = a * (PI / b).sqrt() * sum * sum;
            let line = normalised(&line);
            (weight, plane.filtered(&line, &line))
        });
        let parts: Vec<(f64, Plane)> = parts.collect();
        let total: f64 = parts.iter().map(|(weight, _)| weight).sum();
        let zero = plane.mapped(|_| 0.0);
        parts.iter().fold(zero, |sum, (weight, part)| sum.combined(part, |a, b| a + weight / total * b))
    })
}

/// The perceived difference of colours, 0 to 1.
fn colour_difference(reference: &[Plane; 3], test: &[Plane; 3]) -> Plane {
    let lab = |planes: &[Plane; 3], at: usize| {
        let [y, cx, cz] = [0, 1, 2].map(|channel| planes[channel].values[at]);
        let y = (y + 16.0) / 116.0;
        let rgb = rgb_of([(cx / 500.0 + y) * WHITE[0], y * WHITE[1], (y - cz / 200.0) * WHITE[2]]);
        hunt(xyz(rgb.map(|value| value.clamp(0.0, 1.0))))
    };
    let largest = distance(hunt(xyz([0.0, 1.0, 0.0])), hunt(xyz([0.0, 0.0, 1.0])));
    let knee = COLOUR_KNEE * largest;
    let value = |at: usize| match distance(lab(reference, at), lab(test, at)) {
        below if below < knee => below * COLOUR_KNEE_VALUE / knee,
        above => COLOUR_KNEE_VALUE + (above - knee) / (largest - knee) * (1.0 - COLOUR_KNEE_VALUE),
    };
    Plane { values: (0..reference[0].values.len()).map(value).collect(), ..reference[0] }
}

/// The difference of edges and points, 0 to 1.
fn feature_difference(reference: &Plane, test: &Plane) -> Plane {
    let deviation = 0.5 * FEATURE_WIDTH * PIXELS_PER_DEGREE;
    let radius = (3.0 * deviation).ceil() as isize;
    let gaussian = |x: isize| (-(x as f64).powi(2) / (2.0 * deviation * deviation)).exp();
    let line = |f: &dyn Fn(isize) -> f64| (-radius..=radius).map(f).collect::<Vec<f64>>();
    let blur = normalised(&line(&gaussian));
    let edge = normalised(&line(&|x| -(x as f64) * gaussian(x)));
    let point = normalised(&line(&|x| ((x as f64 / deviation).powi(2) - 1.0) * gaussian(x)));
    let strength = |plane: &Plane, detector: &[f64]| {
        let grey = plane.mapped(|y| (y + 16.0) / 116.0);
        let [x, y] = [grey.filtered(detector, &blur), grey.filtered(&blur, detector)];
        x.combined(&y, f64::hypot)
    };
    let difference =
        |detector: &[f64]| strength(reference, detector).combined(&strength(test, detector), |a, b| (a - b).abs());
    let largest = difference(&edge).combined(&difference(&point), f64::max);
    largest.mapped(|value| (value / 2.0_f64.sqrt()).powf(FEATURE_EXPONENT).min(1.0))
}

/// Lab with chroma scaled by lightness (Hunt effect).
fn hunt(xyz: [f64; 3]) -> [f64; 3] {
    let delta = 6.0_f64 / 29.0;
    let f = |value: f64| {
        if value > delta.powi(3) { value.cbrt() } else { value / (3.0 * delta * delta) + 4.0 / 29.0 }
    };
    let [x, y, z] = [0, 1, 2].map(|channel| f(xyz[channel] / WHITE[channel]));
    let lightness = 116.0 * y - 16.0;
    [lightness, 0.01 * lightness * 500.0 * (x - y), 0.01 * lightness * 200.0 * (y - z)]
}

/// The HyAB distance with its exponent.
fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    ((a[0] - b[0]).abs() + f64::hypot(a[1] - b[1], a[2] - b[2])).powf(COLOUR_EXPONENT)
}

/// A value of sRGB, linear.
fn linear(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// From linear RGB with the primaries of sRGB.
fn xyz([r, g, b]: [f64; 3]) -> [f64; 3] {
    [
        0.412_390_80 * r + 0.357_584_34 * g + 0.180_480_79 * b,
        0.212_639_01 * r + 0.715_168_68 * g + 0.072_192_32 * b,
        0.019_330_82 * r + 0.119_194_78 * g + 0.950_532_15 * b,
    ]
}

/// The inverse of [`xyz`].
fn rgb_of([x, y, z]: [f64; 3]) -> [f64; 3] {
    [
        3.240_969_94 * x - 1.537_383_18 * y - 0.498_610_76 * z,
        -0.969_243_64 * x + 1.875_967_50 * y + 0.041_555_06 * z,
        0.055_630_08 * x - 0.203_976_96 * y + 1.056_971_51 * z,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(rgb: [u8; 3]) -> Vec<u8> {
        rgb.repeat(32 * 32)
    }

    #[test]
    fn equal_pictures_have_no_error_and_opposites_the_largest() {
        let grey = plain([128; 3]);
        assert!(flip(&grey, &grey, 32) < 1e-9);
        // The mapping is made for these two.
        let [green, blue] = [[0, 255, 0], [0, 0, 255]].map(plain);
        assert!((flip(&green, &blue, 32) - 1.0).abs() < 1e-2, "{}", flip(&green, &blue, 32));
    }

    #[test]
    fn white_is_without_colour() {
        let [x, y, z] = xyz([1.0; 3]);
        assert!((x - WHITE[0]).abs() < 1e-4 && (y - 1.0).abs() < 1e-6 && (z - WHITE[2]).abs() < 1e-3);
        for (found, expected) in rgb_of(xyz([0.2, 0.5, 0.9])).into_iter().zip([0.2, 0.5, 0.9]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn a_larger_difference_is_a_larger_error_and_an_edge_adds_to_it() {
        let [grey, near, far] = [[128; 3], [132; 3], [170; 3]].map(plain);
        let [small, large] = [&near, &far].map(|other| flip(&grey, other, 32));
        assert!(0.0 < small && small < large && large < 1.0, "{small} {large}");
        let mut edge = grey.clone();
        for row in edge.chunks_mut(96) {
            row[48..].fill(132);
        }
        // Half of the pixels differ, and where they begin to is seen.
        assert!(flip(&grey, &edge, 32) > 0.5 * small);
    }
}
