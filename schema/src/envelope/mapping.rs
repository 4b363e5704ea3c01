//! Mappings in YAML or TOML: lines of `key: value` or `key = value` whose keys are fields of a prompt.

use super::{Opening, Stop, csv_table, foreign, markup};
use crate::phrases::{self, Label};
use crate::rules::foreign_format::{self, Format};
use crate::settings;

/// Most lines that are looked at.
const MOST_LINES: usize = 400;

impl Opening<'_, '_> {
    /// Refuses a mapping before its keys are taken for labels; as plain text it would become the caption.
    pub(super) fn refuse_mapping(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let first = text.lines().next().unwrap_or_default().trim_end().len();
        let place = window.start..window.start + first;
        let head = markup::first_tag(text).map(|at| &text[..at]);
        if csv_table::is_table(text) {
            self.report(foreign_format::finding(place, Format::Csv));
            return Err(Stop);
        }
        if let Some(format) = head.map_or_else(|| mapping(text), quoted_markup) {
            self.report(foreign_format::finding(place, format));
            return Err(Stop);
        }
        Ok(())
    }

    /// Notes the name of a field before plain text, which is read as it stands.
    pub(super) fn note_field(&mut self) {
        let window = self.trimmed(self.window.clone());
        let line = self.source.text[window.clone()].lines().next().unwrap_or_default().trim_end();
        let Some(entry) = Entry::read(line) else { return };
        if !entry.is_field() || entry.is_caption() || entry.value.is_empty() || line.contains('<') {
            return;
        }
        let written = line[..line.len() - entry.value.len()].trim_end();
        let (span, written) = (window.start..window.start + written.len(), written.to_owned());
        self.report(foreign_format::field_in_plain_text(span, &written));
    }
}

/// Whether a line gives a prompt, a negative prompt or a field its text.
pub(super) fn names_a_text(line: &str) -> bool {
    Entry::read(line).is_some_and(|entry| entry.is_field() || entry.is_label())
}

/// One line with a key.
#[derive(Clone, Copy, Debug)]
struct Entry<'t> {
    key: &'t str,
    value: &'t str,
    is_assignment: bool,
    /// The key stands in quotes.
    is_quoted: bool,
}

impl<'t> Entry<'t> {
    fn read(line: &'t str) -> Option<Self> {
        const LONGEST: usize = 40;
        let line = line.trim_end();
        let at = line.find([':', '='])?;
        let (written, value) = (line[..at].trim(), line[at + 1..].trim());
        let key = written.trim_matches(['"', '\'']);
        let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.' | ' ');
        if key.is_empty() || key.len() > LONGEST || !key.chars().all(is_plain) || value.starts_with(':') {
            return None;
        }
        Some(Entry { key, value, is_assignment: line[at..].starts_with('='), is_quoted: key.len() < written.len() })
    }

    /// The last part of a dotted key.
    fn name(&self) -> &'t str {
        self.key.rsplit('.').next().unwrap_or(self.key).trim()
    }

    fn is_field(&self) -> bool {
        let is_text = matches!(self.name().to_lowercase().as_str(), "tags" | "system_prompt");
        is_text || self.is_caption() || foreign::is_member(self.name()) && !self.is_label()
    }

    fn is_caption(&self) -> bool {
        self.name().eq_ignore_ascii_case("caption")
    }

    /// Whether the key names the prompt or the negative prompt as a whole.
    fn is_label(&self) -> bool {
        let is_short = matches!(self.name().to_lowercase().as_str(), "p" | "pos");
        is_short || phrases::heading(&format!("{}:", self.name())).is_some()
    }

    fn is_negative(&self) -> bool {
        matches!(phrases::heading(&format!("{}:", self.name())), Some((Label::Negative, _)))
    }

    fn is_other(&self) -> bool {
        const OTHERS: &[&str] =
            &["title", "name", "id", "version", "notes", "note", "comment", "author", "date", "type", "size", "lora"];
        let name = self.name().to_lowercase();
        OTHERS.contains(&name.as_str()) || settings::is_setting_name(&name)
    }

    /// Whether the value is one that only YAML or TOML writes like this: in quotes, a list, a block of lines.
    fn is_marked_value(&self) -> bool {
        let value = self.value;
        let is_block = value.len() <= 3
            && value.starts_with(['|', '>'])
            && value[1..].bytes().all(|byte| matches!(byte, b'-' | b'+' | b'0'..=b'9'));
        let is_in = |open: char, close: char| value.len() > 1 && value.starts_with(open) && value.ends_with(close);
        let is_open = self.is_assignment && matches!(value, "[" | "{" | "\"\"\"" | "'''");
        is_block || is_open || is_in('"', '"') || is_in('\'', '\'') || is_in('[', ']') && !value.contains("](")
    }
}

/// The format of a text that is one mapping of fields.
fn mapping(text: &str) -> Option<Format> {
    let mut lines = text.lines().take(MOST_LINES).filter(|line| !is_remark(line)).peekable();
    if text.starts_with("%YAML") {
        return Some(Format::Yaml);
    }
    let explicit = lines.peek().and_then(|line| line.strip_prefix("? "));
    if explicit.is_some_and(foreign::is_member) {
        return Some(Format::Yaml);
    }
    let (mut fields, mut captions, mut others, mut is_marked, mut assignments) = (0, 0, 0, false, 0);
    while let Some(line) = lines.next() {
        let is_inner = line.starts_with([' ', '\t']) || (line.starts_with("- ") && fields + captions + others > 0);
        if is_inner {
            if let Some(inner) = Entry::read(line.trim_start().trim_start_matches("- ")) {
                captions += usize::from(inner.is_caption());
                fields += usize::from(inner.is_field() && !inner.is_caption());
            }
            continue;
        }
        if line.starts_with([']', '}']) || line.starts_with("\"\"\"") || line.starts_with("'''") || is_header(line) {
            continue;
        }
        let entry = Entry::read(line.strip_prefix("- ").unwrap_or(line))?;
        if settings::is_setting(line) {
            others += 1;
            continue;
        }
        match () {
            () if entry.is_caption() => captions += 1,
            () if entry.is_field() => fields += 1,
            () if entry.is_label() || entry.is_other() => others += 1,
            () => return None,
        }
        assignments += usize::from(entry.is_assignment);
        // The lines of a text in three quotes are not entries.
        if entry.is_assignment && matches!(entry.value, "\"\"\"" | "'''") {
            lines.by_ref().find(|line| line.trim_end().ends_with(entry.value));
        }
        let is_member = entry.is_field() || entry.is_label();
        let holds_fields = entry.value.is_empty()
            && lines.peek().is_some_and(|next| {
                next.starts_with([' ', '\t'])
                    && Entry::read(next.trim_start().trim_start_matches("- ")).is_some_and(|inner| inner.is_field())
            });
        // An empty negative prompt in quotes is a common default.
        let is_empty = entry.is_negative() && matches!(entry.value, "\"\"" | "''");
        is_marked |= holds_fields || is_member && !is_empty && (entry.is_marked_value() || entry.is_quoted);
    }
    let entries = fields + captions + others;
    let is_mapping = is_marked || (fields > 0 && entries > 1);
    is_mapping.then_some(if assignments > 0 { Format::Toml } else { Format::Yaml })
}

/// The format of a text in front of the first tag that ends with a key and the beginning of its value:
/// `tags: |`, `xml = """`.
fn quoted_markup(head: &str) -> Option<Format> {
    let entry = Entry::read(head.trim_end().lines().next_back()?)?;
    let is_key = entry.is_field() || entry.is_label() || entry.key.to_lowercase().contains("xml");
    let is_block = entry.value.len() <= 3 && entry.value.starts_with(['|', '>']);
    let is_open = matches!(entry.value, "\"" | "'" | "\"\"\"" | "'''");
    (is_key && (is_block || is_open)).then_some(if entry.is_assignment { Format::Toml } else { Format::Yaml })
}

/// A blank line, a comment, or a mark of a document.
fn is_remark(line: &str) -> bool {
    let line = line.trim();
    let is_comment = line.starts_with("# ") && phrases::heading(line).is_none();
    line.is_empty() || is_comment || matches!(line, "---" | "..." | "#")
}

/// `[general_tags]`, `[[characters]]`
fn is_header(line: &str) -> bool {
    let name = line.trim_end().strip_prefix('[').and_then(|line| line.strip_suffix(']'));
    name.is_some_and(|name| !name.contains([',', ':', '"']) && !name.trim_matches(['[', ']']).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_fields_are_recognised() {
        for text in [
            "style: anime\ncaption: A girl in the rain",
            "caption: A girl\nstyle: anime",
            "tags: 1girl, solo\ncaption: A girl",
            "tags:\n- 1girl\n- solo\ncaption: |\n  A girl.",
            "caption: >-\n  A girl\n  in the rain",
            "caption: \"A girl\"",
            "'caption': 'A girl'",
            "? caption\n: A girl",
            "%YAML 1.2\n---\ncaption: A girl",
            "# mine\nstyle: anime\ncaption: A girl",
            "seed: 7\nstyle: anime\ncaption: A girl",
            "title: Rain\ncaption: A girl\nstyle: anime",
            "prompt:\n  caption: A girl",
            "prompt: 1girl\nstyle: anime\nnegative: lowres",
            "p: 1girl\nn: lowres",
            "description: A girl\nstyle: anime",
            "danbooru_tags: lowres\ncaption: bad",
            "- style: anime\n  caption: A girl\n- style: ink",
            "style : anime\ncaption : A girl",
        ] {
            assert_eq!(mapping(text), Some(Format::Yaml), "{text}");
        }
        for text in [
            "tags = [\"1girl\", \"solo\"]",
            "style = \"anime\"",
            "# mine\nstyle = 'anime'",
            "style = anime\ncaption = A girl",
            "appearance = [\n  'blue_hair',\n]",
            "general_tags.count = \"1girl\"",
            "prompt = \"1girl\"\nnegative_prompt = \"lowres\"",
            "[negative]\ndanbooru_tags = \"lowres\"",
            "caption = \"\"\"\nA girl\n\"\"\"",
        ] {
            assert_eq!(mapping(text), Some(Format::Toml), "{text}");
        }
    }

    #[test]
    fn labels_and_plain_text_are_no_mapping() {
        for text in [
            "style: watercolor, a girl with a hat",
            "style: anime\n1girl, solo",
            "caption: A girl in the rain.\nShe smiles: happy.",
            "caption: A girl\nNegative prompt: lowres",
            "Prompt: 1girl\nNegative prompt: lowres\nSteps: 20",
            "Prompt: 1girl\nStyles: ['Fooocus V2']\nResolution: (1152, 896)",
            "prompt: 1girl\nnegative_prompt: \"\"",
            "Title: Rain\nPrompt: 1girl",
            "A girl: she laughs.",
            "tags:\n- 1girl\n- solo",
            "### Negative prompt\nlowres",
            "[lantern], snow",
            "",
        ] {
            assert_eq!(mapping(text), None, "{text}");
        }
    }

    #[test]
    fn markup_in_a_value_is_recognised() {
        assert_eq!(quoted_markup("tags: |\n  "), Some(Format::Yaml));
        assert_eq!(quoted_markup("seed: 7\nprompt: >-\n"), Some(Format::Yaml));
        assert_eq!(quoted_markup("xml = \"\"\"\n"), Some(Format::Toml));
        assert_eq!(quoted_markup("prompt: \""), Some(Format::Yaml));
        for head in ["", "prompt:\n", "Here is the XML:\n", "a | b"] {
            assert_eq!(quoted_markup(head), None, "{head}");
        }
    }
}
