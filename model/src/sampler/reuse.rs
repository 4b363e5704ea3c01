//! The decisions of a step cache, for any denoiser: whether an evaluation of one row, which is one half of guidance of one
//! image, computes the blocks in the middle or reuses them.

use sakuga_model_core::{ReuseRule, StepCache};

/// Number and step of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Evaluation {
    /// Its number in the pass, from 1.
    pub(crate) number: u32,
    /// The step that it belongs to, from 1.
    pub(crate) step: u32,
}

/// What an evaluation does with the middle blocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plan {
    /// The blocks are computed.
    Compute,
    /// The blocks are reused.
    Reuse,
    /// They are reused if what the front blocks add has changed by less than this, relative in the L1 norm.
    IfBelow(f64),
}

/// The decisions for one row.
#[derive(Clone, Debug)]
pub(crate) struct Decisions {
    settings: StepCache,
    /// Times of the last two evaluations that computed the blocks, the latest first.
    computed_at: [Option<f32>; 2],
    /// Evaluations that reused since then.
    in_a_row: u32,
    /// Number of each evaluation, and whether it reused.
    log: Vec<(u32, bool)>,
}

impl Decisions {
    pub(crate) fn new(settings: StepCache) -> Self {
        Self { settings, computed_at: [None; 2], in_a_row: 0, log: Vec::new() }
    }

    pub(crate) fn settings(&self) -> &StepCache {
        &self.settings
    }

    /// The plan of `evaluation`: whether it computes the middle blocks or reuses them.
    pub(crate) fn plan(&self, evaluation: Evaluation) -> Plan {
        if self.computed_at[0].is_none() {
            return Plan::Compute;
        }
        match self.settings.rule {
            ReuseRule::Steps(steps) if steps.contains(evaluation.step) => Plan::Reuse,
            ReuseRule::Steps(_) => Plan::Compute,
            ReuseRule::Change { threshold, warmup_steps, consecutive_max } => {
                let is_limited = consecutive_max > 0 && self.in_a_row >= consecutive_max;
                if threshold <= 0.0 || evaluation.step <= warmup_steps || is_limited {
                    Plan::Compute
                } else {
                    Plan::IfBelow(threshold.into())
                }
            }
        }
    }

    /// Records the decision for an evaluation at time `t`.
    pub(crate) fn note(&mut self, evaluation: Evaluation, t: f32, reuses: bool) {
        self.log.push((evaluation.number, reuses));
        if reuses {
            self.in_a_row += 1;
        } else {
            self.in_a_row = 0;
            self.computed_at = [Some(t), self.computed_at[0]];
        }
    }

    /// The factors of what the middle blocks added at the last and at the last but one evaluation that computed them, for one at
    /// time `t` that reuses. At order 1 they are the line through both.
    pub(crate) fn factors(&self, t: f32) -> [f32; 2] {
        match (self.settings.taylor_order, self.computed_at) {
            (1, [Some(last), Some(before)]) if last != before => {
                let ahead = (t - last) / (last - before);
                [1.0 + ahead, -ahead]
            }
            _ => [1.0, 0.0],
        }
    }

    /// The evaluations that reused, ascending.
    pub(crate) fn reused(&self) -> Vec<u32> {
        self.log.iter().filter(|(_, reuses)| *reuses).map(|(number, _)| *number).collect()
    }

    /// How many of the evaluations with these numbers were made, and how many of those reused.
    pub(crate) fn counts(&self, numbers: std::ops::RangeInclusive<u32>) -> [usize; 2] {
        let made = self.log.iter().rev().filter(|(number, _)| numbers.contains(number));
        made.fold([0, 0], |[made, reused], (_, reuses)| [made + 1, reused + usize::from(*reuses)])
    }
}

/// Runs of neighbouring rows for which `wanted` holds: the first and how many.
pub(crate) fn runs(wanted: &[bool]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (row, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == row => *count += 1,
            _ => runs.push((row, 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::StepSet;

    use super::*;

    fn decisions(rule: ReuseRule, taylor_order: u32) -> Decisions {
        Decisions::new(StepCache { front_blocks: 1, back_blocks: 1, rule, taylor_order })
    }

    fn at(number: u32) -> Evaluation {
        Evaluation { number, step: number }
    }

    #[test]
    fn warm_up_and_limit_compute_and_the_change_decides_the_rest() {
        let mut row = decisions(ReuseRule::Change { threshold: 0.25, warmup_steps: 2, consecutive_max: 2 }, 0);
        let mut plans = Vec::new();
        for number in 1..=7 {
            let plan = row.plan(at(number));
            row.note(at(number), number as f32, plan != Plan::Compute);
            plans.push(plan);
        }
        let (compute, below) = (Plan::Compute, Plan::IfBelow(0.25));
        assert_eq!(plans, [compute, compute, below, below, compute, below, below]);
        assert_eq!(row.reused(), [3, 4, 6, 7]);
        assert_eq!((row.counts(5..=6), row.counts(8..=9)), ([2, 1], [0, 0]));
        let never = decisions(ReuseRule::Change { threshold: 0.0, warmup_steps: 0, consecutive_max: 0 }, 0);
        assert_eq!(never.plan(at(9)), Plan::Compute);
    }

    #[test]
    fn a_pattern_is_followed_once_something_was_computed() {
        let mut row = decisions(ReuseRule::Steps(StepSet::of([2, 3]).expect("few steps")), 0);
        assert_eq!(row.plan(at(2)), Plan::Compute, "there is nothing to reuse");
        row.note(at(2), 0.1, false);
        assert_eq!([3, 4].map(|number| row.plan(at(number))), [Plan::Reuse, Plan::Compute]);
    }

    #[test]
    fn order_one_continues_the_line_through_the_last_two() {
        let rule = ReuseRule::Change { threshold: 1.0, warmup_steps: 0, consecutive_max: 0 };
        let mut row = decisions(rule, 1);
        row.note(at(1), 0.25, false);
        assert_eq!(row.factors(0.5), [1.0, 0.0], "one value is no line");
        row.note(at(2), 0.5, false);
        // A line with the values 3 and 5 has 9 there.
        let [last, before] = row.factors(1.0);
        assert_eq!(5.0 * last + 3.0 * before, 9.0);
        row.note(at(3), 0.5, false);
        assert_eq!(row.factors(1.0), [1.0, 0.0], "two values at one time are no line");
        assert_eq!(
            Decisions { settings: StepCache { taylor_order: 0, ..row.settings }, ..row }.factors(0.9),
            [1.0, 0.0]
        );
    }

    #[test]
    fn neighbouring_rows_are_one_run() {
        assert_eq!(runs(&[true, true, false, true, false, false, true]), [(0, 2), (3, 1), (6, 1)]);
        assert!(runs(&[false; 3]).is_empty());
    }
}
