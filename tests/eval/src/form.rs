//! The forms in which a scene is sent to the server.

use clap::ValueEnum;
use sakuga_figures::Scene;
use sakuga_figures::prompt::plain_tags;
use sakuga_figures::rng::Rng;
use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::shuffle::shuffle_children;

/// The form in which a scene is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Canonical XML.
    Xml,
    /// XML with the children of each character and of the general tags in a random order.
    Shuffled,
    /// The same tags in one line, without any structure.
    Tags,
    /// Not sent at all but drawn by the figure generator, as a perfect model would: wrong readings here are
    /// errors of the oracle.
    Drawn,
}

impl Form {
    /// Every form, in the order of the page.
    pub const ALL: &'static [Self] = &[Self::Xml, Self::Shuffled, Self::Tags, Self::Drawn];

    /// The forms that are sent to the server.
    pub const SENT: &'static [Self] = &[Self::Xml, Self::Shuffled, Self::Tags];

    /// The name in results and of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Shuffled => "shuffled",
            Self::Tags => "tags",
            Self::Drawn => "drawn",
        }
    }

    /// The name on the page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Xml => "XML",
            Self::Shuffled => "XML, shuffled",
            Self::Tags => "plain tags",
            Self::Drawn => "as drawn",
        }
    }

    /// The text that the server gets; `None` of a form that is not sent. The order of shuffled children follows from
    /// the scene's seed.
    #[must_use]
    pub fn text(self, case: Case, scene: &Scene) -> Option<String> {
        let prompt = case.prompt(scene);
        match self {
            Self::Xml => Some(prompt.to_xml()),
            Self::Shuffled => {
                let mut rng = Rng::for_stream(scene.seed, 0x5ff1e);
                Some(shuffle_children(&prompt.to_xml(), &mut rng))
            }
            Self::Tags => {
                let sentence = prompt.caption.as_ref().map(|caption| format!(", {caption}"));
                Some(plain_tags(&prompt) + sentence.as_deref().unwrap_or_default())
            }
            Self::Drawn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_schema::{CheckOptions, Envelope, check};

    fn scenes() -> impl Iterator<Item = (Case, Scene)> {
        Case::ALL.iter().flat_map(|&case| (0..40).map(move |index| (case, case.scene(1, index))))
    }

    #[test]
    fn shuffled_xml_is_the_same_prompt_in_another_order() {
        let (mut moved, mut all) = (0, 0);
        for (case, scene) in scenes() {
            let (xml, shuffled) = (Form::Xml.text(case, &scene).unwrap(), Form::Shuffled.text(case, &scene).unwrap());
            assert_eq!(Form::Shuffled.text(case, &scene).unwrap(), shuffled);
            moved += usize::from(shuffled != xml);
            all += 1;
            let checked = check(&shuffled, &CheckOptions::default());
            assert!(checked.is_valid(), "{:?}\n{shuffled}", checked.diagnostics);
            assert_eq!(checked.prompt, Some(case.prompt(&scene)), "{shuffled}");
        }
        assert!(moved * 100 >= all * 97, "{moved} of {all}");
    }

    #[test]
    fn plain_tags_reach_the_model_as_they_are() {
        for (case, scene) in scenes() {
            let text = Form::Tags.text(case, &scene).unwrap();
            let checked = check(&text, &CheckOptions::default());
            assert_eq!(checked.envelope, Envelope::Plain, "{text}");
            assert!(checked.is_valid(), "{:?}", checked.diagnostics);
            assert_eq!(checked.prompt.unwrap().to_model_text(), text);
        }
    }

    #[test]
    fn names_are_those_of_the_results() {
        for &form in Form::ALL {
            assert_eq!(serde_json::to_value(form).unwrap(), form.name());
        }
    }
}
