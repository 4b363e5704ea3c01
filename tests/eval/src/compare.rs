//! Two models asked for the same scenes with the same noise, in three ways: NewBie by XML, NewBie by tags, and Stable Diffusion XL
//! by tags.
//!
//! The results of each model lie in a folder of their own, as [`run`](crate::run) writes them. A scene is drawn several times with
//! different noise: its pictures in order are the tries until one is right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sakuga_figures::attributes::Attribute;

use crate::case::Case;
use crate::error::EvalError;
use crate::form::Form;
use crate::record::{Answer, FigureAnswers, Record};
use crate::score::{Share, swap};
use crate::store::Results;

/// One of the two models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// NewBie.
    Newbie,
    /// Stable Diffusion XL.
    Sd,
}

impl Part {
    /// Both, in the order of the page.
    pub const ALL: [Self; 2] = [Self::Newbie, Self::Sd];

    /// The name of its folder and of its files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Newbie => "newbie",
            Self::Sd => "sd",
        }
    }
}

/// A model asked in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name on the page.
    pub title: &'static str,
    /// The model.
    pub part: Part,
    /// The form of the requests.
    pub form: Form,
}

/// The systems in the order of the page. A request of Stable Diffusion XL travels as XML, and the server writes the list of tags that
/// its encoders read.
pub const SYSTEMS: [System; 3] = [
    System { title: "NewBie, XML", part: Part::Newbie, form: Form::Xml },
    System { title: "NewBie, tags", part: Part::Newbie, form: Form::Tags },
    System { title: "SD-Anime, tags", part: Part::Sd, form: Form::Xml },
];

/// The folder of a comparison.
#[derive(Clone, Debug)]
pub struct Comparison {
    folder: PathBuf,
}

impl Comparison {
    /// The comparison in this folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the results of a model lie.
    #[must_use]
    pub fn folder(&self, part: Part) -> PathBuf {
        self.folder.join(part.name())
    }

    /// The forms in which each model is asked.
    #[must_use]
    pub fn forms() -> [Vec<Form>; 2] {
        Part::ALL.map(|part| SYSTEMS.iter().filter(|system| system.part == part).map(|system| system.form).collect())
    }

    /// What was measured of both models, in the order of [`Part::ALL`].
    ///
    /// # Errors
    ///
    /// [`EvalError::NoResults`] of a model, [`EvalError::File`] and [`EvalError::Content`].
    pub fn read(&self) -> Result<[Results; 2], EvalError> {
        let [newbie, sd] = Part::ALL.map(|part| Results::read(&self.folder(part)));
        Ok([newbie?, sd?])
    }
}

/// Counts of one system in one case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Pictures whose colours of hair are all right.
    pub hair_right: Share,
    /// Pictures in which a colour of hair is that of another character.
    pub hair_swapped: Share,
    /// Pictures without a wrong attribute.
    pub faultless: Share,
    /// Failures before the first picture whose colours of hair are right.
    pub hair_tries: Tries,
    /// Failures before the first picture without a wrong attribute.
    pub faultless_tries: Tries,
}

/// How many pictures of a scene were not right before the first that is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Scenes by the number of failures before the first right picture.
    pub failures: BTreeMap<u32, u64>,
    /// Scenes of which no picture was right.
    pub never: u64,
}

impl Tries {
    fn add(&mut self, right: impl IntoIterator<Item = bool>) {
        match right.into_iter().position(|is_right| is_right) {
            Some(failures) => *self.failures.entry(failures as u32).or_default() += 1,
            None => self.never += 1,
        }
    }

    /// All scenes.
    #[must_use]
    pub fn scenes(&self) -> u64 {
        self.failures.values().sum::<u64>() + self.never
    }

    /// Mean of the failures before the first right picture, over the scenes that have one.
    #[must_use]
    pub fn mean_failures(&self) -> Option<f64> {
        let scenes = self.failures.values().sum::<u64>();
        let failures: u64 = self.failures.iter().map(|(&failures, &scenes)| u64::from(failures) * scenes).sum();
        (scenes > 0).then(|| failures as f64 / scenes as f64)
    }
}

impl Tally {
    /// Counts the records of a case in a form. Pictures of a scene count in the order of their numbers.
    #[must_use]
    pub fn of(records: &[Record], case: Case, form: Form) -> Self {
        let mut tally = Self::default();
        let mut scenes: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.key.case == case && record.key.form == form) {
            scenes.entry(record.key.scene).or_default().push(record);
        }
        for pictures in scenes.values_mut() {
            pictures.sort_by_key(|record| record.key.image);
            tally.hair_tries.add(pictures.iter().map(|record| has_right_hair(record)));
            tally.faultless_tries.add(pictures.iter().map(|record| is_faultless(record)));
            for record in pictures {
                tally.hair_right.count(has_right_hair(record));
                tally.hair_swapped.count(has_swapped_hair(record));
                tally.faultless.count(is_faultless(record));
            }
        }
        tally
    }
}

/// Pictures that are right in one system and not in another: of the same case, scene, and noise.
#[must_use]
pub fn disagreements(first: &[&Record], second: &[&Record]) -> [u64; 2] {
    let right = |records: &[&Record]| -> BTreeMap<(Case, u64, u32), bool> {
        records
            .iter()
            .map(|record| ((record.key.case, record.key.scene, record.key.image), is_faultless(record)))
            .collect()
    };
    let second = right(second);
    let mut only = [0, 0];
    for (key, is_right) in right(first) {
        match (is_right, second.get(&key)) {
            (true, Some(false)) => only[0] += 1,
            (false, Some(true)) => only[1] += 1,
            _ => {}
        }
    }
    only
}

fn answers(record: &Record) -> impl Iterator<Item = (usize, usize, &Answer)> {
    let figures = record.figures.iter().enumerate();
    figures.flat_map(|(figure, FigureAnswers { answers, .. })| {
        answers.iter().enumerate().map(move |(at, answer)| (figure, at, answer))
    })
}

fn is_faultless(record: &Record) -> bool {
    answers(record).all(|(_, _, answer)| answer.is_right())
}

fn has_right_hair(record: &Record) -> bool {
    answers(record)
        .filter(|(_, _, answer)| answer.attribute == Attribute::HairColor)
        .all(|(_, _, answer)| answer.is_right())
}

fn has_swapped_hair(record: &Record) -> bool {
    answers(record)
        .filter(|(_, _, answer)| answer.attribute == Attribute::HairColor)
        .any(|(figure, at, _)| swap(&record.figures, figure, at) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Key;

    /// Two characters whose colours of hair were read as `read`; blue and pink were asked for.
    fn record(scene: u64, image: u32, read: [&str; 2], outfit: &str) -> Record {
        let answer = |attribute, asked: &str, read: &str| Answer { attribute, asked: asked.into(), read: read.into() };
        let figures = [("blue", read[0]), ("pink", read[1])].map(|(asked, read)| FigureAnswers {
            position: "left".to_owned(),
            answers: vec![answer(Attribute::HairColor, asked, read), answer(Attribute::Outfit, "robe", outfit)],
        });
        Record {
            key: Key { case: Case::TwoCrossed, scene, image, form: Form::Xml },
            seed: scene,
            sampling: String::new(),
            pixels_sha256: String::new(),
            figures: figures.to_vec(),
            picture: Vec::new(),
        }
    }

    const RIGHT: [&str; 2] = ["blue", "pink"];
    const SWAPPED: [&str; 2] = ["pink", "blue"];

    #[test]
    fn tries_end_with_the_first_right_picture() {
        let records = [
            // Right in hair at once, and in all at the second try, although they come in another order.
            record(0, 1, RIGHT, "robe"),
            record(0, 0, RIGHT, "dress"),
            // Never right.
            record(1, 0, SWAPPED, "robe"),
            record(1, 1, ["green", "pink"], "robe"),
        ];
        let tally = Tally::of(&records, Case::TwoCrossed, Form::Xml);
        assert_eq!(tally.hair_tries, Tries { failures: [(0, 1)].into(), never: 1 });
        assert_eq!(tally.faultless_tries, Tries { failures: [(1, 1)].into(), never: 1 });
        assert_eq!((tally.faultless_tries.mean_failures(), tally.faultless_tries.scenes()), (Some(1.0), 2));
        let share = |hits| Share { hits, trials: 4 };
        assert_eq!((tally.hair_right, tally.hair_swapped, tally.faultless), (share(2), share(1), share(1)));
        assert_eq!(Tally::of(&records, Case::TwoCrossed, Form::Tags), Tally::default());
        assert_eq!(Tally::default().hair_tries.mean_failures(), None);
    }

    #[test]
    fn disagreements_are_of_the_same_picture() {
        let first = [record(0, 0, RIGHT, "robe"), record(0, 1, SWAPPED, "robe"), record(7, 0, RIGHT, "robe")];
        let second = [record(0, 0, SWAPPED, "robe"), record(0, 1, RIGHT, "robe")];
        assert_eq!(disagreements(&first.iter().collect::<Vec<_>>(), &second.iter().collect::<Vec<_>>()), [1, 1]);
    }

    #[test]
    fn both_models_are_asked_in_their_forms() {
        assert_eq!(Comparison::forms(), [vec![Form::Xml, Form::Tags], vec![Form::Xml]]);
    }
}
