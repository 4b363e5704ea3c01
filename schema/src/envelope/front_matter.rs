//! Front matter of notes and pages: `key: value` between two lines `---`, or assignments between `+++`, before the text.

use super::{Opening, Stop, mapping};
use crate::phrases;
use crate::rules::envelope_removed;
use crate::rules::foreign_format::{self, Format};

/// Most lines that are looked at.
const MOST_LINES: usize = 100;

impl Opening<'_, '_> {
    /// Leaves out front matter that is not about the picture. Front matter that names a prompt or a field is refused.
    pub(super) fn remove_front_matter(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let Some((inside, end)) = front_matter(text) else { return Ok(()) };
        let is_toml = text.starts_with('+');
        let span = window.start..window.start + end;
        if inside.lines().any(names_a_text) {
            let first = window.start..window.start + 3;
            self.report(foreign_format::finding(first, if is_toml { Format::Toml } else { Format::Yaml }));
            return Err(Stop);
        }
        self.report(envelope_removed::talk(span.clone(), &self.source.text[span.clone()]));
        self.window.start = span.end;
        Ok(())
    }
}

/// What stands between the two marks at the beginning of a text, and where the second one ends. Text has to follow.
fn front_matter(text: &str) -> Option<(&str, usize)> {
    let mark =
        ["---", "+++"].into_iter().find(|mark| text.starts_with(mark) && text[mark.len()..].starts_with('\n'))?;
    let mut at = mark.len() + 1;
    let start = at;
    for (number, line) in text[start..].split_inclusive('\n').enumerate() {
        let trimmed = line.trim_end();
        if trimmed == mark {
            let end = at + line.len();
            return (number > 0 && !text[end..].trim().is_empty()).then(|| (&text[start..at], end));
        }
        if number > MOST_LINES || !is_entry(trimmed) {
            return None;
        }
        at += line.len();
    }
    None
}

/// Whether a line is one of a mapping: `title: Rain`, an entry below it, a comment.
fn is_entry(line: &str) -> bool {
    let is_inner = line.is_empty() || line.starts_with([' ', '\t', '#']) || line.starts_with("- ");
    let key = line.split([':', '=']).next().unwrap_or_default();
    let is_key = key.len() < line.len()
        && key.trim().chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | ' '));
    (is_inner || (is_key && !key.trim().is_empty())) && !line.contains('<')
}

fn names_a_text(line: &str) -> bool {
    mapping::names_a_text(line) || matches!(phrases::heading(line), Some((phrases::Label::Negative, _)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_matter_stands_between_two_marks() {
        for (text, inside) in [
            ("---\ntitle: Rain\ndate: 1\n---\n1girl", "title: Rain\ndate: 1\n"),
            ("+++\ntitle = \"Rain\"\n+++\n<n>a</n>", "title = \"Rain\"\n"),
            ("---\naliases:\n  - a\n---\nx", "aliases:\n  - a\n"),
        ] {
            assert_eq!(front_matter(text).map(|found| found.0), Some(inside), "{text}");
        }
        for text in
            ["---\ntitle: Rain", "---\n---\nx", "---\n1girl, solo\n---\nbad", "---\ntitle: Rain\n---\n", "1girl"]
        {
            assert_eq!(front_matter(text), None, "{text}");
        }
    }
}
