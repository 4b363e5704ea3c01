//! Counts over many pictures: right, swapped, and of how many.

use std::collections::BTreeMap;
use std::fmt;

use sakuga_figures::attributes::Attribute;
use sakuga_figures::oracle::wilson_interval;

use crate::case::Case;
use crate::form::Form;
use crate::record::{FigureAnswers, Record};

/// A count out of a total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that are.
    pub hits: u64,
    /// Attributes that were asked for.
    pub trials: u64,
}

impl Share {
    /// The share in percent; `None` of nothing.
    #[must_use]
    pub fn percent(self) -> Option<f64> {
        (self.trials > 0).then(|| 100.0 * self.hits as f64 / self.trials as f64)
    }

    /// Wilson's 95 % interval in percent.
    #[must_use]
    pub fn interval_percent(self) -> (f64, f64) {
        let (low, high) = wilson_interval(self.hits, self.trials);
        (100.0 * low, 100.0 * high)
    }

    pub(crate) fn count(&mut self, is_hit: bool) {
        self.hits += u64::from(is_hit);
        self.trials += 1;
    }
}

impl std::ops::AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.hits += other.hits;
        self.trials += other.trials;
    }
}

/// `98.53 % (97.91–98.97)`; a dash of nothing.
impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.percent() {
            None => write!(formatter, "–"),
            Some(percent) => {
                let (low, high) = self.interval_percent();
                write!(formatter, "{percent:.2} % ({low:.2}–{high:.2})")
            }
        }
    }
}

/// The counts of one attribute, or of several together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Readings that match the request, out of all.
    pub right: Share,
    /// Readings that match the request for another figure instead, out of those where the requests differ.
    pub swapped: Share,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.right += other.right;
        self.swapped += other.swapped;
    }
}

/// The counts of many pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Pictures without a wrong attribute of any figure, of all.
    pub faultless: Share,
    attributes: BTreeMap<Attribute, Count>,
}

impl Score {
    /// Adds a picture.
    pub fn add(&mut self, record: &Record) {
        let mut is_faultless = true;
        for (index, figure) in record.figures.iter().enumerate() {
            for (at, answer) in figure.answers.iter().enumerate() {
                is_faultless &= answer.is_right();
                let count = self.attributes.entry(answer.attribute).or_default();
                count.right.count(answer.is_right());
                if let Some(is_swapped) = swap(&record.figures, index, at) {
                    count.swapped.count(is_swapped);
                }
            }
        }
        for answer in &record.picture {
            self.attributes.entry(answer.attribute).or_default().right.count(answer.is_right());
        }
        self.faultless.count(is_faultless);
    }

    /// How often an attribute was drawn as asked, and how often it was swapped with that of another figure; zeros if no
    /// picture has it.
    #[must_use]
    pub fn of(&self, attribute: Attribute) -> Count {
        self.attributes.get(&attribute).copied().unwrap_or_default()
    }

    /// The counts of several attributes together.
    #[must_use]
    pub fn over(&self, attributes: &[Attribute]) -> Count {
        attributes.iter().fold(Count::default(), |mut sum, &attribute| {
            sum += self.of(attribute);
            sum
        })
    }
}

impl std::ops::AddAssign<&Self> for Score {
    fn add_assign(&mut self, other: &Self) {
        self.faultless += other.faultless;
        for (&attribute, &count) in &other.attributes {
            *self.attributes.entry(attribute).or_default() += count;
        }
    }
}

/// Whether a reading matches the request for another figure instead; `None` if all requests are the same, so that a swap
/// is not visible.
#[must_use]
pub fn swap(figures: &[FigureAnswers], figure: usize, answer: usize) -> Option<bool> {
    let mine = figures.get(figure)?.answers.get(answer)?;
    let others = || {
        let of_others = figures.iter().enumerate().filter(move |&(index, _)| index != figure);
        let answers = of_others.flat_map(|(_, other)| &other.answers);
        answers.filter(|other| other.attribute == mine.attribute && other.asked != mine.asked)
    };
    others().next()?;
    Some(others().any(|other| other.asked == mine.read))
}

/// Scores by case and by the form that its prompts were written in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scores(BTreeMap<(Case, Form), Score>);

impl Scores {
    /// Counts pictures.
    pub fn count<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut scores = Self::default();
        for record in records {
            scores.0.entry((record.key.case, record.key.form)).or_default().add(record);
        }
        scores
    }

    /// The score of a case in a form; `None` if it was not measured.
    #[must_use]
    pub fn get(&self, case: Case, form: Form) -> Option<&Score> {
        self.0.get(&(case, form))
    }

    /// The score of several cases together in a form; `None` unless all were measured.
    #[must_use]
    pub fn together(&self, cases: &[Case], form: Form) -> Option<Score> {
        let mut sum = Score::default();
        for &case in cases {
            sum += self.get(case, form)?;
        }
        Some(sum)
    }

    /// The cases that were measured, in the order of the page.
    pub fn cases(&self) -> impl Iterator<Item = Case> + '_ {
        Case::ALL.iter().copied().filter(|&case| Form::ALL.iter().any(|&form| self.get(case, form).is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Answer, Key};

    /// A figure by `(attribute, asked, read)`.
    fn figure(answers: &[(Attribute, &str, &str)]) -> FigureAnswers {
        let answer = |&(attribute, asked, read): &(Attribute, &str, &str)| Answer {
            attribute,
            asked: asked.to_owned(),
            read: read.to_owned(),
        };
        FigureAnswers { position: "left".to_owned(), answers: answers.iter().map(answer).collect() }
    }

    fn picture(figures: Vec<FigureAnswers>) -> Record {
        Record {
            key: Key { case: Case::TwoCrossed, scene: 0, image: 0, form: Form::Xml },
            seed: 1,
            sampling: String::new(),
            pixels_sha256: String::new(),
            figures,
            picture: Vec::new(),
        }
    }

    fn share(hits: u64, trials: u64) -> Share {
        Share { hits, trials }
    }

    const HAIR: Attribute = Attribute::HairColor;
    const EYES: Attribute = Attribute::EyeColor;

    #[test]
    fn both_colours_of_a_pair_that_changed_places_are_swapped() {
        let mut score = Score::default();
        score.add(&picture(vec![figure(&[(HAIR, "blue", "pink")]), figure(&[(HAIR, "pink", "blue")])]));
        assert_eq!(score.of(HAIR), Count { right: share(0, 2), swapped: share(2, 2) });
        assert_eq!(score.faultless, share(0, 1));
    }

    #[test]
    fn a_colour_that_leaked_is_swapped_on_one_side_only() {
        let mut score = Score::default();
        score.add(&picture(vec![figure(&[(HAIR, "blue", "blue")]), figure(&[(HAIR, "pink", "blue")])]));
        assert_eq!(score.of(HAIR), Count { right: share(1, 2), swapped: share(1, 2) });
    }

    #[test]
    fn a_wrong_colour_of_nobody_is_wrong_and_not_swapped() {
        let mut score = Score::default();
        score.add(&picture(vec![figure(&[(HAIR, "blue", "green")]), figure(&[(HAIR, "pink", "pink")])]));
        assert_eq!(score.of(HAIR), Count { right: share(1, 2), swapped: share(0, 2) });
    }

    #[test]
    fn where_both_were_asked_for_the_same_nothing_can_be_swapped() {
        let mut score = Score::default();
        score.add(&picture(vec![figure(&[(HAIR, "blue", "pink")]), figure(&[(HAIR, "blue", "blue")])]));
        assert_eq!(score.of(HAIR), Count { right: share(1, 2), swapped: share(0, 0) });
        // Nor where the other has no such attribute, as eyes that are shut, or where there is no other.
        score.add(&picture(vec![figure(&[(EYES, "blue", "pink")]), figure(&[(HAIR, "pink", "pink")])]));
        score.add(&picture(vec![figure(&[(EYES, "blue", "blue")])]));
        assert_eq!(score.of(EYES), Count { right: share(1, 2), swapped: share(0, 0) });
    }

    #[test]
    fn among_three_any_other_figure_counts() {
        let figures = vec![
            figure(&[(HAIR, "blue", "red")]),
            figure(&[(HAIR, "blue", "blue")]),
            figure(&[(HAIR, "red", "green")]),
        ];
        assert_eq!([0, 1, 2].map(|index| swap(&figures, index, 0)), [Some(true), Some(false), Some(false)]);
        assert_eq!(swap(&figures, 3, 0), None);
    }

    #[test]
    fn sums_go_over_attributes_and_cases() {
        let mut scores = Scores::default();
        let mut record = picture(vec![figure(&[(HAIR, "blue", "blue"), (EYES, "red", "blue")])]);
        record.picture = figure(&[(Attribute::Framing, "full_body", "upper_body")]).answers;
        for case in [Case::UnseenOne, Case::UnseenTwo] {
            record.key.case = case;
            scores = Scores::count([&record, &record]);
            assert_eq!(scores.cases().collect::<Vec<_>>(), [case]);
        }
        let score = scores.get(Case::UnseenTwo, Form::Xml).unwrap();
        assert_eq!(score.over(&[HAIR, EYES]).right, share(2, 4));
        assert_eq!(score.of(Attribute::Framing).right, share(0, 2));
        assert_eq!(score.faultless, share(0, 2));
        assert_eq!(scores.together(&[Case::UnseenOne, Case::UnseenTwo], Form::Xml), None);
        let mut other = record.clone();
        other.key.case = Case::UnseenOne;
        let both = Scores::count([&record, &other]).together(&[Case::UnseenOne, Case::UnseenTwo], Form::Xml).unwrap();
        assert_eq!(both.of(HAIR).right, share(2, 2));
    }

    #[test]
    fn a_picture_counts_as_faultless_whatever_is_behind_the_figures() {
        let mut record = picture(vec![figure(&[(HAIR, "blue", "blue")])]);
        record.picture = figure(&[(Attribute::Backdrop, "forest", "city")]).answers;
        assert_eq!(Scores::count([&record]).get(Case::TwoCrossed, Form::Xml).unwrap().faultless, share(1, 1));
    }

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
        for (hits, trials, text) in [
            (81, 263, "30.80 % (25.53–36.62)"),
            (15, 148, "10.14 % (6.24–16.05)"),
            (0, 20, "0.00 % (0.00–16.11)"),
            (1, 29, "3.45 % (0.61–17.18)"),
        ] {
            assert_eq!(share(hits, trials).to_string(), text);
        }
        assert_eq!(share(0, 0).to_string(), "–");
        assert_eq!(share(0, 0).percent(), None);
    }
}
