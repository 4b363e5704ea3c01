//! The prompt with its places, which the rules check.

mod count;

use std::borrow::Cow;
use std::ops::Range;

use crate::checked::Envelope;
use crate::grammar::ElementDecl;
use crate::prompt::{Character, Gender, GeneralTags, NegativePrompt, Prompt};
use crate::tags::TagList;

pub(crate) use count::{Tally, WrittenCount};

/// A prompt as it was read, every part with its place in the text.
#[derive(Debug, Default)]
pub(crate) struct Outline<'t> {
    /// What stood around the blocks.
    pub(crate) envelope: Envelope,
    /// The characters, in the order of their numbers.
    pub(crate) characters: Vec<Block<'t>>,
    /// What holds for the whole picture.
    pub(crate) general: Option<Block<'t>>,
    /// The sentence.
    pub(crate) caption: Option<Field<'t>>,
}

/// An element that holds elements.
#[derive(Debug)]
pub(crate) struct Block<'t> {
    /// Its name, as a path; the number is the one that is written.
    pub(crate) path: String,
    /// The number of a character; 0 for any other block.
    pub(crate) number: u32,
    /// The whole element.
    pub(crate) span: Range<usize>,
    /// The start tag.
    pub(crate) open: Range<usize>,
    /// Where something can be added: before the end tag. `None` if it has no end tag.
    pub(crate) inside_end: Option<usize>,
    /// The places of the name in both tags.
    pub(crate) names: Vec<Range<usize>>,
    /// What it holds, in the order of the text.
    pub(crate) fields: Vec<Field<'t>>,
}

/// An element that holds text.
#[derive(Clone, Debug)]
pub(crate) struct Field<'t> {
    /// What the XSD says about it.
    pub(crate) decl: &'static ElementDecl,
    /// The whole element.
    pub(crate) span: Range<usize>,
    /// What stands between its tags.
    pub(crate) content: Range<usize>,
    /// The tags, if it holds tags.
    pub(crate) tags: Vec<Tag<'t>>,
    /// The text, if it holds none.
    pub(crate) text: Cow<'t, str>,
}

#[derive(Clone, Debug)]
pub(crate) struct Tag<'t> {
    /// The tag, trimmed.
    pub(crate) text: Cow<'t, str>,
    /// Where it stands.
    pub(crate) span: Range<usize>,
}

impl<'t> Block<'t> {
    /// The field named `name`; `None` if the block does not have it.
    pub(crate) fn field(&self, name: &str) -> Option<&Field<'t>> {
        self.fields.iter().find(|field| field.decl.name == name)
    }

    /// The tags of the field of that name.
    pub(crate) fn tags(&self, name: &str) -> &[Tag<'t>] {
        self.field(name).map_or(&[], |field| &field.tags)
    }

    /// The path of a field in messages, such as `character_1/appearance`.
    pub(crate) fn path_of(&self, field: &Field<'_>) -> String {
        if self.path.is_empty() { field.decl.name.to_owned() } else { format!("{}/{}", self.path, field.decl.name) }
    }

    /// The gender of a character.
    pub(crate) fn gender(&self) -> Option<Gender> {
        self.field("gender")?.text.parse().ok()
    }

    /// The name of a character; empty if it has none.
    pub(crate) fn name(&self) -> &str {
        self.field("n").map_or("", |field| &field.text)
    }
}

impl<'t> Outline<'t> {
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block<'t>> {
        self.characters.iter().chain(&self.general)
    }

    /// Every field that holds tags, with its block.
    pub(crate) fn tag_fields(&self) -> impl Iterator<Item = (&Block<'t>, &Field<'t>)> {
        self.blocks().flat_map(|block| block.fields.iter().map(move |field| (block, field)))
    }

    /// The plain values.
    pub(crate) fn to_prompt(&self) -> Prompt {
        Prompt {
            characters: self.characters.iter().map(character).collect(),
            general_tags: self.general.as_ref().map(general_tags),
            caption: self.caption.as_ref().map(|field| field.text.clone().into_owned()),
        }
    }
}

fn character(block: &Block<'_>) -> Character {
    let mut character = Character { n: block.name().to_owned(), gender: block.gender(), ..Character::default() };
    for field in &block.fields {
        if let Some(tags) = character.tag_list_mut(field.decl.name) {
            *tags = tag_list(field);
        }
    }
    character
}

fn general_tags(block: &Block<'_>) -> GeneralTags {
    let mut general = GeneralTags::default();
    for field in &block.fields {
        if let Some(tags) = general.tag_list_mut(field.decl.name) {
            *tags = tag_list(field);
        }
    }
    general
}

/// The plain values of a negative prompt.
pub(crate) fn to_negative_prompt(block: &Block<'_>) -> NegativePrompt {
    let mut negative = NegativePrompt::default();
    for field in &block.fields {
        match negative.tag_list_mut(field.decl.name) {
            Some(tags) => *tags = tag_list(field),
            None => negative.caption = Some(field.text.clone().into_owned()),
        }
    }
    negative
}

fn tag_list(field: &Field<'_>) -> TagList {
    TagList::new(field.tags.iter().map(|tag| tag.text.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Place;

    /// The names in the grammar and the fields of the types are the same: nothing that is read is lost on the way.
    #[test]
    fn every_element_of_the_grammar_has_a_field() {
        let (mut character, mut general) = (Character::default(), GeneralTags::default());
        for decl in Place::Character.decl().children() {
            let is_known = ["n", "gender"].contains(&decl.name) || character.tag_list_mut(decl.name).is_some();
            assert!(is_known, "{}", decl.name);
        }
        for decl in Place::General.decl().children() {
            assert!(general.tag_list_mut(decl.name).is_some(), "{}", decl.name);
        }
        let mut negative = NegativePrompt::default();
        for decl in Place::Negative.decl().children() {
            assert!(decl.name == "caption" || negative.tag_list_mut(decl.name).is_some(), "{}", decl.name);
        }
    }
}
