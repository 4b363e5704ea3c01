//! Marks of HTML inside a prompt: line breaks and letter styles, as web pages and editors add them.

use std::borrow::Cow;

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

/// The marks of a text, and what each is read as.
fn marks(text: &str) -> Vec<(std::ops::Range<usize>, &'static str)> {
    let mut marks = Vec::new();
    for (at, _) in text.match_indices('<') {
        let Some((name, is_end, length)) = mark(&text[at..]) else { continue };
        if name.eq_ignore_ascii_case("br") {
            marks.push((at..at + length, "\n"));
            continue;
        }
        // One without its other end is an emoticon or a slip.
        let other = if is_end { format!("<{name}") } else { format!("</{name}>") };
        let has_other = if is_end { text[..at].contains(&other) } else { text[at..].contains(&other) };
        if has_other {
            marks.push((at..at + length, ""));
        }
    }
    marks
}

/// The name of a mark at the beginning of a text, whether it is an end, and its length.
fn mark(text: &str) -> Option<(&str, bool, usize)> {
    const LONGEST: usize = 200;
    let inside = text.strip_prefix('<')?;
    let (inside, is_end) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let letters = inside.bytes().take_while(u8::is_ascii_alphabetic).count();
    let name = &inside[..letters];
    let is_known = name.eq_ignore_ascii_case("br") || STYLES.iter().any(|style| style.eq_ignore_ascii_case(name));
    let near = &inside[letters..inside.floor_char_boundary(letters + LONGEST)];
    let close = is_known.then(|| near.find(['>', '<', '\n']))?.filter(|close| near[*close..].starts_with('>'))?;
    let is_name_alone = near[..close].is_empty() || near.starts_with([' ', '/']);
    is_name_alone.then_some((name, is_end, text.len() - inside.len() + letters + close + 1))
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
        for text in [">_<", "<b>", "<3", "<brush>", "<body_type>tall</body_type>", "<caption>b</caption>", "<i"] {
            assert_eq!(marks(text), [], "{text}");
        }
    }
}
