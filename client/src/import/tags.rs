//! Tag lists of other programs as typed prompts: instructions are taken out, and tags go to the element they belong in.

use std::cell::RefCell;

use sakuga_schema::{Character, CheckOptions, Gender, GeneralTags, Prompt, Vocabulary, apply_fixes, check};

/// A piece between commas with more words than this is a part of a sentence.
const MOST_WORDS: usize = 6;

/// Rules whose fixes take out what only other programs understand.
const INSTRUCTIONS: &[&str] = &["weight-syntax", "foreign-syntax"];

/// A prompt from a list of tags.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub(super) prompt: Prompt,
    /// The tags count several characters, and some describe one of them.
    pub(super) holds_several_characters: bool,
}

/// The text without weights, adapters and keywords, and those that were taken out.
pub(super) fn plain(text: &str) -> (String, Vec<String>) {
    // The spans of findings are those of the text of their round.
    let current = RefCell::new(String::new());
    let mut instructions = Vec::new();
    let find = |text: &str| {
        text.clone_into(&mut current.borrow_mut());
        let found = check(text, &CheckOptions::default()).diagnostics.into_iter();
        found.filter(|diagnostic| INSTRUCTIONS.contains(&diagnostic.code)).collect()
    };
    let text = apply_fixes(text.trim(), find, |diagnostic| {
        instructions.push(current.borrow()[diagnostic.span.clone()].to_owned());
    });
    (text, instructions)
}

/// The typed prompt of a text: of XML as it is, of tags by the element that each belongs in, of sentences as the caption.
pub(super) fn sort(text: &str) -> Sorted {
    let checked = check(text, &CheckOptions::default());
    if let Some(prompt) = checked.prompt.filter(|prompt| !prompt.characters.is_empty() || prompt.general_tags.is_some())
    {
        return Sorted { prompt, holds_several_characters: false };
    }
    let pieces = pieces(text);
    let count: Vec<&str> =
        pieces.iter().filter(|piece| piece.element == Some("count")).map(|piece| piece.tag).collect();
    let is_alone = |word: &&&str| !matches!(**word, "solo" | "solo_focus");
    let gender = match count.iter().filter(is_alone).collect::<Vec<_>>().as_slice() {
        [word] => word.parse::<Gender>().ok(),
        _ => None,
    };
    let mut character = gender.map(|gender| empty_character(Some(gender), 1));
    let mut general = GeneralTags::default();
    let mut sentences = Vec::new();
    let mut is_about_one = false;
    for Piece { tag, element } in &pieces {
        let of_character = character.as_mut().and_then(|character| character.tag_list_mut(element.as_ref()?));
        let list = match (of_character, element) {
            (Some(list), _) => list,
            (None, None) if tag.split_whitespace().count() > MOST_WORDS => {
                sentences.push(*tag);
                continue;
            }
            (None, _) if tag.starts_with("artist:") => &mut general.artists,
            (None, element) => {
                let known = element.is_some_and(|element| general.tag_list_mut(element).is_some());
                is_about_one |= element.is_some() && !known;
                let element = element.filter(|_| known).unwrap_or("other");
                match general.tag_list_mut(element) {
                    Some(list) => list,
                    None => continue,
                }
            }
        };
        if !list.iter().any(|other| other == tag) {
            list.push(*tag);
        }
    }
    let holds_several_characters = character.is_none() && is_about_one && !count.is_empty();
    let prompt = Prompt {
        characters: character.into_iter().collect(),
        general_tags: (!general.is_empty()).then_some(general),
        caption: (!sentences.is_empty()).then(|| sentences.join(", ")),
    };
    Sorted { prompt, holds_several_characters }
}

/// The character of a prompt that is about this one alone; `number` begins with 1.
pub(super) fn character(text: &str, number: usize) -> Character {
    let pieces = pieces(text);
    let gender = pieces.iter().find_map(|piece| gender_of(piece.tag));
    let mut character = empty_character(gender, number);
    for Piece { tag, element } in pieces.iter().filter(|piece| gender_of(piece.tag).is_none()) {
        let list = element.and_then(|element| character.tag_list_mut(element));
        match list {
            Some(list) => list.push(*tag),
            // What a character is and has; a name that is not known stays readable there as well.
            None => character.appearance.push(*tag),
        }
    }
    character
}

/// NovelAI writes `girl` for one of several characters.
fn gender_of(tag: &str) -> Option<Gender> {
    match tag {
        "girl" | "1girl" | "woman" => Some(Gender::Girl),
        "boy" | "1boy" | "man" => Some(Gender::Boy),
        "other" | "1other" => Some(Gender::Other),
        _ => None,
    }
}

fn empty_character(gender: Option<Gender>, number: usize) -> Character {
    Character { n: format!("$character_{number}$"), gender, ..Character::default() }
}

struct Piece<'t> {
    tag: &'t str,
    /// The element it belongs in, if the tag is known.
    element: Option<&'static str>,
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let vocabulary = Vocabulary::built_in();
    let pieces = text.split([',', '\n']).map(str::trim).filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| match vocabulary.find(piece) {
            Some((tag, element)) => Piece { tag, element },
            None => Piece { tag: piece, element: None },
        })
        .collect()
}

impl Sorted {
    /// Moves the tags of the guessed character to those of the picture, for a prompt whose characters are known.
    pub(super) fn give_back_characters(&mut self) {
        let characters = std::mem::take(&mut self.prompt.characters);
        self.holds_several_characters = false;
        let mut general = self.prompt.general_tags.take().unwrap_or_default();
        for (_, tags) in characters.iter().flat_map(Character::tag_lists) {
            tags.iter().for_each(|tag| general.other.push(tag.as_str()));
        }
        self.prompt.general_tags = (!general.is_empty()).then_some(general);
    }
}
