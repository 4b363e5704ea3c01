//! Element names: which element a name means, and where it belongs.
//!
//! The names themselves come from [`grammar`]; this module knows the other words and spellings that prompts are written
//! with.

mod aliases;
mod number;

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::grammar::{self, Content, ElementDecl};
use crate::phrases::is_doubtful_name;
use aliases::ALIASES;
use number::character_number;
pub(crate) use number::is_character_word;

/// Elements that other tools put around the blocks.
pub(crate) const ENVELOPES: [&str; 3] = ["img", "image", "document"];

/// A kind of element that holds elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where the blocks stand.
    Top,
    /// Inside a character.
    Character,
    /// Inside the general tags.
    General,
    /// Inside a negative prompt.
    Negative,
}

impl Place {
    /// What the XSD says about an element of this kind.
    pub(crate) fn decl(self) -> &'static ElementDecl {
        match self {
            Place::Top => &grammar::PROMPT,
            Place::Character => blocks().character,
            Place::General => blocks().general,
            Place::Negative => &grammar::NEGATIVE_PROMPT,
        }
    }
}

struct Blocks {
    character: &'static ElementDecl,
    general: &'static ElementDecl,
}

fn blocks() -> &'static Blocks {
    static BLOCKS: LazyLock<Blocks> = LazyLock::new(|| {
        let mut containers = grammar::PROMPT.children().iter().filter(|child| !child.children().is_empty());
        // The XSD has both; the tests below fail if it does not.
        let character = containers.find(|child| !child.attributes.is_empty()).unwrap_or(&grammar::PROMPT);
        let general = grammar::PROMPT.child("general_tags").unwrap_or(&grammar::PROMPT);
        Blocks { character, general }
    });
    &BLOCKS
}

/// Which element a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The element.
    pub(crate) target: Target,
    /// How the name leads to it.
    pub(crate) certainty: Certainty,
}

/// The element that a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A character block of that number, which may be one that the XSD does not list.
    Character(u32),
    /// An element at the place where it belongs.
    Element(Place, &'static ElementDecl),
}

/// How a name leads to its element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It is the name.
    Exact,
    /// It is another word or another spelling for it.
    Alias,
    /// It is a misspelling of the name.
    Similar,
}

/// Which element `name` means when it stands at `place`; `None` if nothing is near.
///
/// An element of the place itself comes before one that belongs elsewhere, an exact name before an alias, and both
/// before a similar one.
pub(crate) fn meaning(place: Place, name: &str) -> Option<Meaning> {
    if place != Place::Negative
        && let Some((number, certainty)) = character_number(name)
    {
        return Some(Meaning { target: Target::Character(number), certainty });
    }
    if let Some(meaning) = exact(place, name) {
        return Some(meaning);
    }
    let elsewhere: &[Place] = match place {
        Place::Top => &[Place::Top, Place::General, Place::Character],
        Place::Character => &[Place::Character, Place::General, Place::Top],
        Place::General => &[Place::General, Place::Top, Place::Character],
        Place::Negative => &[Place::Negative],
    };
    let spelt = plain_spelling(name);
    let at_home = |place: &Place| exact(*place, name).or_else(|| alias(*place, &spelt));
    if let Some(meaning) = elsewhere.iter().find_map(at_home) {
        return Some(meaning);
    }
    elsewhere.iter().find_map(|place| similar(*place, &spelt))
}

fn exact(place: Place, name: &str) -> Option<Meaning> {
    let decl = place.decl().child(name)?;
    Some(Meaning { target: Target::Element(place, decl), certainty: Certainty::Exact })
}

fn alias(place: Place, spelt: &str) -> Option<Meaning> {
    let in_table = || {
        let &(_, _, name) = ALIASES.iter().find(|(at, word, _)| *at == place && *word == spelt)?;
        place.decl().child(name)
    };
    let decl = place.decl().child(spelt).or_else(in_table)?;
    Some(Meaning { target: Target::Element(place, decl), certainty: Certainty::Alias })
}

/// Words that are near to an element's name and mean something else.
const OTHER_WORDS: &[&str] = &[
    "positive",
    "quantity",
    "revolution",
    "portion",
    "auction",
    "genre",
    "captain",
    "county",
    "country",
    "order",
    "stylus",
    "mention",
    "fiction",
    "traction",
    "ruler",
    "counter",
    "mother",
    "bother",
];

/// The element that a word is a misspelling of: one letter away, in a long word two; the first letter is right.
fn similar(place: Place, spelt: &str) -> Option<Meaning> {
    // Short names such as `n` are near to everything.
    const SHORTEST: usize = 4;
    const LONG: usize = 9;
    const LONGEST: usize = 32;
    const MOST_SLIPS: usize = 2;
    const MOST_CHANGED_LETTERS: u32 = 4;
    if spelt.len() < SHORTEST || spelt.len() > LONGEST || OTHER_WORDS.contains(&spelt) {
        return None;
    }
    let letters = letters_of(spelt);
    let candidates = place.decl().children().iter().filter(|decl| {
        // Each slip changes the length by one at most, and the set of letters by two.
        decl.name.len() >= SHORTEST
            && decl.attributes.is_empty()
            && decl.name.as_bytes().first() == spelt.as_bytes().first()
            && decl.name.len().abs_diff(spelt.len()) <= MOST_SLIPS
            && (letters_of(decl.name) ^ letters).count_ones() <= MOST_CHANGED_LETTERS
    });
    let distances = candidates.map(|decl| (strsim::osa_distance(decl.name, spelt), decl));
    let (distance, decl) = distances.min_by_key(|(distance, _)| *distance)?;
    let most = if decl.name.len() >= LONG { MOST_SLIPS } else { 1 };
    (distance <= most).then_some(Meaning { target: Target::Element(place, decl), certainty: Certainty::Similar })
}

/// Whether a word is a field of that place, by its name or an alias.
pub(crate) fn is_field_of(place: Place, word: &str) -> bool {
    exact(place, word).or_else(|| alias(place, word)).is_some()
}

/// The set of letters of a word; what is not a letter shares the remaining bits.
fn letters_of(word: &str) -> u32 {
    word.bytes().fold(0, |letters, byte| letters | 1 << (byte % 32))
}

/// Lower case, with underscores.
fn plain_spelling(name: &str) -> String {
    name.chars()
        .map(|character| match character {
            '-' | ' ' => '_',
            other => other.to_ascii_lowercase(),
        })
        .collect()
}

/// What an element of that name holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Leaf,
    /// Elements.
    Container,
}

/// What an element of that name holds, wherever it stands; `None` if the name is not known in any spelling.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    if let Some(kind) = kinds().get(name) {
        return Some(*kind);
    }
    if character_number(name).is_some() {
        return Some(Kind::Container);
    }
    kinds().get(plain_spelling(name).as_str()).copied()
}

/// Whether an element of that name belongs to the negative grammar alone; `resolution` and `caption` belong to both.
pub(crate) fn is_negative_part(name: &str) -> bool {
    let is_elsewhere = |place: Place| place.decl().child(name).is_some();
    is_elsewhere(Place::Negative) && !is_elsewhere(Place::General) && !is_elsewhere(Place::Top)
}

/// Whether a name that no element of a prompt has may be that of a negative prompt: by its words, or since it is a
/// spelling of an element that only a negative prompt has.
pub(crate) fn is_perhaps_negative(name: &str) -> bool {
    let of_negative = || match meaning(Place::Negative, name).map(|meaning| meaning.target) {
        Some(Target::Element(_, decl)) => is_negative_part(decl.name),
        _ => false,
    };
    (is_doubtful_name(name) || of_negative()) && meaning(Place::Top, name).is_none()
}

/// Whether an element of that name stands inside a negative prompt, in any spelling.
pub(crate) fn is_of_negative(name: &str) -> bool {
    meaning(Place::Negative, name).is_some()
}

/// Whether an element of that name stands inside a negative prompt and next to the blocks of a prompt.
pub(crate) fn is_shared(name: &str) -> bool {
    let is_top = matches!(meaning(Place::Top, name), Some(Meaning { target: Target::Element(Place::Top, decl), .. })
        if decl.children().is_empty());
    is_top && is_of_negative(name)
}

/// Whether an element of that name exists somewhere, in exactly this spelling.
pub(crate) fn is_known(name: &str) -> bool {
    kinds().contains_key(name) || is_character(name)
}

fn kinds() -> &'static HashMap<&'static str, Kind> {
    static KINDS: LazyLock<HashMap<&'static str, Kind>> = LazyLock::new(|| {
        fn add(decl: &'static ElementDecl, kinds: &mut HashMap<&'static str, Kind>) {
            let kind = match decl.content {
                Content::Children(_) => Kind::Container,
                Content::Text(_) => Kind::Leaf,
            };
            kinds.insert(decl.name, kind);
            decl.children().iter().for_each(|child| add(child, kinds));
        }
        let mut kinds = HashMap::new();
        for envelope in ENVELOPES {
            kinds.insert(envelope, Kind::Container);
        }
        for &(place, word, name) in ALIASES {
            let holds_elements = place.decl().child(name).is_some_and(|decl| !decl.children().is_empty());
            kinds.insert(word, if holds_elements { Kind::Container } else { Kind::Leaf });
        }
        add(&grammar::PROMPT, &mut kinds);
        add(&grammar::NEGATIVE_PROMPT, &mut kinds);
        kinds
    });
    &KINDS
}

/// Whether two names are the same character block in two spellings.
pub(crate) fn are_one_character(left: &str, right: &str) -> bool {
    match (character_number(left), character_number(right)) {
        (Some((left, _)), Some((right, _))) => left == right,
        _ => false,
    }
}

/// Whether the name is a character block's, spelt as the XSD has it.
pub(crate) fn is_character(name: &str) -> bool {
    matches!(character_number(name), Some((_, Certainty::Exact)))
}

/// Whether two names differ in spelling or by a misspelling only.
pub(crate) fn are_near(left: &str, right: &str) -> bool {
    const LONGEST: usize = 48;
    if left.len() > LONGEST || right.len() > LONGEST {
        return left.eq_ignore_ascii_case(right);
    }
    let (left, right) = (plain_spelling(left), plain_spelling(right));
    left == right || strsim::normalized_damerau_levenshtein(&left, &right) >= 0.7
}

/// Whether a name is near to one that is known.
pub(crate) fn is_near_known(name: &str) -> bool {
    [Place::Top, Place::Negative].iter().any(|place| meaning(*place, name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(place: Place, name: &str, expected: Option<(&str, Certainty)>) {
        let found = meaning(place, name).map(|meaning| {
            let target = match meaning.target {
                Target::Character(number) => format!("character_{number}"),
                Target::Element(_, decl) => decl.name.to_owned(),
            };
            (target, meaning.certainty)
        });
        assert_eq!(found, expected.map(|(target, certainty)| (target.to_owned(), certainty)), "{name}");
    }

    #[test]
    fn the_grammar_has_the_blocks() {
        assert_eq!(Place::Character.decl().name, "character_1");
        assert_eq!(Place::General.decl().name, "general_tags");
    }

    #[test]
    fn aliases_lead_to_elements_of_the_grammar_and_are_not_elements_themselves() {
        for (place, word, name) in ALIASES {
            assert!(place.decl().child(name).is_some(), "{name} is not an element of {place:?}");
            assert!(place.decl().child(word).is_none(), "{word} is an element of {place:?}");
        }
    }

    #[test]
    fn names_are_found_exactly_by_alias_and_by_similarity() {
        check(Place::Character, "appearance", Some(("appearance", Certainty::Exact)));
        check(Place::Character, "outfit", Some(("clothing", Certainty::Alias)));
        check(Place::Character, "Appearance", Some(("appearance", Certainty::Alias)));
        check(Place::Character, "apperance", Some(("appearance", Certainty::Similar)));
        check(Place::Top, "style", Some(("style", Certainty::Exact)));
        check(Place::General, "artist", Some(("artists", Certainty::Alias)));
        check(Place::Top, "lora", None);
        for word in ["composition", "positive", "reaction", "exposition", "impression", "genre", "subjects", "quantity"]
        {
            check(Place::Top, word, None);
        }
        check(Place::Character, "postion", Some(("position", Certainty::Similar)));
        check(Place::General, "enviroment", Some(("environment", Certainty::Similar)));
        check(Place::Character, "b", None);
    }

    #[test]
    fn characters_are_known_in_many_spellings() {
        check(Place::Top, "character_1", Some(("character_1", Certainty::Exact)));
        check(Place::Top, "character_17", Some(("character_17", Certainty::Exact)));
        for name in ["character 1", "Character_1", "character-1", "character1", "character_01"] {
            check(Place::Top, name, Some(("character_1", Certainty::Alias)));
        }
        for name in ["char_1", "char1", "person_1", "Subject 1", "角色1", "キャラクター１", "人物一", "character_one"]
        {
            check(Place::Top, name, Some(("character_1", Certainty::Alias)));
        }
        check(Place::Top, "character_0", Some(("character_0", Certainty::Exact)));
        check(Place::Top, "character_", None);
        check(Place::Top, "char_aznable", None);
        check(Place::Top, "character_99999999999999", Some(("character_4294967295", Certainty::Exact)));
    }

    #[test]
    fn kinds_are_known_for_every_name() {
        assert_eq!(kind("character_3"), Some(Kind::Container));
        assert_eq!(kind("img"), Some(Kind::Container));
        assert_eq!(kind("outfit"), Some(Kind::Leaf));
        assert_eq!(kind("danbooru_tags"), Some(Kind::Leaf));
        assert_eq!(kind("hatsune_miku"), None);
    }
}
