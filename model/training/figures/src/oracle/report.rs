//! What the oracle found, and counts over many pictures.

use std::collections::BTreeMap;

use crate::attributes::Attribute;

/// One attribute as asked and as read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The attribute that was read.
    pub attribute: Attribute,
    /// The tag that was asked for.
    pub asked: &'static str,
    /// The tag that was read.
    pub read: &'static str,
    /// Whether both are the same.
    pub is_right: bool,
    /// How much nearer the value read is than the next one: 0 not at all, 1 infinitely.
    pub confidence: f32,
    /// The figure (index in the prompt) that was asked to have what was read here, where this one was asked for
    /// something else: a swap.
    pub belongs_to: Option<usize>,
}

impl Reading {
    /// A reading that is not yet compared with the other figures.
    #[must_use]
    pub fn new(attribute: Attribute, asked: &'static str, read: &'static str, confidence: f32) -> Self {
        Self { attribute, asked, read, is_right: asked == read, confidence, belongs_to: None }
    }
}

/// All readings of one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The readings of each figure, in the order of the prompt.
    pub figures: Vec<Vec<Reading>>,
    /// The readings of the picture as a whole.
    pub scene: Vec<Reading>,
}

impl Report {
    /// Readings with the swaps among them marked.
    #[must_use]
    pub fn new(mut figures: Vec<Vec<Reading>>, scene: Vec<Reading>) -> Self {
        let asked: Vec<Vec<(Attribute, &'static str)>> = figures
            .iter()
            .map(|readings| readings.iter().map(|reading| (reading.attribute, reading.asked)).collect())
            .collect();
        for (index, readings) in figures.iter_mut().enumerate() {
            for reading in readings.iter_mut().filter(|reading| !reading.is_right) {
                let wanted = (reading.attribute, reading.read);
                reading.belongs_to = (0..asked.len()).find(|&other| other != index && asked[other].contains(&wanted));
            }
        }
        Self { figures, scene }
    }

    /// Every reading, those of the figures first.
    pub fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.figures.iter().flatten().chain(&self.scene)
    }
}

/// How often an attribute was asked, read right, and read as another figure's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Readings.
    pub asked: u64,
    /// Right ones.
    pub right: u64,
    /// Wrong ones that were another figure's.
    pub swapped: u64,
}

/// Counts over many reports, by attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each attribute was asked for and read right.
    pub counts: BTreeMap<Attribute, Count>,
}

impl Tally {
    /// Adds the counts of another report.
    pub fn add(&mut self, report: &Report) {
        for reading in report.readings() {
            let count = self.counts.entry(reading.attribute).or_default();
            count.asked += 1;
            count.right += u64::from(reading.is_right);
            count.swapped += u64::from(reading.belongs_to.is_some());
        }
    }

    /// The sum over attributes of figures.
    #[must_use]
    pub fn figures(&self) -> Count {
        self.sum(|attribute| Attribute::OF_FIGURE.contains(&attribute))
    }

    /// The sum over everything.
    #[must_use]
    pub fn total(&self) -> Count {
        self.sum(|_| true)
    }

    fn sum(&self, is_wanted: impl Fn(Attribute) -> bool) -> Count {
        self.counts.iter().filter(|&(&attribute, _)| is_wanted(attribute)).fold(Count::default(), |sum, (_, count)| {
            Count {
                asked: sum.asked + count.asked,
                right: sum.right + count.right,
                swapped: sum.swapped + count.swapped,
            }
        })
    }
}

/// The interval that holds the true share with 95 % confidence (E. B. Wilson, "Probable inference, the law of
/// succession, and statistical inference", 1927); (0, 1) if nothing was counted.
#[must_use]
pub fn wilson_interval(hits: u64, trials: u64) -> (f64, f64) {
    const Z: f64 = 1.959_963_985;
    if trials == 0 {
        return (0.0, 1.0);
    }
    let n = trials as f64;
    let share = hits as f64 / n;
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    let middle = share + Z * Z / (2.0 * n);
    (((middle - spread) / scale).max(0.0), ((middle + spread) / scale).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_another_figure_should_have_is_a_swap() {
        let left = vec![Reading::new(Attribute::HairColor, "blue_hair", "pink_hair", 0.5)];
        let right = vec![Reading::new(Attribute::HairColor, "pink_hair", "green_hair", 0.5)];
        let report = Report::new(vec![left, right], Vec::new());
        assert_eq!(report.figures[0][0].belongs_to, Some(1));
        assert_eq!(report.figures[1][0].belongs_to, None);
        let mut tally = Tally::default();
        tally.add(&report);
        assert_eq!(tally.total(), Count { asked: 2, right: 0, swapped: 1 });
    }

    #[test]
    fn the_interval_is_wilsons() {
        // Newcombe 1998, table I, method 3: 15 of 148.
        let (low, high) = wilson_interval(15, 148);
        assert!((low - 0.0624).abs() < 1e-4 && (high - 0.1605).abs() < 1e-4, "{low} {high}");
        assert_eq!(wilson_interval(0, 0), (0.0, 1.0));
    }
}
