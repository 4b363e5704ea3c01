//! [`Work`]: an amount of work, and [`Sample`]: its measured time.

use std::ops::Range;

use super::solve::UNKNOWNS;

/// Kinds of first uses; see [`Work::first`].
pub(crate) const FIRST_USES: usize = 4;

/// The places of first uses among the terms of the regression.
pub(super) const FIRST_TERMS: Range<usize> = UNKNOWNS - FIRST_USES..UNKNOWNS;

/// An amount of work: `count` equal operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Work {
    /// Number of operations.
    pub count: f64,
    /// Size of the half that is always computed, in tokens or pixels.
    pub main: f64,
    /// Size of the half that only guided evaluations compute; 0 without guidance. Of texts, the tokens of those that the device has
    /// not read lately; of [`Part::Other`](super::Part::Other), the pixels that are enlarged on the host.
    pub extra: f64,
    /// Tokens of one sequence. The cost of attention grows with the product of this and the size.
    pub length: f64,
    /// Number of its operations that are the first ones on the device: of their part, of their shape, of the length of one half, and of
    /// that length when it is padded. The device prepares kernels, plans and memory for them, once.
    pub first: [f64; FIRST_USES],
}

impl Work {
    /// `count` operations of this size, without guidance.
    pub(crate) fn each(count: f64, size: f64) -> Self {
        Self { count, main: size, length: size, ..Self::default() }
    }

    pub(super) fn size(&self) -> f64 {
        self.main + self.extra
    }

    /// The preparation of its first uses alone.
    pub(super) fn preparation(&self) -> Self {
        Self { first: self.first, ..Self::default() }
    }

    /// Whether something is used for the first time.
    pub(super) fn is_first(&self) -> bool {
        self.first.iter().any(|count| *count > 0.0)
    }

    /// The same operations, none of them a first one, with every size multiplied by `factor`.
    pub(super) fn scaled(&self, factor: f64) -> Self {
        let [main, extra, length] = [self.main, self.extra, self.length].map(|size| size * factor);
        Self { count: self.count, main, extra, length, first: [0.0; FIRST_USES] }
    }

    /// The terms of the regression: a constant, the size of each half, the attention of each half, the size beyond each
    /// knot, and the first uses. Every term grows with the work.
    fn terms(&self, knots: [f64; 2]) -> [f64; UNKNOWNS] {
        let Self { count, main, extra, length, first: [part, shape, half, padded] } = *self;
        let [near, far] = knots.map(|knot| count * (self.size() - knot).max(0.0));
        let [main, extra] = [count * main, count * extra];
        [count, main, extra, main * length, extra * length, near, far, part, shape, half, padded]
    }
}

/// The sum of the terms of several amounts of work.
pub(super) fn terms(work: &[Work], knots: [f64; 2]) -> [f64; UNKNOWNS] {
    work.iter().fold([0.0; UNKNOWNS], |mut sum, work| {
        sum.iter_mut().zip(work.terms(knots)).for_each(|(sum, term)| *sum += term);
        sum
    })
}

/// One measurement: the work and its time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) work: Vec<Work>,
    pub(super) seconds: f64,
    /// Errors are divided by this number of seconds. It is larger than `seconds` for a part that is a small share of its job
    /// and need not be exact.
    pub(super) scale: f64,
}

impl Sample {
    /// Mean size of its operations.
    pub(super) fn size(&self) -> f64 {
        let (count, size) = self
            .work
            .iter()
            .fold((0.0, 0.0), |(count, size), work| (count + work.count, size + work.count * work.size()));
        size / f64::max(count, f64::MIN_POSITIVE)
    }

    /// Whether it contains first uses.
    pub(super) fn is_first(&self) -> bool {
        self.work.iter().any(Work::is_first)
    }

    /// Its class: whether it contains first uses, and the rounded binary logarithm of the size. A full fit drops samples of the most
    /// frequent class.
    pub(super) fn class(&self) -> (bool, i32) {
        (self.is_first(), self.size().max(f64::MIN_POSITIVE).log2().round() as i32)
    }

    /// Whether all numbers are finite, none is negative and there is work.
    pub(super) fn is_sound(&self) -> bool {
        let numbers = |work: &Work| {
            let sizes = [work.count, work.main, work.extra, work.length];
            sizes.into_iter().chain(work.first)
        };
        let are_sound = |value: f64| value.is_finite() && value >= 0.0;
        !self.work.is_empty()
            && self.work.iter().flat_map(numbers).chain([self.seconds]).all(are_sound)
            && self.scale.is_finite()
            && self.scale > 0.0
            && self.work.iter().any(|work| work.count > 0.0)
    }
}
