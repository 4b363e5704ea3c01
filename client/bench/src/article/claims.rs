//! The article's figures, and the least that its card needs for what it says it did.

use serde::Deserialize;

use super::record::System;
use crate::chart::number;

/// Bytes of a GB, the unit of the article.
pub(super) const GB: f64 = 1e9;
/// Bytes of a bf16 value.
const VALUE_BYTES: f64 = 2.0;

/// All figures of the article.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The card that it used.
    pub card: Card,
    /// What it says of NewBie against SD-Anime in its summary.
    pub summary: Summary,
    newbie: Claimed,
    sd: Claimed,
}

/// The figures of its summary.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// By how much a picture takes less time.
    pub picture_time_lower_percent: f64,
    /// By how much the most memory is lower.
    pub memory_lower_percent: f64,
    /// By which factor the busy share deviates less.
    pub steadier_times: f64,
}

/// A card by its data sheet.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Dense products in bf16, in floating-point operations a second.
    pub flops_per_second: f64,
    /// Its memory, in bytes a second.
    pub bytes_per_second: f64,
    /// Its link to the host in one direction, in bytes a second.
    pub host_bytes_per_second: f64,
    /// Its memory in GB.
    pub memory_gb: f64,
}

/// What the article says of one system. What it does not say is absent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    /// The models.
    pub model: String,
    /// Size, steps and precision.
    pub settings: String,
    /// The phases of loading, in order.
    #[serde(default)]
    pub loading: Vec<ClaimedPhase>,
    /// The most memory while loading.
    pub loading_peak_gb: Option<f64>,
    /// Memory while pictures are drawn.
    pub memory_gb: f64,
    /// The most memory, which is that of the first picture.
    pub memory_peak_gb: Option<f64>,
    /// Range of the memory in use.
    pub memory_range_gb: f64,
    /// Busy share, mean.
    pub utilization_percent: f64,
    /// Its deviation, in points.
    pub utilization_deviation: f64,
    /// Busy share by thirds of the steps, from and to.
    pub thirds_percent: Option<[[f64; 2]; 3]>,
    /// Time of a picture.
    pub picture_s: f64,
    /// Mean rate of the device's memory.
    pub bandwidth_gb_s: f64,
    /// The highest rate.
    pub bandwidth_peak_gb_s: Option<f64>,
    /// Prompts as text and as XML.
    pub forms: Vec<ClaimedForm>,
    /// What one picture costs.
    pub work: Work,
}

/// A phase of loading.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedPhase {
    /// When it ended, from the start.
    pub until_s: f64,
    /// What was done.
    pub what: String,
    /// Memory at its end.
    pub memory_gb: f64,
}

/// The figures of a prompt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedForm {
    /// The case of `sakuga bench` that is like it.
    pub case: String,
    /// Time of the text encoders.
    pub text_ms: Option<f64>,
    /// Time of a picture.
    pub picture_s: f64,
    /// Deviation of the busy share, in points.
    pub utilization_deviation: Option<f64>,
    /// Pictures with swapped colours before the first right one.
    pub failures: Option<u32>,
}

/// The operations and weights of one picture, by the published sizes of the networks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Where the numbers are from.
    pub source: String,
    /// What is computed one after the other.
    pub parts: Vec<WorkPart>,
    /// Parameters of all networks.
    pub parameters: f64,
}

/// A network and how often it is evaluated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkPart {
    /// The part of the pipeline.
    pub name: String,
    /// Evaluations.
    pub count: u32,
    /// Operations of one, in 10^12; a multiplication with its addition counts as two.
    pub tflop: f64,
    /// Parameters that each evaluation reads.
    pub parameters: f64,
}

impl Work {
    /// Operations of one picture, in 10^12.
    pub fn tflop(&self) -> f64 {
        self.parts.iter().map(|part| f64::from(part.count) * part.tflop).sum()
    }

    /// The least time of a picture on a card, in seconds: of each evaluation the longer of its operations at the peak and of
    /// one read of its weights. Activations and text encoders are left out, so no program can be faster.
    pub fn least_s(&self, card: &Card) -> f64 {
        let of = |part: &WorkPart| {
            let operations = part.tflop * 1e12 / card.flops_per_second;
            f64::from(part.count) * operations.max(part.parameters * VALUE_BYTES / card.bytes_per_second)
        };
        self.parts.iter().map(of).sum()
    }

    /// Memory of all weights in bf16, in GB: the least for a system that keeps every network on the card.
    pub fn weights_gb(&self) -> f64 {
        self.parameters * VALUE_BYTES / GB
    }
}

/// A claim and the bound that it breaks, or keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Impossible {
    /// What is claimed, with its unit.
    pub what: String,
    /// The claim.
    pub claimed: f64,
    /// The least that the card needs.
    pub least: f64,
}

impl Impossible {
    /// Whether the card can do it.
    pub fn is_possible(&self) -> bool {
        self.claimed >= self.least
    }

    /// `possible, 1.9 times the least` or `not possible: …`.
    pub fn verdict(&self) -> String {
        let times = self.claimed / self.least;
        match self.is_possible() {
            true => format!("possible: {} times the least", number(times)),
            false => format!("not possible: {} of the least", number(times)),
        }
    }
}

impl Claims {
    /// The figures of `claims.json`.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file, which is part of the program.
    pub fn of_article() -> Self {
        serde_json::from_str(include_str!("claims.json")).expect("a test reads this file")
    }

    /// What it says of a system.
    pub fn of(&self, system: System) -> &Claimed {
        match system {
            System::Newbie => &self.newbie,
            System::Sd => &self.sd,
        }
    }

    /// Every claim that has a bound, with that bound.
    pub fn bounds(&self) -> Vec<Impossible> {
        let mut bounds = Vec::new();
        for system in System::ALL {
            let claimed = self.of(system);
            let mut add = |what: &str, claimed: f64, least: f64| {
                bounds.push(Impossible { what: format!("{}: {what}", system.title()), claimed, least });
            };
            let Claimed { work, loading, .. } = claimed;
            add("time of a picture, s", claimed.picture_s, work.least_s(&self.card));
            add("memory with all weights in bf16, GB", claimed.memory_gb, work.weights_gb());
            if let Some(last) = loading.last() {
                let least = work.weights_gb() * GB / self.card.host_bytes_per_second;
                add("time to load, s", last.until_s, least);
            }
        }
        bounds
    }

    /// How many of the guided evaluations fit into the claimed time of a picture, of how many. The decoder counts as one.
    pub fn evaluations_that_fit(&self, system: System) -> (f64, f64) {
        let claimed = self.of(system);
        let all: f64 = claimed.work.parts.iter().map(|part| f64::from(part.count)).sum();
        (all * claimed.picture_s / claimed.work.least_s(&self.card), all)
    }
}

impl Claimed {
    /// The case's figures; `None` if the article has none.
    pub fn form(&self, case: &str) -> Option<&ClaimedForm> {
        self.forms.iter().find(|form| form.case == case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::CASES;

    #[test]
    fn every_claimed_form_is_a_case() {
        let claims = Claims::of_article();
        let forms = System::ALL.iter().flat_map(|system| &claims.of(*system).forms);
        let names: Vec<&str> = forms.map(|form| form.case.as_str()).collect();
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|name| CASES.iter().any(|case| case.name == *name)), "{names:?}");
    }

    #[test]
    fn a_part_takes_the_longer_of_its_operations_and_its_weights() {
        let card = Card {
            name: "c".to_owned(),
            flops_per_second: 1e12,
            bytes_per_second: 1e9,
            host_bytes_per_second: 1e9,
            memory_gb: 1.0,
        };
        let part = |count, tflop, parameters| WorkPart { name: "p".to_owned(), count, tflop, parameters };
        // Two evaluations of 3 s of operations, and one that reads 4 GB for 4 s.
        let parts = vec![part(2, 3.0, 1e8), part(1, 1.0, 2e9)];
        let work = Work { source: String::new(), parts, parameters: 2.1e9 };
        assert_eq!((work.least_s(&card), work.tflop(), work.weights_gb()), (10.0, 7.0, 4.2));
    }

    #[test]
    fn a_picture_of_newbie_needs_longer_than_is_claimed() {
        let claims = Claims::of_article();
        let bounds = claims.bounds();
        let of = |name: &str| bounds.iter().find(|bound| bound.what.contains(name)).expect("it has a bound");
        let picture = of("NewBie: time of a picture");
        // 28 evaluations of 62.04 TFLOP and a decoder of 10.5 at 312 TFLOP/s.
        assert!((picture.least - 5.601).abs() < 1e-3, "{picture:?}");
        assert!(!picture.is_possible() && picture.verdict() == "not possible: 0.611 of the least");
        assert!(!of("NewBie: memory").is_possible(), "7.9 billion parameters take 15.8 GB");
        assert!(of("NewBie: time to load").is_possible());
        assert!(of("SD-Anime: time of a picture").is_possible() && of("SD-Anime: memory").is_possible());
        let (fit, all) = claims.evaluations_that_fit(System::Newbie);
        assert!((17.0..18.0).contains(&fit) && all == 29.0, "{fit}");
    }
}
