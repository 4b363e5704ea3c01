//! The text of a prompt for models that were trained on lists of tags, such as those of Stable Diffusion XL.
//!
//! ```text
//! 1girl, solo, hatsune miku, twintails, school uniform, blue skirt, smile, from side, classroom, masterpiece, She waves.
//! ```
//!
//! The order is the one in which these models read their training data: how many characters, who they are and what they look
//! like, what holds for the whole picture, quality, and sentences last. Underscores are blanks, except in emoticons, and
//! brackets are escaped because the prompts of these models give them a meaning. Without markup nothing binds a tag to a
//! character, so every tag is written once.

use crate::prompt::{Gender, NegativePrompt, Prompt};

/// A name that stands for no known character, and is not a tag.
const PLACEHOLDER: &str = "original_character";
/// Begins and ends the name of a place for a character, such as `$character_1$`, which is not a tag either.
const PLACE: char = '$';
/// Beginnings of tags that models of this kind were trained on with their underscores, such as `score_8_up` of Pony Diffusion.
const KEEPS_UNDERSCORES: [&str; 3] = ["score_", "rating_", "source_"];
/// Tags of at most this length are emoticons, such as `>_<`, and keep their underscores.
const EMOTICON_CHARS: usize = 4;

impl Prompt {
    /// The prompt as a list of tags. A prompt of nothing but a caption is the bare caption, so that text written for these
    /// models, with its weights, is left as it is.
    #[must_use]
    pub fn to_tags(&self) -> String {
        if let Self { characters, general_tags: None, caption: Some(caption) } = self
            && characters.is_empty()
        {
            return caption.clone();
        }
        let mut tags = Tags::default();
        let general = self.general_tags.as_ref();
        match general.filter(|general| !general.count.is_empty()) {
            Some(general) => tags.extend(&general.count),
            None => tags.add_counts(self.characters.iter().filter_map(|character| character.gender)),
        }
        for character in &self.characters {
            if is_name(&character.n) {
                tags.add(&character.n);
            }
        }
        for character in &self.characters {
            for list in [
                &character.appearance,
                &character.clothing,
                &character.body_type,
                &character.expression,
                &character.action,
                &character.interaction,
                &character.position,
            ] {
                tags.extend(list);
            }
        }
        if let Some(general) = general {
            for list in [
                &general.artists,
                &general.style,
                &general.objects,
                &general.perspective,
                &general.environment,
                &general.background,
                &general.lighting,
                &general.atmosphere,
                &general.other,
                &general.quality,
                &general.resolution,
            ] {
                tags.extend(list);
            }
        }
        tags.finish(self.caption.as_deref())
    }
}

impl NegativePrompt {
    /// The prompt as a list of tags; see [`Prompt::to_tags`].
    #[must_use]
    pub fn to_tags(&self) -> String {
        let mut tags = Tags::default();
        for (_, list) in self.tag_lists() {
            tags.extend(list);
        }
        match &self.caption {
            Some(caption) if tags.0.is_empty() => caption.clone(),
            caption => tags.finish(caption.as_deref()),
        }
    }
}

/// Tags as they are written, each once.
#[derive(Default)]
struct Tags(Vec<String>);

impl Tags {
    fn add(&mut self, tag: &str) {
        let tag = written(tag);
        if !tag.is_empty() && !self.0.contains(&tag) {
            self.0.push(tag);
        }
    }

    fn extend<'t>(&mut self, tags: impl IntoIterator<Item = &'t String>) {
        tags.into_iter().for_each(|tag| self.add(tag));
    }

    /// `2girls, 1boy`
    fn add_counts(&mut self, genders: impl Iterator<Item = Gender>) {
        let genders: Vec<Gender> = genders.collect();
        for gender in Gender::ALL {
            let count = genders.iter().filter(|other| **other == gender).count();
            match count {
                0 => {}
                1 => self.add(gender.as_str()),
                _ => self.add(&format!("{count}{}s", gender.as_str().trim_start_matches('1'))),
            }
        }
    }

    /// All tags, and the caption behind them.
    fn finish(self, caption: Option<&str>) -> String {
        let caption = caption.map(escaped);
        self.0.into_iter().chain(caption).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a name is one that a model may know.
fn is_name(name: &str) -> bool {
    let name = name.trim();
    name != PLACEHOLDER && !(name.len() > 1 && name.starts_with(PLACE) && name.ends_with(PLACE))
}

/// A tag with blanks for underscores and with escaped brackets.
fn written(tag: &str) -> String {
    let tag = tag.trim();
    if KEEPS_UNDERSCORES.iter().any(|start| tag.starts_with(start)) {
        return escaped(tag);
    }
    let has_letters = tag.chars().filter(|c| c.is_alphanumeric()).count() > 1;
    let is_emoticon = tag.chars().count() <= EMOTICON_CHARS && !has_letters;
    escaped(&if is_emoticon { tag.to_owned() } else { tag.replace('_', " ") })
}

/// A text whose brackets and backslashes have no meaning.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '(' | ')' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{Character, GeneralTags};
    use crate::tags::TagList;

    fn girl(name: &str, appearance: &str) -> Character {
        let appearance = TagList::parse(appearance);
        Character { n: name.into(), gender: Some(Gender::Girl), appearance, ..Character::default() }
    }

    #[test]
    fn tags_follow_the_order_of_the_training_data() {
        let prompt = Prompt {
            characters: vec![
                girl("rem_(re:zero)", "blue_hair, >_<"),
                girl("original_character", "blue_hair, red_eyes"),
            ],
            general_tags: Some(GeneralTags {
                quality: TagList::parse("masterpiece"),
                environment: TagList::parse("night_sky"),
                ..GeneralTags::default()
            }),
            caption: Some("She (Rem) waves.".into()),
        };
        let tags = r"2girls, rem \(re:zero\), blue hair, >_<, red eyes, night sky, masterpiece, She \(Rem\) waves.";
        assert_eq!(prompt.to_tags(), tags);
    }

    #[test]
    fn places_for_characters_are_no_tags_and_scores_keep_their_underscores() {
        let prompt = Prompt {
            characters: vec![girl("$character_1$", "blue_hair"), girl("$", "red_eyes")],
            general_tags: Some(GeneralTags {
                quality: TagList::parse("score_9, score_8_up, best_quality"),
                other: TagList::parse("source_anime, rating_safe, scoreboard_view"),
                ..GeneralTags::default()
            }),
            caption: None,
        };
        let tags = "2girls, $, blue hair, red eyes, source_anime, rating_safe, scoreboard view, score_9, score_8_up, best quality";
        assert_eq!(prompt.to_tags(), tags);
    }

    #[test]
    fn a_count_that_is_given_is_kept() {
        let count = TagList::parse("1girl, solo");
        let general_tags = Some(GeneralTags { count, ..GeneralTags::default() });
        let prompt = Prompt { characters: vec![girl("", "smile")], general_tags, caption: None };
        assert_eq!(prompt.to_tags(), "1girl, solo, smile");
    }

    #[test]
    fn a_text_without_markup_is_left_as_it_is() {
        let text = r"1girl, (red_hat:1.2), [night sky], rem \(re:zero\)";
        let prompt = Prompt { caption: Some(text.into()), ..Prompt::default() };
        assert_eq!(prompt.to_tags(), text);
        let negative = NegativePrompt { caption: Some(text.into()), ..NegativePrompt::default() };
        assert_eq!(negative.to_tags(), text);
        let danbooru_tags = TagList::parse("bad_hands, (worst_quality:1.4)");
        let negative = NegativePrompt { danbooru_tags, caption: Some("Blurry.".into()), ..NegativePrompt::default() };
        assert_eq!(negative.to_tags(), r"bad hands, \(worst quality:1.4\), Blurry.");
    }
}
