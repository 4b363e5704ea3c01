//! A prompt as plain values: no positions, no XML. The names and their order are those of `prompt.xsd`.

use std::fmt;
use std::str::FromStr;

use crate::tags::TagList;

/// One picture, described by its characters, what they share, and a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Prompt {
    /// The characters: entry 0 is `<character_1>`; at most 16.
    pub characters: Vec<Character>,
    /// What holds for the whole picture.
    pub general_tags: Option<GeneralTags>,
    /// The picture in plain sentences, without blanks at its ends.
    pub caption: Option<String>,
}

/// One character; what stands here is about this character alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Character {
    /// The name: a Danbooru character, `original_character`, a placeholder, or nothing.
    pub n: String,
    /// The count word of this character. A valid character has one.
    pub gender: Option<Gender>,
    /// Hair, eyes, skin, ears, horns, tails.
    pub appearance: TagList,
    /// What the character wears.
    pub clothing: TagList,
    /// Height, build and age impression.
    pub body_type: TagList,
    /// Face and mood.
    pub expression: TagList,
    /// What the character does.
    pub action: TagList,
    /// What the character does to or with another one.
    pub interaction: TagList,
    /// Where in the picture the character is.
    pub position: TagList,
}

/// What holds for the whole picture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GeneralTags {
    /// Count words: how many characters there are.
    pub count: TagList,
    /// Artists whose manner to follow.
    pub artists: TagList,
    /// Medium and manner.
    pub style: TagList,
    /// What is behind the characters.
    pub background: TagList,
    /// The place.
    pub environment: TagList,
    /// The camera.
    pub perspective: TagList,
    /// The mood of the picture.
    pub atmosphere: TagList,
    /// How the scene is lit.
    pub lighting: TagList,
    /// Quality words.
    pub quality: TagList,
    /// Resolution words.
    pub resolution: TagList,
    /// Things in the picture.
    pub objects: TagList,
    /// Tags that belong in no other element.
    pub other: TagList,
}

/// What the picture must not show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NegativePrompt {
    /// Unwanted Danbooru tags.
    pub danbooru_tags: TagList,
    /// Unwanted e621 tags.
    pub e621_tags: TagList,
    /// Unwanted resolution words.
    pub resolution: TagList,
    /// Unwanted contents in plain sentences.
    pub caption: Option<String>,
}

/// The count word of one character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gender {
    /// `1girl`
    Girl,
    /// `1boy`
    Boy,
    /// `1other`
    Other,
}

impl Gender {
    /// Every gender, in the order of the XSD.
    pub const ALL: [Self; 3] = [Self::Girl, Self::Boy, Self::Other];

    /// The word that stands in the XML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Girl => "1girl",
            Self::Boy => "1boy",
            Self::Other => "1other",
        }
    }
}

impl fmt::Display for Gender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text is not a gender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a gender; write one of `1girl`, `1boy`, `1other`")]
pub struct ParseGenderError(pub String);

impl FromStr for Gender {
    type Err = ParseGenderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|gender| gender.as_str() == text).ok_or_else(|| ParseGenderError(text.to_owned()))
    }
}

impl Character {
    /// The tag lists with their element names, in canonical order.
    #[must_use]
    pub fn tag_lists(&self) -> [(&'static str, &TagList); 7] {
        [
            ("appearance", &self.appearance),
            ("clothing", &self.clothing),
            ("body_type", &self.body_type),
            ("expression", &self.expression),
            ("action", &self.action),
            ("interaction", &self.interaction),
            ("position", &self.position),
        ]
    }

    /// The tag list of an element name, to be filled; `None` if no tag list has that name.
    pub fn tag_list_mut(&mut self, name: &str) -> Option<&mut TagList> {
        Some(match name {
            "appearance" => &mut self.appearance,
            "clothing" => &mut self.clothing,
            "body_type" => &mut self.body_type,
            "expression" => &mut self.expression,
            "action" => &mut self.action,
            "interaction" => &mut self.interaction,
            "position" => &mut self.position,
            _ => return None,
        })
    }
}

impl GeneralTags {
    /// The tag lists with their element names, in canonical order.
    #[must_use]
    pub fn tag_lists(&self) -> [(&'static str, &TagList); 12] {
        [
            ("count", &self.count),
            ("artists", &self.artists),
            ("style", &self.style),
            ("background", &self.background),
            ("environment", &self.environment),
            ("perspective", &self.perspective),
            ("atmosphere", &self.atmosphere),
            ("lighting", &self.lighting),
            ("quality", &self.quality),
            ("resolution", &self.resolution),
            ("objects", &self.objects),
            ("other", &self.other),
        ]
    }

    /// The tag list of an element name, to be filled; `None` if no tag list has that name.
    pub fn tag_list_mut(&mut self, name: &str) -> Option<&mut TagList> {
        Some(match name {
            "count" => &mut self.count,
            "artists" => &mut self.artists,
            "style" => &mut self.style,
            "background" => &mut self.background,
            "environment" => &mut self.environment,
            "perspective" => &mut self.perspective,
            "atmosphere" => &mut self.atmosphere,
            "lighting" => &mut self.lighting,
            "quality" => &mut self.quality,
            "resolution" => &mut self.resolution,
            "objects" => &mut self.objects,
            "other" => &mut self.other,
            _ => return None,
        })
    }

    /// Whether no list holds a tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tag_lists().iter().all(|(_, tags)| tags.is_empty())
    }
}

impl NegativePrompt {
    /// The tag lists with their element names, in canonical order.
    #[must_use]
    pub fn tag_lists(&self) -> [(&'static str, &TagList); 3] {
        [("danbooru_tags", &self.danbooru_tags), ("e621_tags", &self.e621_tags), ("resolution", &self.resolution)]
    }

    /// The tag list of an element name, to be filled; `None` if no tag list has that name.
    pub fn tag_list_mut(&mut self, name: &str) -> Option<&mut TagList> {
        Some(match name {
            "danbooru_tags" => &mut self.danbooru_tags,
            "e621_tags" => &mut self.e621_tags,
            "resolution" => &mut self.resolution,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gender_is_read_from_its_word_only() {
        for gender in Gender::ALL {
            assert_eq!(gender.as_str().parse(), Ok(gender));
        }
        let error = "girl".parse::<Gender>().unwrap_err();
        assert!(error.to_string().contains("`girl`"), "{error}");
        assert!(error.to_string().contains("`1other`"), "{error}");
    }
}
