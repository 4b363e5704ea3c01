//! Marks of HTML inside a prompt: line breaks and letter styles, as web pages and editors add them.

use std::borrow::Cow;
use std::ops::Range;

use super::Opening;
use crate::rules::unknown_element;
use crate::source::Change;

/// Elements that style letters, in lower case.
const STYLES: &[&str] = &["b", "i", "u", "em", "strong", "span", "font", "mark", "small", "sub", "sup", "center", "tt"];

impl Opening<'_, '_> {
    /// Reads `<br>` as a line break, and `<b>…</b>` as its content. To a strict check they are unknown elements.
    pub(super) fn read_html(&mut self) {
        if self.findings.is_strict() {
            return;
        }
        let changes: Vec<Change> = marks(self.left())
            .into_iter()
            .map(|(span, replacement)| {
                (self.window.start + span.start..self.window.start + span.end, Cow::Borrowed(replacement))
            })
            .collect();
        for (span, replacement) in &changes {
            self.report(unknown_element::html(span.clone(), &self.source.text[span.clone()], replacement));
        }
        if !changes.is_empty() {
            self.replace(&changes);
        }
    }
}

/// A mark in a text.
struct Mark {
    span: Range<usize>,
    /// The place of its name in [`STYLES`]; `None` for a line break.
    style: Option<usize>,
    is_end: bool,
}

/// The marks of a text, and what each is read as.
fn marks(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let found: Vec<Mark> = text.match_indices('<').filter_map(|(at, _)| mark(text, at)).collect();
    let mut first_start = [usize::MAX; STYLES.len()];
    let mut last_end = [0; STYLES.len()];
    for mark in &found {
        match (mark.style, mark.is_end) {
            (Some(style), true) => last_end[style] = mark.span.start,
            (Some(style), false) => first_start[style] = first_start[style].min(mark.span.start),
            (None, _) => {}
        }
    }
    // A style without its other end is an emoticon or a slip.
    let replacement = |mark: &Mark| match (mark.style, mark.is_end) {
        (None, _) => Some("\n"),
        (Some(style), true) => (first_start[style] < mark.span.start).then_some(""),
        (Some(style), false) => (mark.span.start < last_end[style]).then_some(""),
    };
    found.iter().filter_map(|mark| Some((mark.span.clone(), replacement(mark)?))).collect()
}

/// The mark that begins at an offset.
fn mark(text: &str, at: usize) -> Option<Mark> {
    const LONGEST_NAME: usize = 6;
    const LONGEST: usize = 200;
    let inside = &text[at + 1..];
    let (inside, is_end) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let letters = inside.bytes().take(LONGEST_NAME + 1).take_while(u8::is_ascii_alphabetic).count();
    // Nearly every tag ends here.
    if letters > LONGEST_NAME || !matches!(inside.as_bytes().get(letters), Some(b'>' | b' ' | b'/')) {
        return None;
    }
    let name = &inside[..letters];
    let style = match name.eq_ignore_ascii_case("br") {
        true => None,
        false => Some(STYLES.iter().position(|style| style.eq_ignore_ascii_case(name))?),
    };
    let near = &inside[letters..inside.floor_char_boundary(letters + LONGEST)];
    let close = near.find(['>', '<', '\n']).filter(|close| near[*close..].starts_with('>'))?;
    let end = text.len() - inside.len() + letters + close + 1;
    Some(Mark { span: at..end, style, is_end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_and_styles_are_found() {
        let text = "a<br>b<BR />c <b>d</b> <span style=\"x\">e</span>";
        let found: Vec<(&str, &str)> = marks(text).into_iter().map(|(span, read)| (&text[span], read)).collect();
        assert_eq!(
            found,
            [("<br>", "\n"), ("<BR />", "\n"), ("<b>", ""), ("</b>", ""), ("<span style=\"x\">", ""), ("</span>", "")]
        );
    }

    #[test]
    fn other_brackets_stay() {
        assert_eq!(marks("</b>a<b>"), []);
        for text in [">_<", "<b>", "<3", "<brush>", "<body_type>tall</body_type>", "<caption>b</caption>", "<i"] {
            assert_eq!(marks(text), [], "{text}");
        }
    }
}
