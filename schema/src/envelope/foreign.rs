//! Formats that look like the fields of a prompt but are not read: YAML, TOML, Python and the like.

use super::{Opening, Stop, code, markup};
use crate::names::{self, Place};
use crate::phrases;
use crate::rules::foreign_format::{self, Format};

impl Opening<'_, '_> {
    /// Refuses a text that lists a prompt's fields in another format; as plain text it would become the caption.
    pub(super) fn refuse_foreign(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        // An array of messages may hold markup, which is not the prompt as it stands.
        let is_array = self.source.text[window.clone()].starts_with("[{\"");
        let is_attribute = || self.source.text[window.clone()].starts_with("<img ") && has_attribute(self.left());
        if markup::first_tag(self.left()).is_some() && !is_array && !is_attribute() {
            return Ok(());
        }
        if matches!(&self.source.text[window.clone()], "{}" | "[]") {
            // An empty object is an empty prompt.
            self.window = window.start..window.start;
            return Ok(());
        }
        let Some(format) = format(&self.source.text[window.clone()]) else { return Ok(()) };
        let first = self.source.text[window.clone()].lines().next().unwrap_or_default().trim_end().len();
        self.report(foreign_format::finding(window.start..window.start + first, format));
        Err(Stop)
    }
}

/// The format of a text that lists fields.
fn format(text: &str) -> Option<Format> {
    const ENOUGH: usize = 2;
    const BRACKETS: &[&str] = &["＜", "﹤", "〈", "《", "⟨", "‹", "«", "≪", "[/", "{/", "(/", "【/"];
    if BRACKETS.iter().any(|bracket| has_tag_behind(text, bracket)) {
        return Some(Format::OtherBrackets);
    }
    if ["%3C", "%3c", "%253C", "%253c"].iter().any(|bracket| has_tag_behind(text, bracket)) {
        return Some(Format::UrlEncoded);
    }
    if is_query(text) {
        return Some(Format::UrlEncoded);
    }
    if text.starts_with("dict(") || text.starts_with("Prompt(") {
        return Some(Format::Dictionary);
    }
    if code::is_code(text) {
        return Some(Format::Code);
    }
    let begins_document = text.starts_with("---\n") || text.starts_with("---\r\n");
    if begins_document && text.lines().skip(1).any(|line| line.split_once(':').is_some_and(|(key, _)| is_member(key))) {
        return Some(Format::Yaml);
    }
    if text.starts_with("[(") && text.contains(['\'', '"']) && text.contains("),") {
        return Some(Format::Tuples);
    }
    if has_attribute(text) {
        return Some(Format::Attribute);
    }
    if text.starts_with("data:") && text.contains("{\"") {
        return Some(Format::Json);
    }
    if has_negative_member(text) {
        return Some(Format::Json);
    }
    if text.starts_with('{') && is_dictionary(text) {
        return Some(Format::Dictionary);
    }
    if text.starts_with('[') && (text.contains("\":") || text.trim_start_matches('[').starts_with('"')) {
        return Some(Format::Array);
    }
    if text.match_indices("{\"").any(|(at, _)| is_dictionary(&text[at..])) {
        return Some(Format::Json);
    }
    let (mut yaml, mut toml, mut table, mut list) = (0, 0, 0, 0);
    for line in text.lines().take(400) {
        let line = line.trim();
        let is_rule = line.len() > 2 && line.contains("--") && line.bytes().all(|byte| b"|-: ".contains(&byte));
        if is_rule && line.contains('|') {
            table += ENOUGH;
        }
        if line.starts_with('|')
            && line.matches('|').count() >= 3
            && line.split('|').any(|cell| names_a_cell(cell.trim()))
        {
            table += 1;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|line| line.trim_end().strip_suffix(']')) {
            let header = header.trim_matches(['[', ']']);
            let first = header.split('.').next().unwrap_or_default().trim();
            toml += usize::from(is_block(first)) * ENOUGH;
        }
        let bare = line.trim_start_matches(['-', '*', '#', '>', '•', ' ', '"', '`', '_']);
        if let Some((key, value)) = bare.split_once(['=', ':', '：']) {
            let key = key.trim_matches(['"', '\'', '*', '`', '_', ' ']);
            // `character_1.gender`; a sentence has blanks.
            let key = if key.contains(' ') { key } else { key.rsplit('.').next().unwrap_or(key) };
            if phrases::is_measure(key, value.trim_start()) {
                continue;
            }
            let is_assignment = bare[..bare.len() - value.len()].ends_with('=');
            match (is_block(key), is_field(key), is_assignment) {
                (true, _, true) => toml += ENOUGH,
                (true, _, false) if line.len() == bare.len() || line.starts_with("- ") => yaml += ENOUGH,
                (true, _, false) => list += ENOUGH,
                (_, true, true) => toml += 1,
                (_, _, true) if is_member(key) && value.trim_start().starts_with(['"', '\'']) => toml += ENOUGH,
                (_, true, false) if line.len() == bare.len() => yaml += 1,
                (_, true, false) => list += 1,
                _ => {}
            }
        }
    }
    let found = [(toml, Format::Toml), (table, Format::Table), (yaml, Format::Yaml), (list, Format::List)];
    found
        .into_iter()
        .find(|(lines, _)| *lines >= ENOUGH)
        .map(|(_, format)| format)
        .or_else(|| (yaml + list >= ENOUGH).then_some(Format::List))
}

/// `{'character_1': …}`, `{character_1: …}`
fn is_dictionary(text: &str) -> bool {
    let inside = text[1..].trim_start().trim_start_matches(['\'', '"', '“', '\\']);
    let name = markup::name_at(inside);
    let behind = inside[name.len()..].trim_start_matches(['\'', '"', '”', ' ', '\\']);
    behind.starts_with([':', '=']) && is_member(name)
}

/// Whether a text is percent-encoded JSON or the query of an address: `%7B%22prompt%22`, `prompt=1girl%2C%20solo&seed=1`.
fn is_query(text: &str) -> bool {
    const ENOUGH: usize = 2;
    let is_json = text.contains("%22%3A") || text.contains("%22%3a");
    let is_escape =
        |at: &usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let escapes = || text.match_indices('%').map(|(at, _)| at).filter(is_escape).take(ENOUGH).count();
    let is_one_word = || !text.contains(char::is_whitespace) && text.contains('=') && text.contains('&');
    // `1girl%2C%20solo`
    let is_text =
        || !text.contains(char::is_whitespace) && ["%20", "%2C", "%2c"].iter().any(|blank| text.contains(blank));
    is_json || (is_text() && escapes() >= ENOUGH) || (is_one_word() && escapes() >= ENOUGH)
}

/// Whether a member of JSON in a text is a negative prompt: `1girl, "negative": "hat"`.
fn has_negative_member(text: &str) -> bool {
    const LONGEST: usize = 32;
    const MOST: usize = 200;
    text.match_indices('"').take(MOST).any(|(at, _)| {
        let inside = &text[at + 1..];
        let Some(end) = inside.find('"').filter(|end| (1..=LONGEST).contains(end)) else { return false };
        inside[end + 1..].trim_start().starts_with(':') && phrases::is_negative_name(&inside[..end])
    })
}

/// Whether the prompt stands in an attribute of a tag: `<pic prompt="1girl">`.
fn has_attribute(text: &str) -> bool {
    ["prompt=\"", "prompt='", "prompt = \""].iter().any(|attribute| {
        text.match_indices(attribute).take(8).any(|(at, _)| {
            let tag = text[..at].rfind('<').map(|open| &text[open + 1..at]);
            tag.is_some_and(|tag| tag.starts_with(|first: char| first.is_ascii_alphabetic()) && !tag.contains('>'))
        })
    })
}

/// Whether a tag of the grammar begins after a bracket in other characters.
fn has_tag_behind(text: &str, bracket: &str) -> bool {
    text.match_indices(bracket).any(|(at, _)| {
        let inside = &text[at + bracket.len()..];
        let inside = ["/", "／", "%2F", "%2f"].iter().find_map(|slash| inside.strip_prefix(slash)).unwrap_or(inside);
        let name = markup::name_at(inside);
        // `«Avoid: dogs»` is a quotation.
        markup::is_tag_name(name) && !inside[name.len()..].starts_with([':', '：'])
    })
}

/// Whether a cell of a table names a field, a prompt or a negative prompt.
fn names_a_cell(cell: &str) -> bool {
    let cell = cell.trim_matches(['*', ' ']);
    is_field(cell) || phrases::is_negative_name(cell) || phrases::is_positive_name(cell)
}

/// Whether a key is a member of a prompt, the caption included.
pub(super) fn is_member(key: &str) -> bool {
    const TEXTS: &[&str] =
        &["caption", "prompt", "positive_prompt", "tags", "description", "danbooru_tags", "e621_tags"];
    let plain = key.trim().trim_matches(['"', '\'']).to_lowercase();
    is_block(&plain) || is_field(&plain) || TEXTS.contains(&plain.as_str())
}

fn is_block(key: &str) -> bool {
    const OTHERS: &[&str] = &["characters", "character", "negative_prompt", "negative"];
    let plain = key.trim().to_lowercase().replace([' ', '-'], "_");
    !plain.is_empty() && (markup::is_block_name(&plain) || OTHERS.contains(&plain.as_str()))
}

/// Whether a key is a field of a character or of the general tags. A caption's label is read as one.
fn is_field(key: &str) -> bool {
    let plain = key.trim().to_lowercase().replace([' ', '-'], "_");
    let is_in = |place: Place| names::is_field_of(place, &plain);
    plain != "caption" && plain.len() < 32 && (is_in(Place::Character) || is_in(Place::General))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<Format>) {
        assert_eq!(format(text), expected, "{text}");
    }

    #[test]
    fn formats_are_recognised() {
        check("character_1:\n  n: miku\n  gender: 1girl", Some(Format::Yaml));
        check("general_tags:\n  count: 1girl", Some(Format::Yaml));
        check("characters:\n  - n: a\n    gender: 1girl", Some(Format::Yaml));
        check("[character_1]\nn = \"miku\"", Some(Format::Toml));
        check("character_1.gender = \"1girl\"\ncharacter_1.appearance = \"x\"", Some(Format::Toml));
        check("{'character_1': {'n': 'miku'}}", Some(Format::Dictionary));
        check("[('Prompt', '1girl'), ('Seed', 1)]", Some(Format::Tuples));
        check("<pic prompt=\"1girl\">", Some(Format::Attribute));
        check("{character_1: {n: miku}}", Some(Format::Dictionary));
        check("[{\"n\": \"miku\"}]", Some(Format::Array));
        check("{'caption': 'A girl'}", Some(Format::Dictionary));
        check("json\n{\"caption\": \"A girl\"}", Some(Format::Json));
        check("{caption: A girl, style: ink}", Some(Format::Dictionary));
        check("dict(caption='A girl')", Some(Format::Dictionary));
        check("---\ncaption: A girl\n...", Some(Format::Yaml));
        check("caption = \"A girl\"", Some(Format::Toml));
        check("| field | value |\n|---|---|\n| count | 1girl |", Some(Format::Table));
        check("＜character_1＞＜gender＞1girl＜/gender＞＜/character_1＞", Some(Format::OtherBrackets));
        check("[caption]A girl[/caption]", Some(Format::OtherBrackets));
        check("〈gender〉1girl〈/gender〉", Some(Format::OtherBrackets));
        check("[[\"1girl\"], [\"solo\"]]", Some(Format::Array));
        check("%3Ccaption%3EA%20girl%3C/caption%3E", Some(Format::UrlEncoded));
        check("%7B%22prompt%22%3A%221girl%22%7D", Some(Format::UrlEncoded));
        check("1girl, \"negative\": \"hat\"", Some(Format::Json));
        check("data: {\"choices\": []}", Some(Format::Json));
        check("1girl%2C%20solo", Some(Format::UrlEncoded));
        check("const prompt = \"1girl\";", Some(Format::Code));
        check("prompt=1girl%2C%20solo&negative=lowres", Some(Format::UrlEncoded));
        check("{\\\"prompt\\\": \\\"1girl\\\"}", Some(Format::Dictionary));
        check("**Character 1**\n- **Gender:** 1girl\n- **Appearance:** blue hair", Some(Format::List));
        check("| Positive | 1girl |\n| Negative | hat |", Some(Format::Table));
        check("| appearance | blue hair |  |\n| clothing | dress | |", Some(Format::Table));
    }

    #[test]
    fn plain_text_is_none() {
        for text in [
            "1girl, solo, silver hair",
            "A girl: she laughs.",
            "style: watercolor",
            "[lantern], snow",
            "{beach|forest}, 1girl",
            "caption: a girl",
            "caption = a girl",
            "---",
            "a ＜ b, 100%3Cx",
            "a | b | c",
            "--ar 3:2 | x",
        ] {
            check(text, None);
        }
    }
}
