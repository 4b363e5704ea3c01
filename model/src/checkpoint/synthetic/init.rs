//! How the elements of a tensor are drawn: pure functions of seed, tensor name and element index.

use std::cmp::Ordering;

use crate::sampler::philox::normal4;

/// Distribution of a tensor's elements. `std` is the standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Init {
    /// The same number everywhere.
    Constant(f64),
    /// Independent normal numbers.
    Normal {
        /// Centre of the distribution.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// A 3x3 convolution `[out, in, 3, 3]` that mixes channels at random and blurs: one normal weight for each pair of
    /// channels, spread over the kernel of the binomial filter, and a little independent grain.
    Blur {
        /// Spread of the response to a smooth input of spread 1 in every channel.
        std: f64,
        /// The same for the grain.
        grain: f64,
    },
    /// `[dim, patch]`: every element of a patch goes to its own element, unchanged. The stream has three zones:
    /// the first `patch` elements carry the latents, the next is the keel, the rest is free for what blocks make.
    Place,
    /// `[dim]`: one number for each zone, with a standard deviation of a tenth of it.
    Zones {
        /// In the zone of the latents.
        latents: f64,
        /// In the keel, the one large element of the stream.
        keel: f64,
        /// In the rest.
        free: f64,
        /// Size of the first zone.
        patch: usize,
    },
    /// `[patch, dim]`: minus `decay` times the inverse of [`Init::Place`], plus a random readout of the free zone that
    /// is the same for all positions of a patch. As the last layer of a velocity field the first part takes the noise
    /// out of the latents, and the second puts what the blocks made in its place, without a grid of patches.
    Readout {
        /// Rate at which the latents decay.
        decay: f64,
        /// Spread of what takes their place, for a free zone of spread 1.
        drive: f64,
        /// Channels of the latents, the fastest index of a patch.
        channels: usize,
    },
}

/// The binomial filter, rows over columns, of sum 1.
const BINOMIAL: [f64; 9] = [1. / 16., 2. / 16., 1. / 16., 2. / 16., 4. / 16., 2. / 16., 1. / 16., 2. / 16., 1. / 16.];
/// Set in the element index of draws that several elements share, so that they never coincide with an element's own.
const SHARED: u64 = 1 << 48;

impl Init {
    /// A matrix `[.., inputs]` that keeps the spread of its inputs, times `gain`.
    pub(crate) fn fan_in(inputs: usize, gain: f64) -> Self {
        Init::Normal { mean: 0.0, std: gain / (inputs as f64).sqrt() }
    }

    /// A norm's weight or a bias: scattered a little around `mean`.
    pub(crate) fn around(mean: f64, std: f64) -> Self {
        Init::Normal { mean, std }
    }

    /// The element at `index` of a tensor of `shape`, row-major.
    pub(crate) fn value(&self, index: usize, shape: &[usize], cursor: &mut Cursor) -> f64 {
        match *self {
            Init::Constant(value) => value,
            Init::Normal { mean, std } => mean + std * cursor.normal(index as u64),
            Init::Blur { std, grain } => {
                let inputs = shape[1] as f64;
                let (pair, tap) = (index / 9, index % 9);
                let mix = cursor.normal(SHARED + pair as u64) * std / inputs.sqrt();
                mix * BINOMIAL[tap] + cursor.normal(index as u64) * grain / (9.0 * inputs).sqrt()
            }
            Init::Place => f64::from(u8::from(index / shape[1] == index % shape[1])),
            Init::Zones { latents, keel, free, patch } => {
                let value = match index.cmp(&patch) {
                    Ordering::Less => latents,
                    Ordering::Equal => keel,
                    Ordering::Greater => free,
                };
                value * (1.0 + 0.1 * cursor.normal(index as u64))
            }
            Init::Readout { decay, drive, channels } => {
                let [patch, dim] = [shape[0], shape[1]];
                let (row, column) = (index / dim, index % dim);
                if column > patch {
                    let shared = (row % channels * dim + column) as u64;
                    drive * cursor.normal(SHARED + shared) / ((dim - patch - 1) as f64).sqrt()
                } else if row == column {
                    -decay
                } else {
                    0.0
                }
            }
        }
    }
}

/// The random numbers of one tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    key: [u32; 2],
    id: u64,
}

impl Stream {
    /// The stream of the tensor `name`.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self { key: crate::sampler::noise::key(seed), id: fnv1a(name) }
    }

    /// A reader that remembers the last block, for indices in order.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { stream: *self, blocks: [None, None] }
    }
}

/// Reads a [`Stream`]. Keeps the last block of each of its two kinds: of an element's own draws, and of those that elements
/// share.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    stream: Stream,
    blocks: [Option<(u64, [f64; 4])>; 2],
}

impl Cursor {
    /// The standard normal number at `index`.
    pub(crate) fn normal(&mut self, index: u64) -> f64 {
        let block = index / 4;
        let slot = &mut self.blocks[usize::from(index >= SHARED)];
        let values = match slot {
            Some((held, values)) if *held == block => *values,
            _ => {
                let id = self.stream.id;
                let counter = [block as u32, (block >> 32) as u32, id as u32, (id >> 32) as u32];
                let values = normal4(self.stream.key, counter);
                *slot = Some((block, values));
                values
            }
        };
        values[(index % 4) as usize]
    }
}

/// The 64-bit FNV-1a hash of a name.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(init: Init, shape: [usize; 2]) -> Vec<f64> {
        let mut cursor = Stream::new(1, "a matrix").cursor();
        (0..shape[0] * shape[1]).map(|i| init.value(i, &shape, &mut cursor)).collect()
    }

    #[test]
    fn what_is_put_in_the_readout_takes_out() {
        let (dim, patch) = (96, 64);
        let into = matrix(Init::Place, [dim, patch]);
        let out = matrix(Init::Readout { decay: 3.0, drive: 1.0, channels: 16 }, [patch, dim]);
        for i in 0..patch {
            for j in 0..patch {
                let product: f64 = (0..dim).map(|d| out[i * dim + d] * into[d * patch + j]).sum();
                assert_eq!(product, if i == j { -3.0 } else { 0.0 }, "({i}, {j})");
            }
            // The four positions of a patch read the free zone alike, and none reads the keel.
            assert_eq!(out[i * dim + 65..(i + 1) * dim], out[i % 16 * dim + 65..(i % 16 + 1) * dim]);
            assert_eq!(out[i * dim + patch], 0.0);
        }
    }

    #[test]
    fn elements_do_not_depend_on_the_order_of_reading() {
        let init = Init::Blur { std: 1.0, grain: 0.1 };
        let shape = [2, 3, 3, 3];
        let stream = Stream::new(5, "conv");
        let mut cursor = stream.cursor();
        let forward: Vec<f64> = (0..54).map(|i| init.value(i, &shape, &mut cursor)).collect();
        for i in (0..54).rev() {
            assert_eq!(init.value(i, &shape, &mut stream.cursor()), forward[i]);
        }
    }
}
