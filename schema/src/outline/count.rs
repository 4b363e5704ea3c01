//! The count words: `2girls`, `1boy`, `solo`, `multiple_girls`.

use std::ops::Range;

use super::{Block, Tag};
use crate::prompt::Gender;

/// How many of each gender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) girls: u32,
    pub(crate) boys: u32,
    pub(crate) others: u32,
}

impl Tally {
    pub(crate) fn of(&self, gender: Gender) -> u32 {
        match gender {
            Gender::Girl => self.girls,
            Gender::Boy => self.boys,
            Gender::Other => self.others,
        }
    }

    pub(crate) fn add(&mut self, gender: Gender, number: u32) {
        let count = match gender {
            Gender::Girl => &mut self.girls,
            Gender::Boy => &mut self.boys,
            Gender::Other => &mut self.others,
        };
        *count = count.saturating_add(number);
    }

    /// Number of characters of all genders.
    pub(crate) fn total(&self) -> u32 {
        self.girls.saturating_add(self.boys).saturating_add(self.others)
    }

    /// The count words, `2girls, 1boy`.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        for (number, one, many) in
            [(self.girls, "girl", "girls"), (self.boys, "boy", "boys"), (self.others, "other", "others")]
        {
            match number {
                0 => {}
                1 => words.push(format!("1{one}")),
                2..=5 => words.push(format!("{number}{many}")),
                // Danbooru counts to five.
                _ => words.push(format!("6+{many}")),
            }
        }
        words.join(", ")
    }

    /// The characters whose gender is known.
    pub(crate) fn of_characters(characters: &[Block<'_>]) -> Tally {
        let mut tally = Tally::default();
        for gender in characters.iter().filter_map(Block::gender) {
            tally.add(gender, 1);
        }
        tally
    }
}

/// The contents of the count field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WrittenCount {
    /// The numbers that are written.
    pub(crate) tally: Tally,
    /// Whether `6+girls`, `group`, `crowd` and the like leave the number open.
    pub(crate) is_crowd: bool,
    /// Whether the numbers are lower bounds: a crowd, or `multiple_girls`.
    pub(crate) is_open: bool,
    /// Whether `no_humans` is written.
    pub(crate) is_nobody: bool,
    pub(crate) is_solo: bool,
    pub(crate) has_numbers: bool,
    /// The count words, as they are written.
    pub(crate) words: String,
    /// Where the count words stand: from the first to the last.
    pub(crate) span: Option<Range<usize>>,
}

impl WrittenCount {
    /// Reads the tags of the count field.
    pub(crate) fn read(tags: &[Tag<'_>]) -> WrittenCount {
        let mut count = WrittenCount::default();
        for tag in tags {
            match Word::read(&tag.text) {
                Some(Word::Number(gender, number)) => {
                    count.tally.add(gender, number);
                    count.has_numbers = true;
                }
                Some(Word::AtLeast(gender, number)) => {
                    if count.tally.of(gender) == 0 {
                        count.tally.add(gender, number);
                    }
                    count.is_open = true;
                    count.is_crowd |= number > 2;
                }
                Some(Word::Solo) => count.is_solo = true,
                Some(Word::Nobody) => count.is_nobody = true,
                Some(Word::Many) => (count.is_open, count.is_crowd) = (true, true),
                None => continue,
            }
            if !count.words.is_empty() {
                count.words.push_str(", ");
            }
            count.words.push_str(&tag.text);
            count.span = match count.span {
                Some(span) => Some(span.start..tag.span.end),
                None => Some(tag.span.clone()),
            };
        }
        count
    }

    /// The genders that are still missing, if all the characters without gender must have the same one.
    pub(crate) fn gender_of_the_rest(&self, known: Tally, unknown: u32) -> Option<Gender> {
        if self.is_open {
            return None;
        }
        let missing = |gender: &Gender| self.tally.of(*gender).saturating_sub(known.of(*gender));
        let mut candidates = Gender::ALL.into_iter().filter(|gender| missing(gender) > 0);
        let gender = candidates.next()?;
        (candidates.next().is_none() && missing(&gender) == unknown).then_some(gender)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// `2girls`
    Number(Gender, u32),
    /// `6+girls`, `multiple_boys`
    AtLeast(Gender, u32),
    Solo,
    /// `no_humans`
    Nobody,
    /// `group`, `crowd`
    Many,
}

impl Word {
    fn read(tag: &str) -> Option<Word> {
        let lower;
        let tag = if tag.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b' ') {
            lower = tag.to_ascii_lowercase().replace(' ', "_");
            lower.as_str()
        } else {
            tag
        };
        match tag {
            "solo" => return Some(Word::Solo),
            "no_humans" | "no_human" | "nobody" => return Some(Word::Nobody),
            "group"
            | "crowd"
            | "everyone"
            | "people"
            | "multiple_people"
            | "multiple_characters"
            | "audience"
            | "army" => return Some(Word::Many),
            "multiple_girls" => return Some(Word::AtLeast(Gender::Girl, 2)),
            "multiple_boys" => return Some(Word::AtLeast(Gender::Boy, 2)),
            "multiple_others" => return Some(Word::AtLeast(Gender::Other, 2)),
            _ => {}
        }
        let digits = tag.bytes().take_while(u8::is_ascii_digit).count();
        let number: u32 = tag[..digits].parse().ok()?;
        let rest = &tag[digits..];
        let (rest, is_open) = match rest.strip_prefix('+') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let gender = match rest.trim_start_matches('_') {
            "girl" | "girls" => Gender::Girl,
            "boy" | "boys" => Gender::Boy,
            "other" | "others" => Gender::Other,
            _ => return None,
        };
        // Danbooru's `6+girls`; `2+girls` is a crowd as well.
        Some(if is_open { Word::AtLeast(gender, number.max(3)) } else { Word::Number(gender, number) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_words_are_read() {
        assert_eq!(Word::read("2girls"), Some(Word::Number(Gender::Girl, 2)));
        assert_eq!(Word::read("1 Boy"), Some(Word::Number(Gender::Boy, 1)));
        assert_eq!(Word::read("6+girls"), Some(Word::AtLeast(Gender::Girl, 6)));
        assert_eq!(Word::read("solo"), Some(Word::Solo));
        for tag in ["girls", "2", "99999999999girls", "two_girls", "2d", ""] {
            assert_eq!(Word::read(tag), None, "{tag}");
        }
    }

    #[test]
    fn a_tally_writes_its_words() {
        assert_eq!(Tally { girls: 2, boys: 1, others: 0 }.words(), "2girls, 1boy");
        assert_eq!(Tally { girls: 0, boys: 0, others: 7 }.words(), "6+others");
    }

    #[test]
    fn a_missing_gender_is_inferred_only_when_there_is_one_answer() {
        let count = WrittenCount { tally: Tally { girls: 2, boys: 1, others: 0 }, ..WrittenCount::default() };
        let known = Tally { girls: 1, boys: 1, others: 0 };
        assert_eq!(count.gender_of_the_rest(known, 1), Some(Gender::Girl));
        assert_eq!(count.gender_of_the_rest(Tally::default(), 3), None);
        assert_eq!(count.gender_of_the_rest(known, 2), None);
    }
}
