//! HTML inside a prompt: line breaks, letter styles and blocks of text, as web pages and editors add them.

use std::borrow::Cow;
use std::ops::Range;

use super::{Opening, Stop, markup};
use crate::phrases;
use crate::rules::foreign_format::{self, Format};
use crate::rules::{negative_split, unknown_element};
use crate::source::Change;

/// Elements that style letters, in lower case.
const STYLES: &[&str] = &["b", "i", "u", "em", "strong", "span", "font", "mark", "small", "sub", "sup", "center", "tt"];

/// Elements that are blocks of plain text or stand inside them, in lower case; in a prompt with elements of the grammar
/// they are unknown elements. The end of a block ends its line.
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "pre",
    "code",
    "a",
    "article",
    "section",
    "blockquote",
    "textarea",
    "dl",
    "dt",
    "dd",
    "kbd",
    "samp",
    "del",
    "ins",
];

/// Those of them that stand inside a line.
const INLINE: &[&str] = &["code", "a", "kbd", "samp", "del", "ins"];

/// Those that need no end.
const ENDLESS: &[&str] = &["p", "li", "dt", "dd"];

/// Elements that only a page or a table has, in lower case.
const PAGE: &[&str] =
    &["<!doctype html", "<html", "<head>", "<script", "<table", "<iframe", "<svg", "<form", "<tbody", "<tr>"];

impl Opening<'_, '_> {
    /// Refuses a page or a table: only a person can say which part of it is the prompt.
    pub(super) fn refuse_page(&mut self) -> Result<(), Stop> {
        let text = self.left();
        let is_block = |at: usize| markup::is_block_name(markup::name_at(&text[at + 1..]));
        let first = text.len() - text.trim_start().len();
        let mut found = None;
        for (at, _) in text.match_indices('<') {
            let begins =
                |mark: &&str| text[at..].get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark));
            if is_block(at) {
                return Ok(());
            }
            let is_body = || at == first && begins(&"<body>");
            if found.is_none() && (PAGE.iter().any(begins) || is_body()) {
                found = Some(at);
            }
        }
        let Some(at) = found else { return Ok(()) };
        let end = text[at..].find(['>', '\n']).map_or(text.len(), |end| at + end + 1);
        let span = self.window.start + at..self.window.start + end;
        self.report(foreign_format::finding(span, Format::Html));
        Err(Stop)
    }

    /// Reads `<br>` as a line break, and `<b>…</b>` as its content. To a strict check they are unknown elements.
    pub(super) fn read_html(&mut self) {
        if self.findings.is_strict() {
            return;
        }
        if let Some(tag) = negative_mark(self.left()) {
            let span = self.window.start + tag.start..self.window.start + tag.end;
            self.report(negative_split::html_attribute(span.clone(), &self.source.text[span]));
        }
        // A line break inside a string is no JSON.
        let is_plain = is_plain(self.left()) && !self.left().trim_start().starts_with('{');
        let changes: Vec<Change> = marks(self.left(), is_plain)
            .into_iter()
            .map(|(span, replacement)| {
                (self.window.start + span.start..self.window.start + span.end, Cow::Borrowed(replacement))
            })
            .collect();
        if !changes.is_empty() {
            self.report(unknown_element::html(&changes, &self.source.text));
            self.replace(&changes);
        }
    }
}

/// Whether a text has no elements of the grammar. A picture `<img src="…">` does not count.
fn is_plain(text: &str) -> bool {
    const FAR: usize = 200;
    let is_picture = |inside: &str| {
        let is_named = inside.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("img "));
        let near = &inside[..inside.floor_char_boundary(FAR)];
        is_named && near.split('>').next().is_some_and(|tag| tag.contains("src="))
    };
    text.match_indices('<').all(|(at, _)| {
        let inside = &text[at + 1..];
        is_picture(inside) || !markup::is_tag_name(markup::name_at(inside.strip_prefix('/').unwrap_or(inside)))
    })
}

/// Whether a name is that of an element that is read.
pub(super) fn is_name(name: &str) -> bool {
    STYLES.iter().chain(BLOCKS).any(|known| known.eq_ignore_ascii_case(name))
}

/// What a mark does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `<br>`, `<hr>`
    Break,
    /// A picture, which is ignored.
    Picture,
    /// An element by its place among [`STYLES`] and [`BLOCKS`].
    Element(usize),
}

/// A mark in a text.
struct Mark {
    span: Range<usize>,
    kind: Kind,
    is_end: bool,
}

/// The marks of a text, and what each is read as.
fn marks(text: &str, is_plain: bool) -> Vec<(Range<usize>, &'static str)> {
    const COUNT: usize = STYLES.len() + BLOCKS.len();
    let found: Vec<Mark> = text.match_indices('<').filter_map(|(at, _)| mark(text, at, is_plain)).collect();
    let mut first_start = [usize::MAX; COUNT];
    let mut last_end = [0; COUNT];
    for mark in &found {
        match (mark.kind, mark.is_end) {
            (Kind::Element(element), true) => last_end[element] = mark.span.start,
            (Kind::Element(element), false) => first_start[element] = first_start[element].min(mark.span.start),
            _ => {}
        }
    }
    // A short name without its other end is an emoticon or a slip, but for those that need none.
    const SHORT: usize = 3;
    let is_long = |element: usize| {
        let name = STYLES.get(element).or_else(|| BLOCKS.get(element.wrapping_sub(STYLES.len())));
        is_plain && name.is_some_and(|name| name.len() > SHORT)
    };
    let replacement = |mark: &Mark| match (mark.kind, mark.is_end) {
        (Kind::Break, _) => Some("\n"),
        (Kind::Picture, _) => Some(""),
        (Kind::Element(element), true) => {
            let is_block = element >= STYLES.len() && !INLINE.contains(&BLOCKS[element - STYLES.len()]);
            let is_paired = first_start[element] < mark.span.start;
            (is_paired || is_long(element)).then_some(if is_block { "\n" } else { "" })
        }
        (Kind::Element(element), false) if mark.span.start >= last_end[element] => {
            let name = BLOCKS.get(element.wrapping_sub(STYLES.len()));
            match name.is_some_and(|name| ENDLESS.contains(name)) {
                true => Some("\n"),
                false => is_long(element).then_some(""),
            }
        }
        (Kind::Element(_), false) => Some(""),
    };
    found.iter().filter_map(|mark| Some((mark.span.clone(), replacement(mark)?))).collect()
}

/// The first start tag with an attribute that says that its content is not wanted: `<span class="negative">`.
fn negative_mark(text: &str) -> Option<Range<usize>> {
    let is_against = |span: &Range<usize>| {
        let words = text[span.clone()].split_once(' ').map_or("", |(_, attributes)| attributes);
        words.contains('=') && words.split(['"', '\'', '=', ' ', '>']).any(phrases::is_negative_name)
    };
    let marks = text.match_indices('<').filter_map(|(at, _)| mark(text, at, true));
    marks.filter(|mark| !mark.is_end).map(|mark| mark.span).find(is_against)
}

/// The mark that begins at an offset.
fn mark(text: &str, at: usize, is_plain: bool) -> Option<Mark> {
    const LONGEST_NAME: usize = 10;
    const LONGEST: usize = 200;
    let inside = &text[at + 1..];
    let (inside, is_end) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let letters = inside.bytes().take(LONGEST_NAME + 1).take_while(u8::is_ascii_alphanumeric).count();
    // Nearly every tag ends here.
    if letters == 0 || letters > LONGEST_NAME || !matches!(inside.as_bytes().get(letters), Some(b'>' | b' ' | b'/')) {
        return None;
    }
    let name = &inside[..letters];
    let element =
        STYLES.iter().chain(if is_plain { BLOCKS } else { &[] }).position(|known| known.eq_ignore_ascii_case(name));
    let kind = match name.to_ascii_lowercase().as_str() {
        "br" => Kind::Break,
        "hr" if is_plain => Kind::Break,
        "img" if is_plain => Kind::Picture,
        _ => Kind::Element(element?),
    };
    let near = &inside[letters..inside.floor_char_boundary(letters + LONGEST)];
    let close = near.find(['>', '<', '\n']).filter(|close| near[*close..].starts_with('>'))?;
    let end = text.len() - inside.len() + letters + close + 1;
    Some(Mark { span: at..end, kind, is_end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_styles_are_found() {
        let text = "a<br>b<BR />c <b>d</b> <span style=\"x\">e</span>";
        let found: Vec<(&str, &str)> = marks(text, false).into_iter().map(|(span, read)| (&text[span], read)).collect();
        assert_eq!(
            found,
            [("<br>", "\n"), ("<BR />", "\n"), ("<b>", ""), ("</b>", ""), ("<span style=\"x\">", ""), ("</span>", "")]
        );
    }

    #[test]
    fn other_brackets_stay() {
        assert_eq!(marks("</b>a<b>", true), []);
        for text in [">_<", "<b>", "<3", "<brush>", "<body_type>tall</body_type>", "<caption>b</caption>", "<i"] {
            assert_eq!(marks(text, false), [], "{text}");
        }
    }

    #[test]
    fn blocks_are_lines_of_plain_text() {
        let text = "<div class=\"a\"><p>1girl</p><p>solo</p></div><img src=\"a.png\">";
        assert!(is_plain(text));
        let read: Vec<&str> = marks(text, true).into_iter().map(|(_, read)| read).collect();
        assert_eq!(read, ["", "", "\n", "", "\n", "\n", ""]);
        assert!(!is_plain("<p><caption>a</caption></p>"));
        assert!(is_plain("<p>a</p> >_<"));
    }
}
