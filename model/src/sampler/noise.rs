//! Initial noise: a documented function of seed, image index and element, computed on the host.
//!
//! Element `e` of the latents of image `i` (row-major over `[channels, height, width]`, counted from 0) is lane `e mod 4`
//! of `normal4` under
//!
//! * key `[seed mod 2^32, seed / 2^32]`,
//! * counter `[b mod 2^32, b / 2^32, i, 0]` with the block `b = e / 4`,
//!
//! converted to `f32` and rounded to the nearest bf16 (ties to even), as the model's own demo rounds its noise to the
//! model's type before it integrates in `f32`. The fourth counter word is the stream: 0 in the table is initial noise, a
//! second pass has 1, and the noise that a solver adds in step `k` of pass `p` has `65536 p + k`.
//!
//! So the noise does not depend on the device, the precision of the model or the batch, and image `i` of a request for
//! many equals image `i` of any other request with the same seed and size. The first eight elements:
//!
//! | seed | image | elements 0 to 7 |
//! |------|-------|-----------------|
//! | 0 | 0 | 0.9921875, -0.92578125, -0.6171875, -0.482421875, -0.1533203125, 0.1806640625, 0.83203125, 0.197265625 |
//! | 0 | 1 | 1.0703125, -0.42578125, -2.375, -0.2314453125, 0.404296875, -0.55078125, -1.0625, 0.5234375 |
//! | 42 | 0 | -0.96875, 0.1943359375, -1.234375, 1.921875, -0.0732421875, 0.138671875, -1.109375, 0.326171875 |
//! | 18446744073709551615 | 3 | 0.2451171875, -2.0625, -1.2734375, -0.90234375, -0.65234375, -2.421875, 1.6796875, 0.279296875 |

use burn::tensor::{Device, Tensor, TensorData};
use half::bf16;

use super::philox::normal4;

/// The purpose of noise. It is the fourth counter word, so that one seed gives independent noise for each purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The first pass.
    Initial,
    /// The second pass, at a larger size.
    SecondPass,
    /// What a solver adds in a step.
    Step {
        /// Number of the pass, from 1.
        pass: u32,
        /// The step on the whole grid of the pass, from 0.
        index: u32,
    },
}

impl Stream {
    /// The fourth counter word.
    const fn word(self) -> u32 {
        match self {
            Self::Initial => 0,
            Self::SecondPass => 1,
            Self::Step { pass, index } => pass << 16 | index,
        }
    }
}

/// The first `count` elements of the initial noise of image `image_index`, rounded to bf16.
pub fn standard_normal(seed: u64, image_index: u32, count: usize) -> Vec<f32> {
    standard_normal_of(Stream::Initial, seed, image_index, count)
}

fn standard_normal_of(stream: Stream, seed: u64, image_index: u32, count: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(count.next_multiple_of(4));
    for block in 0..count.div_ceil(4) as u64 {
        let counter = [block as u32, (block >> 32) as u32, image_index, stream.word()];
        let normals = normal4(key(seed), counter);
        values.extend(normals.map(|x| bf16::from_f32(x as f32).to_f32()));
    }
    values.truncate(count);
    values
}

/// The initial noise of the images `first_image..first_image + images` as one batch.
///
/// # Shapes
///
/// - output: `[images, channels, height, width]` in f32; `shape` is `[channels, height, width]`
pub fn batch(seed: u64, first_image: u32, images: usize, shape: [usize; 3], device: &Device) -> Tensor<4> {
    batch_of(Stream::Initial, seed, first_image, images, shape, device)
}

/// As [`batch`], of a stream.
pub fn batch_of(
    stream: Stream,
    seed: u64,
    first_image: u32,
    images: usize,
    shape: [usize; 3],
    device: &Device,
) -> Tensor<4> {
    let [channels, height, width] = shape;
    let per_image = channels * height * width;
    let of = |image: u32| standard_normal_of(stream, seed, first_image + image, per_image);
    let values: Vec<f32> = (0..images as u32).flat_map(of).collect();
    Tensor::from_data(TensorData::new(values, [images, channels, height, width]), (device, burn::tensor::DType::F32))
}

/// A 64-bit seed as Philox's key.
pub(crate) fn key(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_elements() {
        let page = include_str!("noise.rs");
        let mut rows = 0;
        for line in page.lines().filter_map(|line| line.strip_prefix("//! | ")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (Ok(seed), Ok(image)) = (cells[0].parse(), cells[1].parse()) else {
                continue;
            };
            let documented: Vec<f32> = cells[2].split(", ").map(|value| value.parse().expect("a number")).collect();
            assert_eq!(documented, standard_normal(seed, image, 8), "{line}");
            rows += 1;
        }
        assert_eq!(rows, 4);
    }

    #[test]
    fn a_longer_draw_begins_like_a_shorter_one() {
        let long = standard_normal(9, 2, 100);
        for count in [0, 1, 3, 4, 5, 99] {
            assert_eq!(standard_normal(9, 2, count), long[..count]);
        }
    }

    #[test]
    fn streams_are_independent() {
        assert_eq!(standard_normal_of(Stream::Initial, 9, 2, 64), standard_normal(9, 2, 64));
        let (first, second) = (standard_normal(9, 2, 4096), standard_normal_of(Stream::SecondPass, 9, 2, 4096));
        let correlation: f32 = first.iter().zip(&second).map(|(a, b)| a * b).sum::<f32>() / 4096.0;
        assert!(correlation.abs() < 0.06, "{correlation}");
        let step = |pass, index| standard_normal_of(Stream::Step { pass, index }, 9, 2, 8);
        assert!(step(1, 0) != step(1, 1) && step(1, 1) != step(2, 1) && step(1, 0) != standard_normal(9, 2, 8));
    }

    #[test]
    fn a_batch_is_made_of_its_images() {
        let device = Device::flex();
        let whole = batch(5, 0, 3, [2, 3, 4], &device);
        for i in 0..3usize {
            let alone = batch(5, i as u32, 1, [2, 3, 4], &device);
            let row = whole.clone().narrow(0, i, 1);
            assert_eq!(row.into_data(), alone.into_data());
        }
    }
}
