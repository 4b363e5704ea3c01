//! The tags that are known, for advice about the ones that look misspelt.

mod index;
mod read;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::LazyLock;

use index::DeletionIndex;

/// A list of known tags with their aliases.
///
/// Spaces and underscores are the same to it, and so are upper and lower case.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// The tags, as they are to be suggested.
    names: Vec<Box<str>>,
    /// The element that each tag belongs in, if its category says so.
    elements: Vec<Option<&'static str>>,
    /// The plain spelling of every tag and alias, with the number of its tag.
    by_spelling: HashMap<Box<str>, Entry>,
    /// Every word of every tag: a tag made of known words is a phrase, not a slip.
    words: HashSet<Box<str>>,
    /// From spellings with a letter left out to tags.
    near: DeletionIndex,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    name: u32,
    is_alias: bool,
}

/// Why a tag list could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// The file is not CSV, or could not be read.
    #[error("the tag list is not CSV with the columns name, category, count, aliases: {0}")]
    Csv(#[from] csv::Error),
    /// No line holds a tag.
    #[error("the tag list holds no tag; every line begins with one, as in `long_hair,0,4350743,\"longhair\"`")]
    Empty,
    /// More tags than the index can number.
    #[error("the tag list holds more than {limit} tags; keep the frequent ones")]
    TooLong {
        /// The most that fit.
        limit: usize,
    },
}

/// The result of looking up a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known<'v> {
    /// It is a tag.
    Yes,
    /// It is another word for this tag.
    Alias(&'v str),
    /// It is not a tag, but this one is near.
    Near(&'v str),
    /// Nothing is known about it.
    No,
}

impl Vocabulary {
    /// Most tags that a list may hold.
    const MOST_TAGS: usize = 1 << 20;

    /// The built-in list: words that prompts for this model are made of, about two thousand.
    pub fn built_in() -> &'static Vocabulary {
        static BUILT_IN: LazyLock<Vocabulary> = LazyLock::new(|| {
            // The file is part of this crate, and a test reads it; were it broken, no tag would be known.
            Vocabulary::from_csv(include_bytes!("vocabulary/tags.csv").as_slice())
                .unwrap_or_else(|_| Vocabulary::from_entries(Vec::new()))
        });
        &BUILT_IN
    }

    /// Reads a list as tag completion tools write them: `name,category,count,"alias,alias"`, with or without a line of
    /// headings; the columns after the name may be missing. Adult tags are recognised as far as their words tell, and
    /// never suggested.
    ///
    /// # Errors
    ///
    /// If the text is not CSV, cannot be read, holds no tag, or more than a million.
    pub fn from_csv(reader: impl io::Read) -> Result<Vocabulary, VocabularyError> {
        let entries = read::entries(reader)?;
        if entries.is_empty() {
            return Err(VocabularyError::Empty);
        }
        if entries.len() > Self::MOST_TAGS {
            return Err(VocabularyError::TooLong { limit: Self::MOST_TAGS });
        }
        Ok(Self::from_entries(entries))
    }

    /// How many tags there are, aliases not counted.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no tag.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn from_entries(entries: Vec<read::TagEntry>) -> Vocabulary {
        let mut names = Vec::with_capacity(entries.len());
        let elements = entries.iter().map(|entry| element_of(&entry.category)).collect();
        let mut by_spelling = HashMap::with_capacity(entries.len() * 2);
        let mut words: HashSet<Box<str>> = HashSet::new();
        let mut near = index::Builder::default();
        // Tags come before aliases: a word that is both is a tag.
        for (number, entry) in (0_u32..).zip(&entries) {
            let spelling = plain(&entry.name);
            words.extend(words_of(&spelling).map(Box::from));
            if entry.is_suggestible {
                near.add(&spelling, number);
            }
            by_spelling.entry(spelling.into()).or_insert(Entry { name: number, is_alias: false });
            names.push(entry.name.as_str().into());
        }
        for (number, entry) in (0_u32..).zip(&entries) {
            for alias in &entry.aliases {
                let is_alias = entry.is_suggestible;
                by_spelling.entry(plain(alias).into()).or_insert(Entry { name: number, is_alias });
            }
        }
        Vocabulary { names, elements, by_spelling, words, near: near.build() }
    }

    /// The tag of this spelling, or the one that it is an alias of, with the element of the grammar that it belongs in,
    /// such as `appearance`. The element is `None` where the list has no such category: those of Danbooru are numbers.
    #[must_use]
    pub fn find(&self, tag: &str) -> Option<(&str, Option<&'static str>)> {
        let number = usize::try_from(self.by_spelling.get(plain(tag).as_str())?.name).ok()?;
        Some((self.names.get(number)?, self.elements.get(number).copied().flatten()))
    }

    /// Looks up the tags of one prompt; at most `budget` of them are compared with similar ones.
    pub(crate) fn lookup(&self, budget: usize) -> Lookup<'_> {
        Lookup { vocabulary: self, budget, spelling: String::new() }
    }

    /// The nearest tag: one letter more, less, other or swapped; in a long tag also one more and one less.
    fn nearest(&self, spelling: &str) -> Option<&str> {
        const SHORTEST: usize = 5;
        const LONG: usize = 10;
        let length = spelling.chars().count();
        if length < SHORTEST || spelling.len() > index::LONGEST {
            return None;
        }
        let most = if length >= LONG { 2 } else { 1 };
        let candidates = self.near.candidates(spelling);
        let best = candidates
            .filter_map(|number| {
                let name = self.names.get(usize::try_from(number).ok()?)?;
                let distance = strsim::osa_distance(&plain(name), spelling);
                (distance <= most).then_some((distance, number))
            })
            // Lists are in the order of frequency: of two equally near, the more frequent one.
            .min()?;
        self.names.get(usize::try_from(best.1).ok()?).map(AsRef::as_ref)
    }
}

/// The element that tags of a category of the built-in list belong in.
fn element_of(category: &str) -> Option<&'static str> {
    const ELEMENTS: &[&str] = &[
        "clothing",
        "body_type",
        "expression",
        "action",
        "interaction",
        "position",
        "style",
        "background",
        "environment",
        "perspective",
        "atmosphere",
        "lighting",
        "quality",
        "resolution",
        "objects",
        "other",
        "appearance",
    ];
    match category {
        "hair" | "eyes" => Some("appearance"),
        "general" => Some("count"),
        _ => ELEMENTS.iter().copied().find(|element| *element == category),
    }
}

/// A lookup of several tags that shares its buffer and its budget.
pub(crate) struct Lookup<'v> {
    vocabulary: &'v Vocabulary,
    budget: usize,
    spelling: String,
}

impl<'v> Lookup<'v> {
    /// What is known about a tag.
    pub(crate) fn find(&mut self, tag: &str) -> Known<'v> {
        let vocabulary = self.vocabulary;
        let entry = if is_plain(tag) {
            vocabulary.by_spelling.get(tag)
        } else {
            self.spelling.clear();
            push_plain(tag, &mut self.spelling);
            vocabulary.by_spelling.get(self.spelling.as_str())
        };
        match entry {
            Some(Entry { is_alias: false, .. }) => return Known::Yes,
            Some(Entry { name, is_alias: true }) => {
                let name = usize::try_from(*name).ok().and_then(|name| vocabulary.names.get(name));
                return name.map_or(Known::No, |name| Known::Alias(name));
            }
            None => {}
        }
        let spelling = if is_plain(tag) { tag } else { self.spelling.as_str() };
        if self.budget == 0 || !spelling.is_ascii() || is_phrase(spelling, &vocabulary.words) {
            return Known::No;
        }
        self.budget -= 1;
        vocabulary.nearest(spelling).map_or(Known::No, Known::Near)
    }
}

/// Whether every word of a tag is known, so that it is a phrase and not a misspelling.
fn is_phrase(spelling: &str, words: &HashSet<Box<str>>) -> bool {
    words_of(spelling).all(|word| words.contains(word))
}

fn words_of(spelling: &str) -> impl Iterator<Item = &str> {
    spelling.split(['_', '-', '(', ')', ':', '/', '\'']).filter(|word| !word.is_empty())
}

fn is_plain(tag: &str) -> bool {
    !tag.bytes().any(|byte| byte == b' ' || byte == b'\\' || byte.is_ascii_uppercase())
}

/// Lower case, underscores for spaces, without the backslashes of `\(`.
pub(crate) fn plain(tag: &str) -> String {
    let mut spelling = String::with_capacity(tag.len());
    push_plain(tag, &mut spelling);
    spelling
}

fn push_plain(tag: &str, spelling: &mut String) {
    spelling.extend(tag.chars().filter(|character| *character != '\\').map(|character| match character {
        ' ' => '_',
        other => other.to_ascii_lowercase(),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tag: &str, expected: Known<'_>) {
        assert_eq!(Vocabulary::built_in().lookup(8).find(tag), expected, "{tag}");
    }

    #[test]
    fn the_built_in_list_is_read() {
        let built_in = Vocabulary::from_csv(include_bytes!("vocabulary/tags.csv").as_slice());
        assert!(built_in.is_ok_and(|list| list.len() > 800));
    }

    #[test]
    fn spelling_does_not_matter() {
        check("long_hair", Known::Yes);
        check("long hair", Known::Yes);
        check("Long Hair", Known::Yes);
        check("center_left", Known::Yes);
        check("watercolor_\\(medium\\)", Known::Yes);
    }

    #[test]
    fn slips_are_found_and_phrases_left_alone() {
        check("lnog_hair", Known::Near("long_hair"));
        check("long_hiar", Known::Near("long_hair"));
        check("blue_eys", Known::Near("blue_eyes"));
        check("long_eyes", Known::No);
        check("holographic_displays", Known::No);
        check("猫耳少女", Known::No);
    }

    #[test]
    fn the_budget_is_kept() {
        let mut lookup = Vocabulary::built_in().lookup(1);
        assert_eq!(lookup.find("lnog_hair"), Known::Near("long_hair"));
        assert_eq!(lookup.find("bleu_eyes"), Known::No);
    }

    #[test]
    fn a_list_of_the_user_is_read_with_its_aliases() {
        let csv = "name,category,count,aliases\nhatsune_miku,4,100,\"miku,miku_hatsune\"\nlong_hair,0,90,\n";
        let list = Vocabulary::from_csv(csv.as_bytes()).expect("it is CSV");
        assert_eq!(list.len(), 2);
        assert_eq!(list.lookup(1).find("miku hatsune"), Known::Alias("hatsune_miku"));
        let bare = Vocabulary::from_csv("long_hair\nshort_hair\n".as_bytes()).expect("it is CSV");
        assert_eq!(bare.len(), 2);
        assert!(matches!(Vocabulary::from_csv("".as_bytes()), Err(VocabularyError::Empty)));
        assert!(matches!(Vocabulary::from_csv(&b"\xff\xfe,0\n"[..]), Err(VocabularyError::Csv(_))));
    }
}
