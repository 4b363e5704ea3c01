//! Separators of tags other than commas: wide commas, semicolons, line breaks, lists.

use std::borrow::Cow;
use std::ops::Range;

use super::{Lowering, tags};
use crate::outline::Tag;
use crate::plain_form::plain_form;
use crate::rules::separator;
use crate::tags::{collapse, is_list_number, list_mark};
use crate::tree::{Element, Node, Text};

/// A separator that is not a comma.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Separator {
    /// Where it stands in the value of the text.
    span: Range<usize>,
    kind: separator::Kind,
}

/// A piece of a text between two separators.
type Piece = Range<usize>;

impl<'t> Lowering<'t, '_> {
    /// The tags of an element, those of inner elements included.
    pub(super) fn tags_of(&mut self, element: &Element<'t>, parent: &str, name: &str) -> Vec<Tag<'t>> {
        let mut tags = Vec::new();
        if let [Node::Text(text)] = element.children.as_slice() {
            if is_plain(&text.value) {
                tags.reserve(text.value.bytes().filter(|byte| *byte == b',').count() + 1);
                tags::add_split(text, &mut tags);
            } else {
                let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
                self.split(text, &path, &mut tags);
            }
            return tags;
        }
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        self.flatten(element, &path)
    }

    /// All tags inside an element, those of inner elements included.
    pub(super) fn flatten(&mut self, element: &Element<'t>, path: &str) -> Vec<Tag<'t>> {
        let mut tags = Vec::new();
        self.add_flattened(element, path, &mut tags);
        tags
    }

    fn add_flattened(&mut self, element: &Element<'t>, path: &str, tags: &mut Vec<Tag<'t>>) {
        for child in &element.children {
            match child {
                Node::Text(text) => self.split(text, path, tags),
                // As deep as the tree, whose depth is limited.
                Node::Element(inner) => self.add_flattened(inner, path, tags),
            }
        }
    }

    /// Adds the tags of a text. A strict check splits at commas only, as the XSD does, and reports the others.
    pub(super) fn split(&mut self, text: &Text<'t>, path: &str, tags: &mut Vec<Tag<'t>>) {
        if is_plain(&text.value) {
            return tags::add_split(text, tags);
        }
        let (pieces, separators) = pieces(&text.value);
        self.report_separators(text, path, &separators);
        if self.findings.is_strict() {
            return tags::add_split(text, tags);
        }
        for piece in pieces {
            let value = &text.value[piece.clone()];
            if value.is_empty() {
                continue;
            }
            let span = text.span_of(piece.clone());
            let text = match &text.value {
                Cow::Borrowed(value) => collapse(&value[piece]),
                Cow::Owned(_) => Cow::Owned(collapse(value).into_owned()),
            };
            tags.push(Tag { text, span });
        }
    }

    /// One finding for each kind of separator.
    fn report_separators(&mut self, text: &Text<'t>, path: &str, separators: &[Separator]) {
        let mut kinds: Vec<separator::Kind> = Vec::new();
        for found in separators {
            if kinds.contains(&found.kind) {
                continue;
            }
            kinds.push(found.kind);
            let alike = separators.iter().filter(|other| other.kind == found.kind);
            let spans: Vec<Range<usize>> = alike.map(|other| text.span_of(other.span.clone())).collect();
            // A section of character data or a reference has other edits.
            let can_edit = matches!(text.value, Cow::Borrowed(_));
            let is_strict = self.findings.is_strict();
            self.findings.push(separator::finding(found.kind, &spans, self.source, can_edit, is_strict).at(path));
        }
    }
}

/// Whether a text holds nothing that could be a separator but commas.
fn is_plain(value: &str) -> bool {
    let is_suspicious = |byte: u8| matches!(byte, b'\n' | b';' | b'\t' | b'|' | b'/') || byte >= 0x80;
    let bytes = value.trim_ascii().as_bytes();
    // Lists that start with a dash on one line.
    !bytes.iter().any(|byte| is_suspicious(*byte)) && !bytes.starts_with(b"- ") && !bytes.starts_with(b"* ")
}

/// The pieces of a text, trimmed, and the separators between them that are not commas.
fn pieces(value: &str) -> (Vec<Piece>, Vec<Separator>) {
    let mut pieces = Vec::new();
    let mut separators = Vec::new();
    let mut start = 0;
    let has_lines = value.contains('\n');
    let ends_at = |at: usize, character: char, kind: Option<separator::Kind>, separators: &mut Vec<Separator>| {
        if let Some(kind) = kind {
            separators.push(Separator { span: at..at + character.len_utf8(), kind });
        }
    };
    for (at, character) in value.char_indices() {
        let kind = match character {
            ',' => None,
            // `1、long hair` begins an entry of a list.
            '、' if has_lines && ends_with_list_number(&value[..at]) => continue,
            '，' | '、' | '﹐' | '﹑' | '､' | '︐' | '︑' | '،' | '፣' | 'ꓹ' => {
                Some(separator::Kind::WideComma)
            }
            // `１．２`
            '．' if is_decimal(&value[..at], &value[at + character.len_utf8()..]) => continue,
            // A full stop between two tags; one at the end is a part of a sentence.
            '。' | '．' | '｡' if is_between(near(value, start, at), &value[at + character.len_utf8()..]) => {
                Some(separator::Kind::WideComma)
            }
            '/' | '／' if is_bar(near(value, start, at), &value[at + character.len_utf8()..], '/') => {
                Some(separator::Kind::Bar)
            }
            '；' | '﹔' | '︔' | '؛' | '፤' => Some(separator::Kind::Semicolon),
            ';' if is_semicolon(near(value, start, at), &value[at + 1..]) => Some(separator::Kind::Semicolon),
            '|' | '｜' | '•' | '·' | '・'
                if is_bar(near(value, start, at), &value[at + character.len_utf8()..], character) =>
            {
                Some(separator::Kind::Bar)
            }
            _ => continue,
        };
        ends_at(at, character, kind, &mut separators);
        pieces.push(start..at);
        start = at + character.len_utf8();
    }
    pieces.push(start..value.len());
    let is_only = pieces.len() == 1;
    let mut tags = Vec::with_capacity(pieces.len());
    for piece in pieces {
        add_lines(value, trimmed(value, piece), is_only, &mut tags, &mut separators);
    }
    separators.sort_by_key(|separator| separator.span.start);
    (tags, separators)
}

/// Whether a point stands between two digits, of any width.
fn is_decimal(before: &str, behind: &str) -> bool {
    let is_digit = |character: char| plain_form(character).is_ascii_digit();
    before.ends_with(is_digit) && behind.starts_with(is_digit)
}

/// Adds the tags of a piece that may stand on several lines.
fn add_lines(value: &str, piece: Piece, is_only: bool, tags: &mut Vec<Piece>, separators: &mut Vec<Separator>) {
    const MOST_WORDS: usize = 3;
    const BREAKS: &[char] = &['\n', '\t', '\u{B}', '\u{C}'];
    let text = &value[piece.clone()];
    let mut lines: Vec<Piece> = Vec::new();
    let mut at = piece.start;
    for line in text.split_inclusive(BREAKS) {
        let span = trimmed(value, at..at + line.len());
        at += line.len();
        if !span.is_empty() {
            lines.push(span);
        }
    }
    let markers: Vec<usize> = lines.iter().map(|line| list_mark(&value[line.clone()])).collect();
    let is_list = markers.iter().any(|marker| *marker > 0);
    if lines.len() <= 1 && !is_list {
        return tags.push(piece);
    }
    let words = text.split_whitespace().count();
    let is_separate = is_list || is_only || words > MOST_WORDS || text.contains('_');
    if !is_separate {
        // A tag that an editor has wrapped.
        for pair in lines.windows(2) {
            separators.push(Separator { span: pair[0].end..pair[1].start, kind: separator::Kind::Wrapped });
        }
        return tags.push(piece);
    }
    for (index, (line, marker)) in lines.iter().zip(&markers).enumerate() {
        if *marker > 0 {
            separators.push(Separator { span: line.start..line.start + marker, kind: separator::Kind::Marker });
        }
        if index + 1 < lines.len() {
            separators.push(Separator { span: line.end..line.end, kind: separator::Kind::LineBreak });
        }
        tags.push(trimmed(value, line.start + marker..line.end));
    }
}

/// Whether a text ends with the number of a list's entry at the beginning of a line.
fn ends_with_list_number(before: &str) -> bool {
    const LONGEST: usize = 8;
    let near = &before[before.ceil_char_boundary(before.len().saturating_sub(LONGEST))..];
    let line = near.rfind('\n').map_or((near.len() == before.len()).then_some(near), |at| Some(&near[at + 1..]));
    line.is_some_and(|line| is_list_number(line.trim_start()))
}

/// The piece before an offset, as far as a separator looks back.
fn near(value: &str, start: usize, at: usize) -> &str {
    const FAR: usize = 128;
    &value[start.max(value.ceil_char_boundary(at.saturating_sub(FAR)))..at]
}

/// Whether a `;` between two texts separates tags. It does not in `;)`, in `steins;gate` and in `&hearts;`.
fn is_semicolon(before: &str, behind: &str) -> bool {
    const TITLES: &[&str] = &["steins", "chaos", "robotics", "occultic", "anonymous", "memories"];
    let before = before.trim_end();
    let last = before.chars().next_back();
    if !last.is_some_and(|last| last.is_alphanumeric() || matches!(last, ')' | '"')) {
        return false;
    }
    let word = before.rsplit(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
    let stem = &before[..before.len() - word.len()];
    let is_entity = stem.ends_with('&') || stem.ends_with("&#") || ends_with_escaped_ampersand(stem);
    if is_entity || TITLES.iter().any(|title| title.eq_ignore_ascii_case(word)) {
        return false;
    }
    let open = before.matches('(').count() > before.matches(')').count();
    let is_spaced = behind.is_empty() || behind.starts_with(char::is_whitespace);
    let is_word = behind.chars().take(2).filter(|character| character.is_alphanumeric()).count() == 2;
    (is_spaced || is_word) && !open
}

/// Whether a text ends with an `&` that is escaped, perhaps several times: `ink_&amp;amp;`.
fn ends_with_escaped_ampersand(text: &str) -> bool {
    const ESCAPES: &[&str] = &["amp;", "#38;", "#x26;"];
    let mut rest = text.strip_suffix('#').unwrap_or(text);
    let mut levels = 0;
    while let Some(before) = ESCAPES.iter().find_map(|escape| rest.strip_suffix(escape)) {
        rest = before;
        levels += 1;
    }
    levels > 0 && rest.ends_with('&')
}

/// Whether there is a word on both sides.
fn is_between(before: &str, behind: &str) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | ')' | '(');
    before.trim_end().ends_with(is_word) && behind.trim_start().starts_with(is_word)
}

/// Whether a bar or a dot separates tags: with blanks around it, or always if it is a wide one.
fn is_bar(before: &str, behind: &str, character: char) -> bool {
    let is_spaced = before.ends_with(char::is_whitespace) && behind.starts_with(char::is_whitespace);
    let is_between_words = before.ends_with(|last: char| last.is_ascii_alphanumeric())
        && behind.starts_with(|first: char| first.is_ascii_alphanumeric());
    match character {
        '｜' => true,
        // Between letters of Japanese it is a part of a name.
        '・' if is_between_words => true,
        // Inside `{a | b}` it separates choices.
        _ => is_spaced && !before.trim().is_empty() && before.rfind('{') <= before.rfind('}'),
    }
}

fn trimmed(value: &str, piece: Piece) -> Piece {
    let text = &value[piece.clone()];
    let start = piece.start + (text.len() - text.trim_start().len());
    start..piece.start + text.trim_end().len().max(start - piece.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: &[&str]) {
        let (found, _) = pieces(value);
        let found: Vec<&str> = found.into_iter().map(|piece| &value[piece]).filter(|piece| !piece.is_empty()).collect();
        assert_eq!(found, expected, "{value}");
    }

    #[test]
    fn tags_are_separated_in_many_ways() {
        check("蓝色头发，长发、red_eyes；smile", &["蓝色头发", "长发", "red_eyes", "smile"]);
        check("smile; blush;happy", &["smile", "blush", "happy"]);
        check("\nlong_hair\nblonde_hair\n", &["long_hair", "blonde_hair"]);
        check("- white shirt\n- black skirt", &["white shirt", "black skirt"]);
        check("• a\n• b", &["a", "b"]);
        check("1. long hair\n2) red eyes", &["long hair", "red eyes"]);
        check("long_hair,\nblonde_hair\ngreen_eyes", &["long_hair", "blonde_hair", "green_eyes"]);
        check("blue hair\nlong hair, red eyes, smile", &["blue hair", "long hair", "red eyes", "smile"]);
        check("1、a\n2、b", &["a", "b"]);
        check("一、红眼\n二、长发", &["红眼", "长发"]);
        check("(1) a\n(2) b", &["a", "b"]);
        check("① a\n② b", &["a", "b"]);
        check("- [ ] a\n- [x] b", &["a", "b"]);
        check("→ a\n→ b", &["a", "b"]);
        check("x、y", &["x", "y"]);
        check("a | b | c", &["a", "b", "c"]);
        check("شعر، عيون", &["شعر", "عيون"]);
        check("blue_hair / long_hair", &["blue_hair", "long_hair"]);
        check("长发。红眼", &["长发", "红眼"]);
        check("blue_hair・long_hair", &["blue_hair", "long_hair"]);
    }

    #[test]
    fn other_marks_stay() {
        for value in [
            "steins;gate",
            "&#160;",
            "a&amp;amp;b",
            "makise_kurisu_(steins;gate)",
            ";)",
            ">;)",
            ";_;",
            "|_|",
            "-_-",
            "R&B;",
            "{a | b}",
            "1.5_scale",
            "+_+",
            "*_*",
            "fate/stay_night",
            "モンキー・D・ルフィ",
            "她在笑。",
        ] {
            check(value, &[value]);
        }
        check("long_hair, blue\n  eyes, x", &["long_hair", "blue\n  eyes", "x"]);
    }
}
