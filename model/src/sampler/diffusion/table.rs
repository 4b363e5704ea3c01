//! How much noise each of a model's training times has.

use crate::sampler::NoiseLevel;

/// The smallest `alphas_cumprod` of a table whose last time has no signal, as diffusers sets it: a ratio of noise to data of 4096
/// instead of infinity, for solvers that work in that ratio.
pub const SMALLEST_ALPHA: f64 = 1.0 / 16_777_216.0;

/// `alphas_cumprod`: the share of the data's variance at each training time, falling (Ho et al. 2020,
/// <https://arxiv.org/abs/2006.11239>).
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseTable {
    alphas: Vec<f64>,
}

impl NoiseTable {
    /// The `scaled_linear` schedule: the square roots of the variances that the `count` times add grow linearly from that of
    /// `start` to that of `end`.
    ///
    /// In `f32`, with products in `f64`, as PyTorch computes it on a CPU: relative to a table in `f64` ratios of noise to data
    /// differ by up to 1.3e-5, which is seen in comparisons of single steps.
    pub fn scaled_linear(start: f64, end: f64, count: usize) -> Self {
        let (first, last) = (start.sqrt() as f32, end.sqrt() as f32);
        let last_index = count.max(2) - 1;
        let step = (last - first) / last_index as f32;
        let root = |i: usize| {
            if i < count / 2 { first + step * i as f32 } else { last - step * (last_index - i) as f32 }
        };
        let mut product = 1.0_f64;
        let alphas = (0..count).map(|i| {
            product *= f64::from(1.0 - root(i) * root(i));
            f64::from(product as f32)
        });
        Self { alphas: alphas.collect() }
    }

    /// Shifts and scales the square roots so that the last one is 0 and the first one stays (Lin et al. 2023,
    /// <https://arxiv.org/abs/2305.08891>, algorithm 1).
    #[must_use]
    pub fn with_zero_terminal_snr(self) -> Self {
        let roots: Vec<f64> = self.alphas.iter().map(|alpha| alpha.sqrt()).collect();
        let (Some(&first), Some(&last)) = (roots.first(), roots.last()) else { return self };
        Self { alphas: roots.iter().map(|root| ((root - last) * first / (first - last)).powi(2)).collect() }
    }

    /// Bounds the last entry from below.
    #[must_use]
    pub fn with_smallest(mut self, alpha: f64) -> Self {
        if let Some(last) = self.alphas.last_mut() {
            *last = last.max(alpha);
        }
        self
    }

    /// How many times there are.
    pub fn len(&self) -> usize {
        self.alphas.len()
    }

    /// Whether the table has no entry.
    pub fn is_empty(&self) -> bool {
        self.alphas.is_empty()
    }

    /// The product of `1 - beta` up to each training time (`alphas_cumprod` in diffusers).
    pub fn alphas(&self) -> &[f64] {
        &self.alphas
    }

    /// The level of a whole time; beyond the table that of its end.
    pub fn level(&self, time: usize) -> NoiseLevel {
        NoiseLevel::of_alpha_cumprod(self.alphas[time.min(self.alphas.len() - 1)])
    }

    /// The ratio of noise to data at a whole time.
    pub fn ratio(&self, time: usize) -> f64 {
        self.level(time).ratio()
    }

    /// The ratio at any time, linear between whole ones, as diffusers interpolates.
    pub fn ratio_between(&self, time: f64) -> f64 {
        let (low, share) = self.split(time);
        let next = (low + 1).min(self.alphas.len() - 1);
        self.ratio(low) + share * (self.ratio(next) - self.ratio(low))
    }

    /// The ratio at any time, linear in its logarithm, as k-diffusion and ComfyUI interpolate.
    pub fn ratio_between_logs(&self, time: f64) -> f64 {
        let (low, share) = self.split(time);
        let next = (low + 1).min(self.alphas.len() - 1);
        ((1.0 - share) * self.ratio(low).ln() + share * self.ratio(next).ln()).exp()
    }

    /// The time of a ratio, with a fraction, linear in the logarithm.
    pub fn time(&self, ratio: f64) -> f64 {
        let count = self.alphas.len();
        let log = ratio.ln();
        let below = (0..count).take_while(|&time| self.ratio(time).ln() <= log).count();
        let low = below.saturating_sub(1).min(count.saturating_sub(2));
        let (from, to) = (self.ratio(low).ln(), self.ratio(low + 1).ln());
        low as f64 + ((log - from) / (to - from)).clamp(0.0, 1.0)
    }

    /// The whole time whose ratio is nearest in the logarithm.
    #[doc(hidden)]
    pub fn nearest_time(&self, ratio: f64) -> usize {
        let distance = |time: usize| (self.ratio(time).ln() - ratio.ln()).abs();
        (0..self.alphas.len()).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    fn split(&self, time: f64) -> (usize, f64) {
        let low = (time.max(0.0) as usize).min(self.alphas.len() - 1);
        (low, (time - low as f64).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> NoiseTable {
        NoiseTable::scaled_linear(0.00085, 0.012, 1000)
    }

    #[test]
    fn the_table_of_stable_diffusion() {
        let table = table();
        assert!((table.ratio(0) - 0.0292).abs() < 1e-4 && (table.ratio(999) - 14.6146).abs() < 1e-4);
        for ratio in [0.03, 0.5, 3.0, 14.0] {
            assert!((table.ratio_between_logs(table.time(ratio)) / ratio - 1.0).abs() < 1e-9);
            assert!((table.nearest_time(ratio) as f64 - table.time(ratio)).abs() <= 0.5 + 1e-9);
        }
        assert_eq!((table.time(0.001), table.time(100.0)), (0.0, 999.0));
        assert_eq!(table.ratio_between(999.0), table.ratio(999));
    }

    #[test]
    fn the_last_time_loses_its_signal_and_the_first_keeps_it() {
        let zero = table().with_zero_terminal_snr();
        assert_eq!(zero.alphas()[999], 0.0);
        assert!((zero.alphas()[0] - table().alphas()[0]).abs() < 1e-12);
        assert!((zero.with_smallest(SMALLEST_ALPHA).ratio(999) - 4096.0).abs() < 1e-3);
    }
}
