//! The two texts of a prompt: the canonical XML, and the same unescaped, as the encoders read it.
//!
//! ```text
//! <character_1>
//! <n>hatsune_miku</n>
//! <gender>1girl</gender>
//! <clothing>school_uniform, blue_skirt</clothing>
//! </character_1>
//!
//! <general_tags>
//! <count>1girl, solo</count>
//! </general_tags>
//!
//! <caption>She waves.</caption>
//! ```
//!
//! Blocks follow the order of the XSD, with a blank line between; an element stands on its own line; `<n>` is always
//! there, an empty tag list never. The training data was written without a root and without escapes, so the model's text
//! has neither.

use crate::prompt::{Character, GeneralTags, NegativePrompt, Prompt};
use crate::tags::TagList;
use crate::xml::escape;

impl Prompt {
    /// The canonical XML: sibling blocks, ending with a newline. Empty for a prompt without content.
    ///
    /// Characters that XML 1.0 cannot carry (most control characters) become U+FFFD;
    /// [`check_typed`](crate::check_typed) names them, and whatever else cannot be read back.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut text = prompt_blocks(self, Escaping::Xml);
        end_line(&mut text);
        text
    }

    /// The text that the encoders read: the canonical blocks with nothing escaped and no newline at the end.
    ///
    /// A prompt of nothing but a caption is the bare caption, as plain prompts were trained.
    #[must_use]
    pub fn to_model_text(&self) -> String {
        match self {
            Self { characters, general_tags: None, caption: Some(caption) } if characters.is_empty() => {
                with_line_feeds(caption.clone())
            }
            _ => with_line_feeds(prompt_blocks(self, Escaping::None)),
        }
    }
}

impl NegativePrompt {
    /// The canonical XML: one element a line, ending with a newline. Empty for a prompt without content.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut text = negative_lines(self, Escaping::Xml);
        end_line(&mut text);
        text
    }

    /// The text that the encoders read: the canonical lines with nothing escaped and no newline at the end.
    ///
    /// A prompt of nothing but a caption is the bare caption.
    #[must_use]
    pub fn to_model_text(&self) -> String {
        let is_only_caption = self.tag_lists().iter().all(|(_, tags)| tags.is_empty());
        match &self.caption {
            Some(caption) if is_only_caption => with_line_feeds(caption.clone()),
            _ => with_line_feeds(negative_lines(self, Escaping::None)),
        }
    }
}

/// The text with `\n` for `\r\n` and for a lone `\r`, which `&#13;` and typed prompts can hold: the encoders read one
/// line end.
pub(crate) fn with_line_feeds(text: String) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text }
}

/// How a text is written between tags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escaping {
    None,
    Xml,
}

/// Room for a prompt of usual length, so that writing one seldom moves it.
const USUAL_LENGTH: usize = 2048;

fn prompt_blocks(prompt: &Prompt, escaping: Escaping) -> String {
    let mut text = String::with_capacity(USUAL_LENGTH);
    for (index, character) in prompt.characters.iter().enumerate() {
        begin_block(&mut text);
        character_block(&mut text, index + 1, character, escaping);
    }
    if let Some(general_tags) = &prompt.general_tags {
        begin_block(&mut text);
        general_block(&mut text, general_tags, escaping);
    }
    if let Some(caption) = &prompt.caption {
        begin_block(&mut text);
        element(&mut text, "caption", caption, escaping);
    }
    text
}

fn character_block(text: &mut String, number: usize, character: &Character, escaping: Escaping) {
    let number = number.to_string();
    text.push_str("<character_");
    text.push_str(&number);
    text.push('>');
    text.push('\n');
    element(text, "n", &character.n, escaping);
    if let Some(gender) = character.gender {
        text.push('\n');
        element(text, "gender", gender.as_str(), escaping);
    }
    for (name, tags) in character.tag_lists() {
        if !tags.is_empty() {
            text.push('\n');
            tag_element(text, name, tags, escaping);
        }
    }
    text.push_str("\n</character_");
    text.push_str(&number);
    text.push('>');
}

fn general_block(text: &mut String, general_tags: &GeneralTags, escaping: Escaping) {
    text.push_str("<general_tags>");
    for (name, tags) in general_tags.tag_lists() {
        if !tags.is_empty() {
            text.push('\n');
            tag_element(text, name, tags, escaping);
        }
    }
    text.push_str("\n</general_tags>");
}

fn negative_lines(negative: &NegativePrompt, escaping: Escaping) -> String {
    let mut text = String::with_capacity(USUAL_LENGTH);
    for (name, tags) in negative.tag_lists() {
        if !tags.is_empty() {
            end_line(&mut text);
            tag_element(&mut text, name, tags, escaping);
        }
    }
    if let Some(caption) = &negative.caption {
        end_line(&mut text);
        element(&mut text, "caption", caption, escaping);
    }
    text
}

/// Ends the line, if there is one.
fn end_line(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

/// Leaves a blank line after what stands there, if anything does.
fn begin_block(text: &mut String) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
}

fn tag_element(text: &mut String, name: &str, tags: &TagList, escaping: Escaping) {
    open(text, name);
    for (index, tag) in tags.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        content(text, tag, escaping);
    }
    close(text, name);
}

fn element(text: &mut String, name: &str, value: &str, escaping: Escaping) {
    open(text, name);
    content(text, value, escaping);
    close(text, name);
}

fn open(text: &mut String, name: &str) {
    text.push('<');
    text.push_str(name);
    text.push('>');
}

fn close(text: &mut String, name: &str) {
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

fn content(text: &mut String, value: &str, escaping: Escaping) {
    match escaping {
        Escaping::None => text.push_str(value),
        Escaping::Xml => text.push_str(&escape(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::Gender;

    fn sample() -> Prompt {
        Prompt {
            characters: vec![Character {
                n: "hatsune_miku".to_owned(),
                gender: Some(Gender::Girl),
                clothing: TagList::new(["school_uniform", "blue_skirt"]),
                ..Character::default()
            }],
            general_tags: Some(GeneralTags { count: TagList::new(["1girl", "solo"]), ..GeneralTags::default() }),
            caption: Some("She waves.".to_owned()),
        }
    }

    #[test]
    fn the_canonical_form_is_the_documented_one() {
        let documented = "<character_1>\n<n>hatsune_miku</n>\n<gender>1girl</gender>\n\
            <clothing>school_uniform, blue_skirt</clothing>\n</character_1>\n\n<general_tags>\n\
            <count>1girl, solo</count>\n</general_tags>\n\n<caption>She waves.</caption>";
        assert_eq!(sample().to_xml(), format!("{documented}\n"));
        assert_eq!(sample().to_model_text(), documented);
    }

    #[test]
    fn only_the_xml_is_escaped() {
        let mut prompt = sample();
        prompt.characters[0].expression = TagList::new([">_<", "it's", "R&B"]);
        assert!(prompt.to_xml().contains("<expression>>_&lt;, it's, R&amp;B</expression>"));
        assert!(prompt.to_model_text().contains("<expression>>_<, it's, R&B</expression>"));
    }

    #[test]
    fn a_lone_caption_reaches_the_model_bare() {
        let prompt = Prompt { caption: Some("a < b".to_owned()), ..Prompt::default() };
        assert_eq!(prompt.to_model_text(), "a < b");
        assert_eq!(prompt.to_xml(), "<caption>a &lt; b</caption>\n");
        let prompt = Prompt { caption: Some("a\r\nb\rc".to_owned()), ..Prompt::default() };
        assert_eq!(prompt.to_model_text(), "a\nb\nc");
        let negative = NegativePrompt { caption: Some("a < b".to_owned()), ..NegativePrompt::default() };
        assert_eq!(negative.to_model_text(), "a < b");
        assert_eq!(negative.to_xml(), "<caption>a &lt; b</caption>\n");
    }

    #[test]
    fn negative_prompts_are_written_line_by_line() {
        let negative = NegativePrompt {
            danbooru_tags: TagList::new(["worst_quality", "blurry"]),
            resolution: TagList::new(["low_resolution"]),
            ..NegativePrompt::default()
        };
        let text = "<danbooru_tags>worst_quality, blurry</danbooru_tags>\n<resolution>low_resolution</resolution>";
        assert_eq!(negative.to_model_text(), text);
        assert_eq!(negative.to_xml(), format!("{text}\n"));
    }

    #[test]
    fn nothing_gives_an_empty_text() {
        assert_eq!(Prompt::default().to_xml(), "");
        assert_eq!(Prompt::default().to_model_text(), "");
        assert_eq!(NegativePrompt::default().to_xml(), "");
    }
}
