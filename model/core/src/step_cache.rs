//! Settings of a step cache: which evaluations of a denoiser reuse the middle blocks of an earlier one.
//!
//! The method is that of DBCache (<https://github.com/vipshop/cache-dit>) and of the first-block cache before it. Every evaluation
//! computes some blocks at the front and some at the back of the stack. If the residual of the front blocks has changed little
//! since an earlier evaluation, the residual of the middle blocks is taken from that evaluation instead of being computed. It may
//! be extrapolated as in TaylorSeer (Liu et al. 2025, arXiv:2503.06923), at order 0 or 1.

use crate::limit::STEPS;
use crate::{Limit, SamplingFault};

/// Which blocks every evaluation computes, and when the others are reused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCache {
    /// Blocks at the beginning of the stack that every evaluation computes, at least 1.
    pub front_blocks: u32,
    /// Blocks at its end that every evaluation computes, at least 1.
    pub back_blocks: u32,
    /// When the middle blocks are reused.
    pub rule: ReuseRule,
    /// Order of the extrapolation of the middle blocks' residual: 0 repeats the last value, 1 continues the line through the
    /// last two.
    pub taylor_order: u32,
}

/// When an evaluation reuses the middle blocks of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReuseRule {
    /// While the residual of the front blocks changes little. Each half of guidance of each image decides for itself.
    Change {
        /// The relative change, in the L1 norm, below which the middle blocks are reused. 0: never.
        threshold: f32,
        /// Steps at the beginning of each pass that compute everything.
        warmup_steps: u32,
        /// The most evaluations in a row that reuse. 0: no limit.
        consecutive_max: u32,
    },
    /// In these steps of each pass.
    Steps(StepSet),
}

/// Steps of a pass, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepSet([u64; Self::WORDS]);

impl StepSet {
    const WORDS: usize = (STEPS.max as usize + 1).div_ceil(64);

    /// Whether the step with this number is in the set.
    pub fn contains(&self, step: u32) -> bool {
        let bit = |word: &u64| word >> (step % 64) & 1 == 1;
        self.0.get(step as usize / 64).is_some_and(bit)
    }

    /// The steps, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..Self::WORDS as u32 * 64).filter(|step| self.contains(*step))
    }

    /// Whether the set has no step.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; Self::WORDS]
    }

    /// These steps; `None` if one is beyond [`STEPS`].
    pub fn of(steps: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut set = Self::default();
        for step in steps {
            if step > STEPS.max {
                return None;
            }
            set.0[step as usize / 64] |= 1 << (step % 64);
        }
        Some(set)
    }
}

impl StepCache {
    /// Bounds of [`ReuseRule::Change`]'s threshold.
    pub(crate) const THRESHOLD: Limit<f32> =
        Limit { field: "sampling.step_cache.by_change.threshold", min: 0.0, max: 1.0 };
    /// Bounds of [`ReuseRule::Change`]'s warm-up.
    pub(crate) const WARMUP_STEPS: Limit<u32> =
        Limit { field: "sampling.step_cache.by_change.warmup_steps", min: 0, max: STEPS.max };
    /// Bounds of [`ReuseRule::Change`]'s limit in a row.
    pub(crate) const CONSECUTIVE: Limit<u32> =
        Limit { field: "sampling.step_cache.by_change.max_consecutive", min: 0, max: STEPS.max };
    /// Bounds of the order of the extrapolation.
    pub(crate) const TAYLOR_ORDER: Limit<u32> = Limit { field: "sampling.step_cache.taylor_order", min: 0, max: 1 };
    /// The field of [`front_blocks`](Self::front_blocks).
    pub const FRONT_FIELD: &str = "sampling.step_cache.front_blocks";
    /// The field of [`back_blocks`](Self::back_blocks).
    pub(crate) const BACK_FIELD: &str = "sampling.step_cache.back_blocks";
    /// The field of the steps of [`ReuseRule::Steps`].
    pub const STEPS_FIELD: &str = "sampling.step_cache.in_steps.steps";

    /// Every value that no model can use with this number of steps.
    pub(crate) fn faults(&self, steps: u32) -> Vec<SamplingFault> {
        let mut faults = Vec::new();
        for (blocks, field) in [(self.front_blocks, Self::FRONT_FIELD), (self.back_blocks, Self::BACK_FIELD)] {
            if blocks == 0 {
                faults.push(SamplingFault { field, text: "0 is out of range; use 1 or more".to_owned() });
            }
        }
        faults.extend(Self::TAYLOR_ORDER.fault(self.taylor_order));
        match self.rule {
            ReuseRule::Change { threshold, warmup_steps, consecutive_max } => {
                faults.extend(Self::THRESHOLD.fault(threshold));
                faults.extend(Self::WARMUP_STEPS.fault(warmup_steps));
                faults.extend(Self::CONSECUTIVE.fault(consecutive_max));
            }
            ReuseRule::Steps(set) => {
                let field = Self::STEPS_FIELD;
                if set.contains(0) || set.contains(1) {
                    let text = "step 1 has no step before it to reuse; use steps from 2 on".to_owned();
                    faults.push(SamplingFault { field, text });
                }
                let last = set.iter().last().unwrap_or(0);
                if last > steps {
                    let text = format!("step {last} is beyond the {steps} steps of the request; use 2 to {steps}");
                    faults.push(SamplingFault { field, text });
                }
            }
        }
        faults
    }

    /// Number of middle blocks in a stack of `blocks` blocks.
    pub fn middle_blocks(&self, blocks: u32) -> u32 {
        blocks.saturating_sub(self.front_blocks.saturating_add(self.back_blocks))
    }
}

/// The evaluations of one image that reused the middle blocks. Evaluations are numbered from 1 over all passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvaluationReuse {
    /// Number of evaluations of the denoiser, those that reused nothing included.
    pub evaluations: u32,
    /// Evaluations whose conditional half reused the blocks.
    pub conditional: Vec<u32>,
    /// Evaluations whose unconditional half reused the blocks.
    pub unconditional: Vec<u32>,
}

impl EvaluationReuse {
    /// Appends the evaluations of a later pass.
    pub fn append(&mut self, later: &Self) {
        let before = self.evaluations;
        self.conditional.extend(later.conditional.iter().map(|number| number + before));
        self.unconditional.extend(later.unconditional.iter().map(|number| number + before));
        self.evaluations += later.evaluations;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: ReuseRule = ReuseRule::Change { threshold: 0.1, warmup_steps: 2, consecutive_max: 3 };
    const CACHE: StepCache = StepCache { front_blocks: 1, back_blocks: 2, rule: CHANGE, taylor_order: 0 };

    fn fields(cache: &StepCache) -> Vec<&'static str> {
        cache.faults(20).iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn every_value_out_of_range_is_a_fault() {
        assert_eq!(CACHE.faults(20), []);
        let rule = ReuseRule::Change { threshold: f32::NAN, warmup_steps: 201, consecutive_max: 201 };
        let broken = StepCache { front_blocks: 0, back_blocks: 0, taylor_order: 2, rule };
        assert_eq!(
            fields(&broken),
            [
                StepCache::FRONT_FIELD,
                StepCache::BACK_FIELD,
                StepCache::TAYLOR_ORDER.field,
                StepCache::THRESHOLD.field,
                StepCache::WARMUP_STEPS.field,
                StepCache::CONSECUTIVE.field
            ]
        );
        assert!(broken.faults(20).iter().all(|fault| fault.text.contains("use ")));
    }

    #[test]
    fn reused_steps_lie_between_the_second_and_the_last() {
        let with = |steps: &[u32]| {
            let set = StepSet::of(steps.iter().copied()).expect("few steps");
            StepCache { rule: ReuseRule::Steps(set), ..CACHE }
        };
        assert_eq!(fields(&with(&[2, 20])), [""; 0]);
        assert_eq!(fields(&with(&[1, 21])), [StepCache::STEPS_FIELD; 2]);
        assert_eq!(fields(&with(&[0])), [StepCache::STEPS_FIELD]);
        assert_eq!(StepSet::of([201]), None);
    }

    #[test]
    fn a_set_of_steps_lists_them_ascending() {
        let set = StepSet::of([200, 64, 3, 63]).expect("in range");
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 63, 64, 200]);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(u32::MAX));
        assert!(StepSet::default().is_empty() && !set.is_empty());
    }

    #[test]
    fn evaluations_of_a_later_pass_count_on() {
        let reuse =
            |evaluations, conditional, unconditional| EvaluationReuse { evaluations, conditional, unconditional };
        let mut all = reuse(10, vec![3], Vec::new());
        all.append(&reuse(5, vec![2], vec![4]));
        assert_eq!(all, reuse(15, vec![3, 12], vec![14]));
    }
}
