//! The cases: which scenes are requested.

use clap::ValueEnum;
use sakuga_figures::attributes::{Attribute, ClothColor, EyeColor, HairColor, Position};
use sakuga_figures::rng::Rng;
use sakuga_figures::{Constraints, Figure, HeldOut, Scene, heldout};
use sakuga_schema::{Gender, Prompt};
use serde::{Deserialize, Serialize};

use crate::unknown::add_unknown_words;

/// The attributes that are counted first: those that distinguish characters.
///
/// Gender, skin and action are requested and read as well, and reported with all the others.
pub const EIGHT: &[Attribute] = &[
    Attribute::HairColor,
    Attribute::HairStyle,
    Attribute::Bangs,
    Attribute::EyeColor,
    Attribute::Expression,
    Attribute::Outfit,
    Attribute::ClothColor,
    Attribute::Accessory,
];

/// Which scenes are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Case {
    /// One character with all eight attributes.
    One,
    /// Two characters of which no attribute is the same.
    TwoCrossed,
    /// Three characters of which no two have an attribute in common.
    ThreeCrossed,
    /// One character with a combination that training never draws.
    UnseenOne,
    /// Two characters, each with a combination that training never draws.
    UnseenTwo,
    /// Two characters in a text with tags, names and sentences that no figure shows and training never adds.
    UnknownWords,
    /// Three crossed characters whose colours of hair, eyes and clothes are neighbours of each other.
    ThreeNear,
    /// Three crossed characters, each with a combination that training never draws.
    ThreeRare,
}

impl Case {
    /// Every case, in the order of the page.
    pub const ALL: &'static [Self] = &[
        Self::One,
        Self::TwoCrossed,
        Self::ThreeCrossed,
        Self::UnseenOne,
        Self::UnseenTwo,
        Self::UnknownWords,
        Self::ThreeNear,
        Self::ThreeRare,
    ];

    /// The cases of the comparison of two systems: crossed characters, and two harder sets.
    pub const COMPARED: &'static [Self] = &[Self::TwoCrossed, Self::ThreeCrossed, Self::ThreeNear, Self::ThreeRare];

    /// The name on the command line and of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::TwoCrossed => "two-crossed",
            Self::ThreeCrossed => "three-crossed",
            Self::UnseenOne => "unseen-one",
            Self::UnseenTwo => "unseen-two",
            Self::UnknownWords => "unknown-words",
            Self::ThreeNear => "three-near",
            Self::ThreeRare => "three-rare",
        }
    }

    /// The name on the page.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::One => "one character",
            Self::TwoCrossed => "two characters, crossed",
            Self::ThreeCrossed => "three characters, crossed",
            Self::UnseenOne => "one character, unseen",
            Self::UnseenTwo => "two characters, unseen",
            Self::UnknownWords => "two characters among unknown words",
            Self::ThreeNear => "three characters, near colours",
            Self::ThreeRare => "three characters, rare combinations",
        }
    }

    /// Characters in a picture.
    #[must_use]
    pub fn characters(self) -> usize {
        match self {
            Self::One | Self::UnseenOne => 1,
            Self::TwoCrossed | Self::UnseenTwo | Self::UnknownWords => 2,
            Self::ThreeCrossed | Self::ThreeNear | Self::ThreeRare => 3,
        }
    }

    /// The scene of this number, the same for every form and in every run with this seed.
    #[must_use]
    pub fn scene(self, seed: u64, index: u64) -> Scene {
        let mut rng = Rng::for_stream(self.seed(seed), index);
        match self {
            Self::One | Self::TwoCrossed | Self::ThreeCrossed => {
                let draw = |rng: &mut Rng, _, position| Figure::random(rng, position);
                distinct(&mut rng, self.characters(), index, draw, HeldOut::Never)
            }
            Self::ThreeNear => near(&mut rng, index),
            Self::ThreeRare => {
                distinct(&mut rng, self.characters(), index, |rng, _, position| rare(rng, position), HeldOut::Always)
            }
            Self::UnknownWords => {
                let constraints = Constraints { figures: Some(self.characters()), held_out: HeldOut::Never };
                Scene::random(&mut rng, &constraints)
            }
            Self::UnseenOne | Self::UnseenTwo => {
                let constraints = Constraints { figures: Some(self.characters()), held_out: HeldOut::Always };
                Scene::random(&mut rng, &constraints)
            }
        }
    }

    /// The prompt of a scene, the same for every form. Unknown words follow from the scene's seed.
    #[must_use]
    pub fn prompt(self, scene: &Scene) -> Prompt {
        let mut prompt = scene.to_prompt();
        if self == Self::UnknownWords {
            add_unknown_words(&mut prompt, &mut Rng::for_stream(scene.seed, 0x0dd));
        }
        prompt
    }

    /// Where the noise of a scene's pictures starts, the same for every form.
    #[must_use]
    pub fn noise_seed(self, seed: u64, index: u64) -> u64 {
        Rng::for_stream(self.seed(seed), !index).next_u64()
    }

    fn seed(self, seed: u64) -> u64 {
        Rng::for_stream(seed, self as u64).next_u64()
    }
}

/// Three similar colours of hair, of eyes and of clothes: the ones that a model mistakes for each other first. Training does not hold
/// out any of their pairs of hair and eyes.
type Near = ([HairColor; 3], [EyeColor; 3], [ClothColor; 3]);
const NEAR: [Near; 4] = [
    (
        [HairColor::Aqua, HairColor::Blue, HairColor::Purple],
        [EyeColor::Aqua, EyeColor::Blue, EyeColor::Purple],
        [ClothColor::Aqua, ClothColor::Blue, ClothColor::Purple],
    ),
    (
        [HairColor::Red, HairColor::Pink, HairColor::Purple],
        [EyeColor::Red, EyeColor::Pink, EyeColor::Purple],
        [ClothColor::Red, ClothColor::Pink, ClothColor::Purple],
    ),
    (
        [HairColor::Blonde, HairColor::Orange, HairColor::Red],
        [EyeColor::Yellow, EyeColor::Orange, EyeColor::Brown],
        [ClothColor::Yellow, ClothColor::Orange, ClothColor::Red],
    ),
    (
        [HairColor::Aqua, HairColor::Green, HairColor::Blue],
        [EyeColor::Aqua, EyeColor::Green, EyeColor::Blue],
        [ClothColor::Aqua, ClothColor::Green, ClothColor::Blue],
    ),
];

/// Three crossed characters whose colours are those of one row of [`NEAR`], in a random order for each attribute.
fn near(rng: &mut Rng, index: u64) -> Scene {
    let (mut hair, mut eyes, mut clothes) = NEAR[rng.below(NEAR.len())];
    rng.shuffle(&mut hair);
    rng.shuffle(&mut eyes);
    rng.shuffle(&mut clothes);
    let draw = |rng: &mut Rng, at: usize, position| Figure {
        hair_color: hair[at],
        eye_color: eyes[at],
        cloth_color: clothes[at],
        ..Figure::random(rng, position)
    };
    distinct(rng, 3, index, draw, HeldOut::Never)
}

/// A character with a combination that training never draws.
fn rare(rng: &mut Rng, position: Position) -> Figure {
    let mut scene = Scene::random(rng, &Constraints { figures: Some(1), held_out: HeldOut::Always });
    Figure { position, ..scene.figures.remove(0) }
}

/// A scene whose figures have all eight attributes and none in common, each drawn for its place and with or without what training
/// holds out.
fn distinct(
    rng: &mut Rng,
    characters: usize,
    index: u64,
    draw: impl Fn(&mut Rng, usize, Position) -> Figure,
    held_out: HeldOut,
) -> Scene {
    let mut scene = Scene::random(rng, &Constraints { figures: Some(characters), held_out: HeldOut::Never });
    let boy = boy(characters, index).then(|| rng.below(characters));
    for at in 0..characters {
        let position = scene.figures[at].position;
        let gender = match boy {
            _ if characters == 1 => scene.figures[at].gender,
            Some(boy) if boy == at => Gender::Boy,
            _ => Gender::Girl,
        };
        scene.figures[at] = loop {
            let figure = draw(rng, at, position);
            let is_complete = figure.gender == gender && figure.accessory.is_some() && !figure.expression.hides_eyes();
            let is_wanted = heldout::is_held_out(&figure) == matches!(held_out, HeldOut::Always);
            if is_complete && is_wanted && scene.figures[..at].iter().all(|other| differs(&figure, other)) {
                break figure;
            }
        };
    }
    scene
}

/// Gender has two values only. Every other scene has girls alone, so that characters who share it are measured as well.
fn boy(characters: usize, index: u64) -> bool {
    characters > 1 && index.is_multiple_of(2)
}

/// Whether two figures have no attribute in common; the gender aside.
fn differs(a: &Figure, b: &Figure) -> bool {
    a.hair_color != b.hair_color
        && a.hair_style != b.hair_style
        && a.bangs != b.bangs
        && a.eye_color != b.eye_color
        && a.skin != b.skin
        && a.expression != b.expression
        && a.outfit != b.outfit
        && a.cloth_color != b.cloth_color
        && a.accessory != b.accessory
        && a.action != b.action
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_figures::attributes::AttributeSet;
    use sakuga_schema::Character;
    use std::collections::{BTreeSet, HashSet};

    fn scenes(case: Case) -> impl Iterator<Item = Scene> {
        (0..60).map(move |index| case.scene(1, index))
    }

    /// The tags that a figure's prompt has for one attribute.
    fn tags(figure: &Figure, attribute: Attribute) -> BTreeSet<String> {
        let Character { appearance, clothing, expression, action, .. } =
            figure.to_character(AttributeSet::NONE.with(attribute));
        [appearance, clothing, expression, action].iter().flat_map(|list| list.iter().cloned()).collect()
    }

    #[test]
    fn crossed_characters_have_no_attribute_in_common() {
        for &case in Case::COMPARED {
            for scene in scenes(case) {
                assert_eq!(scene.figures.len(), case.characters());
                for (at, figure) in scene.figures.iter().enumerate() {
                    for other in &scene.figures[at + 1..] {
                        let named = [Attribute::Skin, Attribute::Action];
                        // The colour of clothes is a tag together with the garment; it is compared alone.
                        let alone = EIGHT.iter().chain(&named).filter(|&&attribute| attribute != Attribute::ClothColor);
                        for &attribute in alone {
                            let (mine, theirs) = (tags(figure, attribute), tags(other, attribute));
                            assert!(!mine.is_empty() && mine.is_disjoint(&theirs), "{attribute:?}: {mine:?}");
                        }
                        assert_ne!(figure.cloth_color, other.cloth_color);
                        assert_ne!(figure.position, other.position);
                    }
                }
            }
        }
    }

    #[test]
    fn every_other_crossed_scene_has_one_boy() {
        for &case in Case::COMPARED {
            for (index, scene) in scenes(case).enumerate() {
                let boys = scene.figures.iter().filter(|figure| figure.gender == Gender::Boy).count();
                assert_eq!(boys, usize::from(index % 2 == 0));
            }
        }
    }

    #[test]
    fn one_character_has_all_eight_attributes() {
        for scene in scenes(Case::One) {
            let [figure] = scene.figures.as_slice() else { panic!("{scene:?}") };
            for &attribute in EIGHT.iter().filter(|&&attribute| attribute != Attribute::ClothColor) {
                assert!(!tags(figure, attribute).is_empty(), "{attribute:?} of {figure:?}");
            }
        }
    }

    #[test]
    fn only_the_unseen_cases_have_what_training_never_draws() {
        for case in [Case::One, Case::TwoCrossed, Case::ThreeCrossed, Case::UnknownWords, Case::ThreeNear] {
            assert!(scenes(case).all(|scene| !scene.is_held_out()));
        }
        for case in [Case::UnseenOne, Case::UnseenTwo, Case::ThreeRare] {
            assert!(scenes(case).all(|scene| scene.figures.iter().all(heldout::is_held_out)));
        }
    }

    #[test]
    fn near_colours_are_of_one_row() {
        let pairs =
            NEAR.iter().flat_map(|(hair, eyes, _)| hair.iter().flat_map(|hair| eyes.iter().map(|eyes| (*hair, *eyes))));
        assert_eq!(
            pairs.filter(|pair| heldout::EYES.contains(pair)).collect::<Vec<_>>(),
            [],
            "no figure could have it"
        );
        for scene in scenes(Case::ThreeNear) {
            let hair: BTreeSet<_> = scene.figures.iter().map(|figure| figure.hair_color.tag()).collect();
            let rows = NEAR.map(|(row, ..)| row.iter().map(|color| color.tag()).collect::<BTreeSet<_>>());
            assert!(rows.contains(&hair), "{hair:?}");
        }
    }

    #[test]
    fn scenes_and_noise_follow_from_the_seed_and_differ() {
        let mut seen = HashSet::new();
        for &case in Case::ALL {
            for index in 0..20 {
                let scene = case.scene(1, index);
                assert_eq!(scene, case.scene(1, index));
                assert_ne!(scene, case.scene(2, index));
                assert!(seen.insert((scene, case.noise_seed(1, index))));
                assert_ne!(case.noise_seed(1, index), case.noise_seed(2, index));
            }
        }
    }

    #[test]
    fn names_are_those_of_the_command_line_and_of_the_results() {
        for &case in Case::ALL {
            assert_eq!(Case::from_str(case.name(), false), Ok(case));
            assert_eq!(serde_json::to_value(case).unwrap(), case.name());
        }
    }
}
