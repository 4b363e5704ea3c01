//! [`Draw`]: the pseudo-random choice of alternatives.

use sakuga_proto::digest::sha256_hex;

/// The choices of one variation under a seed.
///
/// Choice `k`, counted from 0 over the prompt and then the negative prompt, takes alternative `x n / 2^64` of `n`, rounded down,
/// where `x` is the first 8 bytes, big-endian, of SHA-256 of the ASCII text `sakuga expand 1/SEED/VARIATION/k` with decimal
/// numbers. Each of up to a million alternatives is chosen as often as the others but for one in 2^44.
#[derive(Clone, Debug)]
pub struct Draw {
    seed: u64,
    variation: u32,
    next: u64,
}

impl Draw {
    /// Before the first choice.
    #[must_use]
    pub fn new(seed: u64, variation: u32) -> Self {
        Self { seed, variation, next: 0 }
    }

    /// The index of the alternative that is taken of `count`; 0 if there is not more than one.
    pub(super) fn choose(&mut self, count: usize) -> usize {
        let text = format!("sakuga expand 1/{}/{}/{}", self.seed, self.variation, self.next);
        self.next += 1;
        // The digits of a digest are always a number.
        let number = u64::from_str_radix(&sha256_hex(text.as_bytes())[..16], 16).unwrap_or_default();
        usize::try_from((u128::from(number) * count as u128) >> 64).unwrap_or_default()
    }
}
