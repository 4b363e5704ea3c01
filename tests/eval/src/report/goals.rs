//! The goals, and whether they were reached.

use crate::case::{Case, EIGHT};
use crate::form::Form;
use crate::score::{Scores, Share};

/// A goal and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// In words.
    pub what: &'static str,
    /// The bound in words.
    pub bound: String,
    /// What was measured with XML; `None` if it was not.
    pub measured: Option<Share>,
    /// The same with plain tags, which have no goal.
    pub with_tags: Option<Share>,
    /// Whether the share reaches the goal.
    pub verdict: Verdict,
}

/// Whether a goal was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Reached, and the whole interval is on the right side.
    Met,
    /// Reached, but the interval goes beyond the bound.
    MetWithinDoubt,
    /// Not reached.
    Missed,
    /// Not measured.
    Open,
}

impl Verdict {
    /// The verdict in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "**met**",
            Self::MetWithinDoubt => "**met**, but the interval goes beyond the bound",
            Self::Missed => "**missed**",
            Self::Open => "not measured",
        }
    }
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn verdict(self, share: Option<Share>) -> Verdict {
        let Some((share, percent)) = share.and_then(|share| Some((share, share.percent()?))) else {
            return Verdict::Open;
        };
        let (low, high) = share.interval_percent();
        let (is_met, is_certain) = match self {
            Self::AtLeast(bound) => (percent >= bound, low >= bound),
            Self::AtMost(bound) => (percent <= bound, high <= bound),
        };
        match (is_met, is_certain) {
            (false, _) => Verdict::Missed,
            (true, true) => Verdict::Met,
            (true, false) => Verdict::MetWithinDoubt,
        }
    }
}

/// The goals, judged by the eight attributes of prompts in XML.
#[must_use]
pub fn goals(scores: &Scores) -> Vec<Goal> {
    let goal = |what, cases: &[Case], bound: Bound| {
        let share = |form| {
            let count = scores.together(cases, form)?.over(EIGHT);
            Some(if matches!(bound, Bound::AtLeast(_)) { count.right } else { count.swapped })
        };
        let measured = share(Form::Xml);
        let text = match bound {
            Bound::AtLeast(percent) => format!("≥ {percent} %"),
            Bound::AtMost(percent) => format!("≤ {percent} %"),
        };
        Goal { what, bound: text, measured, with_tags: share(Form::Tags), verdict: bound.verdict(measured) }
    };
    vec![
        goal("one character: right", &[Case::One], Bound::AtLeast(98.0)),
        goal("two characters, crossed: right", &[Case::TwoCrossed], Bound::AtLeast(97.0)),
        goal("two characters, crossed: swapped", &[Case::TwoCrossed], Bound::AtMost(1.0)),
        goal("unseen combinations: right", &[Case::UnseenOne, Case::UnseenTwo], Bound::AtLeast(95.0)),
        goal("among unknown words: right", &[Case::UnknownWords], Bound::AtLeast(97.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_missed_or_open() {
        let share = |hits, trials| Some(Share { hits, trials });
        let at_least = Bound::AtLeast(98.0);
        assert_eq!(at_least.verdict(share(979, 1000)), Verdict::Missed);
        assert_eq!(at_least.verdict(share(980, 1000)), Verdict::MetWithinDoubt);
        assert_eq!(at_least.verdict(share(995, 1000)), Verdict::Met);
        assert_eq!(at_least.verdict(share(0, 0)), Verdict::Open);
        assert_eq!(at_least.verdict(None), Verdict::Open);
        let at_most = Bound::AtMost(1.0);
        assert_eq!(at_most.verdict(share(11, 1000)), Verdict::Missed);
        assert_eq!(at_most.verdict(share(10, 1000)), Verdict::MetWithinDoubt);
        assert_eq!(at_most.verdict(share(1, 1000)), Verdict::Met);
    }

    #[test]
    fn what_was_not_measured_is_open() {
        let goals = goals(&Scores::default());
        assert_eq!(goals.len(), 5);
        assert!(goals.iter().all(|goal| goal.verdict == Verdict::Open && goal.measured.is_none()));
    }
}
