//! Philox4x32-10: a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! Every output is a pure function of a 64-bit key and a 128-bit counter, so any element of any tensor can be drawn
//! on its own, in any order and on any number of threads, and is always the same.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// Four 32-bit words for one counter under one key.
pub(crate) fn philox4x32(key: [u32; 2], counter: [u32; 4]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let (high0, low0) = multiply(MULTIPLIERS[0], c0);
        let (high1, low1) = multiply(MULTIPLIERS[1], c2);
        (c0, c1, c2, c3) = (high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

fn multiply(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// Four standard normal numbers for one counter: Box–Muller on the pairs (0, 1) and (2, 3), in `f64`.
///
/// A word `w` becomes the uniform number `(w + 0.5) / 2^32`, which is never 0 or 1. The first word of a pair gives the
/// radius, the second the angle; the cosine comes first.
pub(crate) fn normal4(key: [u32; 2], counter: [u32; 4]) -> [f64; 4] {
    let words = philox4x32(key, counter);
    let [a, b] = box_muller(words[0], words[1]);
    let [c, d] = box_muller(words[2], words[3]);
    [a, b, c, d]
}

fn box_muller(radius: u32, angle: u32) -> [f64; 2] {
    let uniform = |word: u32| (f64::from(word) + 0.5) / 4_294_967_296.0;
    // `libm` and not the platform's mathematics library, so that the last bit is the same everywhere.
    let length = libm::sqrt(-2.0 * libm::log(uniform(radius)));
    let (sin, cos) = libm::sincos(std::f64::consts::TAU * uniform(angle));
    [length * cos, length * sin]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors that the authors publish with Random123 (`kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn known_answers() {
        let cases = [
            ([0; 2], [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 2], [u32::MAX; 4], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0xa409_3822, 0x299f_31d0],
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (key, counter, expected) in cases {
            assert_eq!(philox4x32(key, counter), expected);
        }
    }

    #[test]
    fn normals_have_the_moments_of_a_normal() {
        let blocks = 50_000u32;
        let (mut sum, mut squares, mut fourth) = (0.0, 0.0, 0.0);
        for block in 0..blocks {
            for x in normal4([7, 0], [block, 0, 0, 0]) {
                sum += x;
                squares += x * x;
                fourth += x * x * x * x;
            }
        }
        let n = f64::from(blocks) * 4.0;
        assert!((sum / n).abs() < 0.01);
        assert!((squares / n - 1.0).abs() < 0.02);
        assert!((fourth / n - 3.0).abs() < 0.1);
    }
}
