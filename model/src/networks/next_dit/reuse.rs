//! The step cache of the Next-DiT.
//!
//! The blocks of the joint stream are split into a front, a middle and a back. Each row keeps the front's residual of the image
//! tokens at the last evaluation that computed the middle, and the middle's residual of all tokens at the last two. The change
//! of the front's residual is measured in the L1 norm over the image tokens. Method and sources:
//! [`sakuga_model_core::StepCache`].

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Bool, Tensor};
use sakuga_model_core::StepCache;

use crate::nn::block::{Block, Positions};
use crate::nn::rope::RopeTable;
use crate::sampler::reuse::{Decisions, Evaluation, Plan, runs};

#[cfg(feature = "cuda")]
use super::row_memory::RowMemory;

/// The state of one row between evaluations. A row is one half of guidance of one image.
#[derive(Clone)]
pub(crate) struct ReuseRow(Arc<Mutex<Row>>);

/// The state of a row.
pub(super) struct Row {
    pub(super) decisions: Decisions,
    kept: Kept,
    /// The same on the fast path.
    #[cfg(feature = "cuda")]
    pub(super) memory: Option<RowMemory>,
}

/// Values of one row on burn's operations.
#[derive(Default)]
struct Kept {
    /// What the front added to the image tokens, `[1, image width, dim]`.
    front: Option<Tensor<3>>,
    /// What the middle added at the last and at the last but one evaluation that computed it, `[1, sequence, dim]`.
    middle: [Option<Tensor<3>>; 2],
}

impl ReuseRow {
    /// Nothing was computed yet.
    pub(crate) fn new(settings: StepCache) -> Self {
        Self(Arc::new(Mutex::new(Row {
            decisions: Decisions::new(settings),
            kept: Kept::default(),
            #[cfg(feature = "cuda")]
            memory: None,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an evaluation on another device decided for this row.
    pub(crate) fn note(&self, evaluation: Evaluation, t: f32, reuses: bool) {
        self.lock().decisions.note(evaluation, t, reuses);
    }

    /// The evaluations that reused, ascending. On a GPU, those that the device has not finished may be missing.
    pub(crate) fn reused(&self) -> Vec<u32> {
        self.lock().decisions.reused()
    }

    /// How many of the evaluations with these numbers were made, and how many of those reused. On a GPU, those that the device
    /// has not finished may be missing.
    pub(crate) fn counts(&self, numbers: RangeInclusive<u32>) -> [usize; 2] {
        self.lock().decisions.counts(numbers)
    }
}

/// One evaluation of a batch that may reuse.
#[derive(Clone, Copy)]
pub(crate) struct Reusing<'a> {
    /// One for each row of the batch.
    pub(crate) rows: &'a [ReuseRow],
    pub(crate) evaluation: Evaluation,
}

/// How a stack of `blocks` blocks is split: blocks of the front, and where the back begins.
pub(super) fn split(settings: &StepCache, blocks: usize) -> [usize; 2] {
    let front = (settings.front_blocks as usize).min(blocks);
    let back = blocks.saturating_sub(settings.back_blocks as usize).max(front);
    [front, back]
}

/// The blocks of the joint stream over `x`, `[batch, sequence, dim]`, on burn's operations. The image tokens are the first
/// `image_width` of each row.
pub(super) fn forward(
    blocks: &[Block],
    x: Tensor<3>,
    modulation: &Tensor<2>,
    positions: &Positions<'_>,
    image_width: usize,
    times: &[f32],
    reusing: Reusing<'_>,
) -> Tensor<3> {
    let Some(first) = reusing.rows.first() else { return x };
    let [front_end, back_begin] = split(first.lock().decisions.settings(), blocks.len());
    let (front, rest) = blocks.split_at(front_end);
    let (middle, back) = rest.split_at(back_begin - front_end);
    let through = |blocks: &[Block], x: Tensor<3>, modulation: &Tensor<2>, positions: &Positions<'_>| {
        blocks.iter().fold(x, |x, block| block.forward(x, Some(modulation), positions))
    };
    let after_front = through(front, x.clone(), modulation, positions);
    let image = |x: &Tensor<3>| x.clone().narrow(1, 0, image_width);
    let added = image(&after_front).sub(image(&x));
    let row_of = |x: &Tensor<3>, row: usize| x.clone().narrow(0, row, 1);

    let mut rows: Vec<_> = reusing.rows.iter().map(ReuseRow::lock).collect();
    let decide = |(index, row): (usize, &mut MutexGuard<'_, Row>)| match row.decisions.plan(reusing.evaluation) {
        Plan::Compute => true,
        Plan::Reuse => false,
        Plan::IfBelow(threshold) => {
            let front = row.kept.front.as_ref();
            !front.is_some_and(|before| relative_change(row_of(&added, index), before) < threshold)
        }
    };
    let computes: Vec<bool> = rows.iter_mut().enumerate().map(decide).collect();

    let mut parts: Vec<Option<Tensor<3>>> = vec![None; rows.len()];
    for (first, count) in runs(&computes) {
        let span = |x: &Tensor<3>| x.clone().narrow(0, first, count);
        let modulation = modulation.clone().narrow(0, first, count);
        let (rope, mask) = rows_of(positions, first, count);
        let positions = Positions { rope: &rope, mask: mask.as_ref(), is_causal: positions.is_causal };
        let before = span(&after_front);
        let after = through(middle, before.clone(), &modulation, &positions);
        let added_by_middle = after.clone().sub(before);
        for row in 0..count {
            let kept = &mut rows[first + row].kept;
            kept.front = Some(row_of(&added, first + row));
            let latest = kept.middle[0].take();
            kept.middle = [Some(row_of(&added_by_middle, row)), latest];
            parts[first + row] = Some(row_of(&after, row));
        }
    }
    for (index, row) in rows.iter_mut().enumerate() {
        if !computes[index] {
            let x = row_of(&after_front, index);
            parts[index] = Some(match row.kept.middle.clone() {
                [Some(last), before] => {
                    let [of_last, of_before] = row.decisions.factors(times[index]);
                    let sum = if of_last == 1.0 { last } else { last.mul_scalar(of_last) };
                    let before = before.filter(|_| of_before != 0.0).map(|before| before.mul_scalar(of_before));
                    x.add(before.map_or(sum.clone(), |before| sum.add(before)))
                }
                [None, _] => x,
            });
        }
        row.decisions.note(reusing.evaluation, times[index], !computes[index]);
    }
    drop(rows);
    let x = Tensor::cat(parts.into_iter().flatten().collect(), 0);
    through(back, x, modulation, positions)
}

/// The L1 norm of the difference, relative to that of `before`. Values that are not finite count as a change.
fn relative_change(now: Tensor<3>, before: &Tensor<3>) -> f64 {
    let norm = |x: Tensor<3>| -> f64 {
        let sum: Vec<f32> = x.abs().sum().cast(burn::tensor::DType::F32).try_into_vec_as().unwrap_or_default();
        sum.first().copied().map_or(f64::NAN, f64::from)
    };
    ratio(norm(now.sub(before.clone())), norm(before.clone()))
}

/// The change relative to the norm before; infinite where it is not a number.
pub(super) fn ratio(change: f64, before: f64) -> f64 {
    let ratio = change / before;
    if ratio.is_nan() { f64::INFINITY } else { ratio }
}

/// Tables and mask of some rows.
fn rows_of(positions: &Positions<'_>, first: usize, count: usize) -> (RopeTable, Option<Tensor<4, Bool>>) {
    let RopeTable { cos, sin } = positions.rope;
    let [batch, ..] = cos.dims();
    let rope = match batch {
        1 => RopeTable { cos: cos.clone(), sin: sin.clone() },
        _ => RopeTable { cos: cos.clone().narrow(0, first, count), sin: sin.clone().narrow(0, first, count) },
    };
    let mask = positions
        .mask
        .map(|mask| if mask.dims()[0] == 1 { mask.clone() } else { mask.clone().narrow(0, first, count) });
    (rope, mask)
}
