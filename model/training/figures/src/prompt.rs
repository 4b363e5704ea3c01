//! From a scene to a prompt and back: which tag stands in which element.

use sakuga_schema::{Character, Gender, GeneralTags, Prompt, TagList};

use crate::attributes::{
    Accessory, Action, Attribute, AttributeSet, Backdrop, Bangs, ClothColor, Expression, EyeColor, Framing, HairColor,
    HairStyle, Outfit, Place, Plain, Position, Skin, Style, TimeOfDay,
};
use crate::figure::Figure;
use crate::scene::{MAX_FIGURES, Scene};

/// Why a prompt does not describe a scene that can be drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FromPromptError {
    /// More characters than can be drawn, or none without `no_humans`.
    #[error("the prompt has {0} characters; scenes have 1 to {MAX_FIGURES}, or none and `no_humans` in <count>")]
    Characters(usize),
    /// A tag that no attribute has.
    #[error("`{tag}` in <{element}> is no tag of the figures; write one of those that `Scene::to_prompt` writes")]
    UnknownTag {
        /// The element that holds the tag.
        element: &'static str,
        /// The tag that no attribute has.
        tag: String,
    },
    /// The positions do not fit together.
    #[error(
        "the positions are {0}; give one figure `center`, two `left` and `right`, three `center` too, four `center_left` and `center_right` instead of it"
    )]
    Positions(String),
    /// A gender that is not drawn.
    #[error("character_{0} is neither `1girl` nor `1boy`; other figures are not drawn")]
    Gender(usize),
}

impl Figure {
    /// The tags of the clothes: kind and colour in one where Danbooru has it so.
    #[must_use]
    pub fn clothing_tags(&self) -> Vec<String> {
        let colored = format!("{}_{}", self.cloth_color.tag(), self.outfit.garment());
        if self.outfit.tag() == self.outfit.garment() {
            vec![colored]
        } else {
            vec![self.outfit.tag().to_owned(), colored]
        }
    }

    /// The character element with only the tags of the attributes in `mentioned`; the gender must always be there, and
    /// the eyes' colour is left out when both eyes are shut.
    #[must_use]
    pub fn to_character(&self, mentioned: AttributeSet) -> Character {
        let has = |attribute| mentioned.contains(attribute);
        let accessory = self.accessory.filter(|_| has(Attribute::Accessory));
        let tag = |attribute, tag: &'static str| has(attribute).then_some(tag);
        let appearance = [
            tag(Attribute::HairColor, self.hair_color.tag()),
            tag(Attribute::HairStyle, self.hair_style.tag()),
            tag(Attribute::Bangs, self.bangs.tag()),
            tag(Attribute::EyeColor, self.eye_color.tag()).filter(|_| !self.expression.hides_eyes()),
            tag(Attribute::Skin, self.skin.tag()),
            accessory.filter(|accessory| accessory.is_grown()).map(Accessory::tag),
        ];
        let mut clothing = match (has(Attribute::Outfit), has(Attribute::ClothColor)) {
            (true, true) => self.clothing_tags(),
            (true, false) => vec![self.outfit.tag().to_owned()],
            _ => Vec::new(),
        };
        clothing
            .extend(accessory.filter(|accessory| !accessory.is_grown()).map(|accessory| accessory.tag().to_owned()));
        Character {
            n: String::new(),
            gender: Some(self.gender),
            appearance: appearance.into_iter().flatten().collect(),
            clothing: TagList::new(clothing),
            expression: tag(Attribute::Expression, self.expression.tag()).into_iter().collect(),
            action: tag(Attribute::Action, self.action.tag()).into_iter().collect(),
            position: TagList::new([self.position.tag()]),
            ..Character::default()
        }
    }
}

impl Scene {
    /// The prompt that describes this scene completely: XML of it is what the schema calls canonical.
    #[must_use]
    pub fn to_prompt(&self) -> Prompt {
        self.to_prompt_mentioning(AttributeSet::ALL)
    }

    /// The prompt with only some of the attributes; the rest is undetermined.
    #[must_use]
    pub fn to_prompt_mentioning(&self, mentioned: AttributeSet) -> Prompt {
        Prompt {
            characters: self.figures.iter().map(|figure| figure.to_character(mentioned)).collect(),
            general_tags: Some(self.to_general_tags(mentioned)),
            caption: None,
        }
    }

    fn to_general_tags(&self, mentioned: AttributeSet) -> GeneralTags {
        let mut general = GeneralTags { count: self.count_tags(), ..GeneralTags::default() };
        let is_empty = self.figures.is_empty();
        if mentioned.contains(Attribute::Style) {
            general.style = TagList::new([if is_empty { "scenery" } else { "chibi" }, self.style.tag()]);
        }
        if mentioned.contains(Attribute::Framing) && !is_empty {
            general.perspective = TagList::new([self.framing.tag()]);
        }
        if mentioned.contains(Attribute::Backdrop) {
            match self.backdrop {
                Backdrop::Plain(plain) => general.background = TagList::new(["simple_background", plain.tag()]),
                Backdrop::Place(place, time) => {
                    general.background = match place {
                        Place::Sky => TagList::new(["sky", place.tag()]),
                        _ => TagList::new([place.tag()]),
                    };
                    general.environment =
                        TagList::new([if place == Place::Classroom { "indoors" } else { "outdoors" }]);
                    general.lighting = TagList::new([time.tag()]);
                }
            }
        }
        general
    }

    fn count_tags(&self) -> TagList {
        let count = |gender| self.figures.iter().filter(|figure| figure.gender == gender).count();
        let word = |number: usize, one: &str| match number {
            0 => None,
            1 => Some(format!("1{one}")),
            _ => Some(format!("{number}{one}s")),
        };
        let mut tags: Vec<String> =
            [word(count(Gender::Girl), "girl"), word(count(Gender::Boy), "boy")].into_iter().flatten().collect();
        match self.figures.len() {
            0 => tags.push("no_humans".to_owned()),
            1 => tags.push("solo".to_owned()),
            _ => {}
        }
        TagList::new(tags)
    }

    /// The same tags in one line without any structure, as they are written for models that know no XML: those of the
    /// picture first, then those of each character in turn.
    #[must_use]
    pub fn to_plain_tags(&self) -> String {
        plain_tags(&self.to_prompt())
    }

    /// The scene that a prompt describes; what it leaves open is as in [`Figure::plain`], and the seed is 0.
    ///
    /// # Errors
    ///
    /// What cannot be drawn: see [`FromPromptError`].
    pub fn from_prompt(prompt: &Prompt) -> Result<Self, FromPromptError> {
        let count = prompt.characters.len();
        let is_empty = prompt.general_tags.iter().any(|general| general.count.iter().any(|tag| tag == "no_humans"));
        if count > MAX_FIGURES || (count == 0 && !is_empty) {
            return Err(FromPromptError::Characters(count));
        }
        let mut figures = Vec::with_capacity(count);
        let mut has_positions = true;
        for (index, character) in prompt.characters.iter().enumerate() {
            let mut figure = Figure::plain(Position::of(count)[index]);
            figure.gender = match character.gender {
                Some(gender @ (Gender::Girl | Gender::Boy)) => gender,
                _ => return Err(FromPromptError::Gender(index + 1)),
            };
            has_positions &= !character.position.is_empty();
            for (element, tags) in character.tag_lists() {
                for tag in tags {
                    if !read_figure_tag(&mut figure, element, tag) {
                        return Err(FromPromptError::UnknownTag { element, tag: tag.clone() });
                    }
                }
            }
            figures.push(figure);
        }
        let mut positions: Vec<Position> = figures.iter().map(|figure| figure.position).collect();
        positions.sort_unstable();
        if has_positions && positions != Position::of(count) {
            let found: Vec<&str> = positions.iter().map(|position| position.tag()).collect();
            return Err(FromPromptError::Positions(found.join(", ")));
        }
        let mut scene = Self {
            figures,
            backdrop: Backdrop::Plain(Plain::White),
            style: Style::Anime,
            framing: Framing::FullBody,
            seed: 0,
        };
        if let Some(general) = &prompt.general_tags {
            scene.read_general_tags(general)?;
        }
        Ok(scene)
    }

    fn read_general_tags(&mut self, general: &GeneralTags) -> Result<(), FromPromptError> {
        let (mut place, mut time) = (None, TimeOfDay::Day);
        for (element, tags) in general.tag_lists() {
            for tag in tags {
                let is_known = match element {
                    // The characters themselves say how many there are.
                    "count" => true,
                    "style" => {
                        matches!(tag.as_str(), "chibi" | "scenery") || store(&mut self.style, Style::from_tag(tag))
                    }
                    "perspective" => store(&mut self.framing, Framing::from_tag(tag)),
                    "background" => {
                        let plain = Plain::from_tag(tag).map(Backdrop::Plain);
                        matches!(tag.as_str(), "simple_background" | "sky")
                            || store(&mut self.backdrop, plain)
                            || store(&mut place, Place::from_tag(tag).map(Some))
                    }
                    "environment" => matches!(tag.as_str(), "indoors" | "outdoors"),
                    "lighting" => store(&mut time, TimeOfDay::from_tag(tag)),
                    _ => false,
                };
                if !is_known {
                    return Err(FromPromptError::UnknownTag { element, tag: tag.clone() });
                }
            }
        }
        if let Some(place) = place {
            self.backdrop = Backdrop::Place(place, time);
        }
        Ok(())
    }
}

/// A prompt's tags in one line: those of the picture, then those of each character.
#[must_use]
pub fn plain_tags(prompt: &Prompt) -> String {
    let mut tags: Vec<&str> = Vec::new();
    if let Some(general) = &prompt.general_tags {
        tags.extend(general.tag_lists().into_iter().flat_map(|(_, list)| list.iter().map(String::as_str)));
    }
    for character in &prompt.characters {
        tags.extend(character.gender.map(Gender::as_str));
        tags.extend(character.tag_lists().into_iter().flat_map(|(_, list)| list.iter().map(String::as_str)));
    }
    tags.join(", ")
}

fn store<T>(field: &mut T, value: Option<T>) -> bool {
    let is_known = value.is_some();
    if let Some(value) = value {
        *field = value;
    }
    is_known
}

fn read_figure_tag(figure: &mut Figure, element: &str, tag: &str) -> bool {
    let accessory =
        |is_grown: bool| Accessory::from_tag(tag).filter(|accessory| accessory.is_grown() == is_grown).map(Some);
    match element {
        "appearance" => {
            store(&mut figure.hair_color, HairColor::from_tag(tag))
                || store(&mut figure.hair_style, HairStyle::from_tag(tag))
                || store(&mut figure.bangs, Bangs::from_tag(tag))
                || store(&mut figure.eye_color, EyeColor::from_tag(tag))
                || store(&mut figure.skin, Skin::from_tag(tag))
                || store(&mut figure.accessory, accessory(true))
        }
        "clothing" => {
            store(&mut figure.outfit, Outfit::from_tag(tag))
                || store(&mut figure.accessory, accessory(false))
                || read_colored_garment(figure, tag)
        }
        "expression" => store(&mut figure.expression, Expression::from_tag(tag)),
        "action" => store(&mut figure.action, Action::from_tag(tag)),
        "position" => store(&mut figure.position, Position::from_tag(tag)),
        _ => false,
    }
}

/// `red_dress`: the colour, and the outfit unless the one named before has such a garment too.
fn read_colored_garment(figure: &mut Figure, tag: &str) -> bool {
    let Some((color, garment)) = tag.split_once('_') else { return false };
    let Some(color) = ClothColor::from_tag(color) else { return false };
    if figure.outfit.garment() != garment {
        let Some(&outfit) = Outfit::ALL.iter().find(|outfit| outfit.garment() == garment) else { return false };
        figure.outfit = outfit;
    }
    figure.cloth_color = color;
    true
}
