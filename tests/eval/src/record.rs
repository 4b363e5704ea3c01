//! One picture as requested and as read: a line of the results.

use sakuga_figures::Scene;
use sakuga_figures::attributes::Attribute;
use sakuga_figures::oracle::{Reading, Report};
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::form::Form;

/// Which picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Which attributes the scene crosses.
    pub case: Case,
    /// The scene's number in it.
    pub scene: u64,
    /// The picture's number among those of one request.
    pub image: u32,
    /// Whether the prompt was XML or tags.
    pub form: Form,
}

/// One picture as requested and as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which picture.
    #[serde(flatten)]
    pub key: Key,
    /// The seed of the request.
    pub seed: u64,
    /// How it was sampled, every default filled in by the server; empty if it was drawn.
    pub sampling: String,
    /// SHA-256 of the pixels, as the server names it; empty if it was drawn.
    pub pixels_sha256: String,
    /// The figures in the order of the prompt.
    pub figures: Vec<FigureAnswers>,
    /// The reading of the picture as a whole.
    pub picture: Vec<Answer>,
}

/// The reading of one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FigureAnswers {
    /// The requested position.
    pub position: String,
    /// Its attributes.
    pub answers: Vec<Answer>,
}

/// One attribute as requested and as read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What is compared, such as the colour of the hair.
    #[serde(with = "attribute_name")]
    pub attribute: Attribute,
    /// The requested tag.
    pub asked: String,
    /// The tag that was read.
    pub read: String,
}

impl Answer {
    /// Whether the tag that was read is the requested one.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.asked == self.read
    }
}

impl From<&Reading> for Answer {
    fn from(reading: &Reading) -> Self {
        Self { attribute: reading.attribute, asked: reading.asked.to_owned(), read: reading.read.to_owned() }
    }
}

/// The reading of eyes that should be open and are closed.
const SHUT: &str = "shut";

/// The readings of the oracle, by figure and of the picture as a whole.
#[must_use]
pub fn answers(scene: &Scene, report: &Report) -> (Vec<FigureAnswers>, Vec<Answer>) {
    let figures = scene.figures.iter().zip(&report.figures).map(|(figure, readings)| {
        let mut answers: Vec<Answer> = readings.iter().map(Answer::from).collect();
        let has_eyes = answers.iter().any(|answer| answer.attribute == Attribute::EyeColor);
        if !has_eyes && !figure.expression.hides_eyes() {
            // The oracle reads no colour of shut eyes; it was requested nevertheless.
            let asked = figure.eye_color.tag().to_owned();
            answers.push(Answer { attribute: Attribute::EyeColor, asked, read: SHUT.to_owned() });
            answers.sort_by_key(|answer| answer.attribute);
        }
        FigureAnswers { position: figure.position.tag().to_owned(), answers }
    });
    (figures.collect(), report.scene.iter().map(Answer::from).collect())
}

/// Attributes by their names in reports.
mod attribute_name {
    use sakuga_figures::attributes::Attribute;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(attribute: &Attribute, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(attribute.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attribute, D::Error> {
        let name = String::deserialize(deserializer)?;
        let mut known = Attribute::OF_FIGURE.iter().chain(Attribute::OF_SCENE).copied();
        known
            .find(|attribute| attribute.name() == name)
            .ok_or_else(|| D::Error::custom(format!("`{name}` is not an attribute")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_figures::attributes::Expression;

    #[test]
    fn eyes_that_are_shut_and_should_not_be_are_wrong() {
        let reading = |attribute| Reading::new(attribute, "a", "a", 1.0);
        let readings = [Attribute::HairColor, Attribute::Expression].map(reading).to_vec();
        let report = Report::new(vec![readings], Vec::new());
        let mut scene = Case::One.scene(1, 0);
        let eyes = |scene: &Scene| {
            let (figures, _) = answers(scene, &report);
            let eyes = figures[0].answers.iter().find(|answer| answer.attribute == Attribute::EyeColor);
            eyes.map(|answer| (answer.read.clone(), answer.is_right()))
        };
        assert_eq!(eyes(&scene), Some((SHUT.to_owned(), false)));
        scene.figures[0].expression = Expression::ClosedEyes;
        assert_eq!(eyes(&scene), None);
    }

    #[test]
    fn a_line_is_read_back() {
        let answer = |attribute| Answer { attribute, asked: "a".to_owned(), read: "b".to_owned() };
        let answers = Attribute::OF_FIGURE.iter().copied().map(answer).collect();
        let record = Record {
            key: Key { case: Case::TwoCrossed, scene: 7, image: 1, form: Form::Tags },
            seed: u64::MAX,
            sampling: "euler, 20 steps".to_owned(),
            pixels_sha256: "00".to_owned(),
            figures: vec![FigureAnswers { position: "left".to_owned(), answers }],
            picture: Attribute::OF_SCENE.iter().copied().map(answer).collect(),
        };
        let line = serde_json::to_string(&record).unwrap();
        assert!(line.starts_with(r#"{"case":"two-crossed","scene":7,"image":1,"form":"tags","#), "{line}");
        assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record);
        let error = serde_json::from_str::<Record>(&line.replace("hair color", "mood")).unwrap_err();
        assert!(error.to_string().contains("`mood` is not an attribute"), "{error}");
    }
}
