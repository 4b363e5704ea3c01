//! The JSON object around a prompt: `{"image": {"tags": "<character_1>…", "caption": "…"}}`, or the prompt's fields as
//! members: `{"characters": [{"n": "miku", …}], "general_tags": {…}}`.
//!
//! serde_json keeps no positions, and refuses the raw line breaks that people leave inside strings. So the object is
//! scanned here into spans, with a limit on depth, without copying anything. Members become XML whose places lead back
//! to them, so that they are read like any other prompt.

mod members;
mod relaxed;
mod scan;

use std::ops::Range;

use super::{Document, Opening, Stop, Wrapper, WrapperKind};
use crate::checked::Envelope;
use crate::findings::WriteBack;
use crate::phrases;
use crate::rules::{
    bad_encoding, envelope_removed, negative_split, not_well_formed, stray_text, system_prompt_split, too_deep,
};
use crate::source::{Source, SourceBuilder};
use members::Members;
use scan::{Fault, Scanner, Value, escaped};

pub(super) use relaxed::is_relaxed;
pub(super) use scan::escaped as escape_at;

/// Whether a text begins like a JSON object rather than like blocks in braces.
pub(super) fn is_likely(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('{');
    inside.is_some_and(|inside| inside.trim_start().starts_with(['"', '“']))
}

/// Whether a text is one JSON string.
pub(super) fn is_string(text: &str) -> bool {
    let mut scanner = Scanner::new(text, 0, 1);
    text.starts_with('"') && scanner.value().is_ok_and(|value| value.span == (0..text.len()))
}

impl Opening<'_, '_> {
    /// Takes the blocks, the caption and the negative prompt out of the object that the window begins with.
    pub(super) fn open_json(&mut self) -> Result<(), Stop> {
        let mut scanner = Scanner::new(&self.source.text[..self.window.end], self.window.start, self.limits.max_depth);
        let object = match scanner.value() {
            Ok(object) => object,
            Err(Fault::Syntax(at, fault)) => {
                let end = self.source.text.ceil_char_boundary((at + 1).min(self.source.text.len()));
                self.report(not_well_formed::json(at.min(end)..end, fault));
                return Err(Stop);
            }
            Err(Fault::TooDeep(at)) => {
                self.report(too_deep::finding(at..at + 1, self.limits.max_depth));
                return Err(Stop);
            }
        };
        let line_break = scanner.line_break;
        let whole = object.span.clone();
        let behind = self.trimmed(whole.end..self.window.end);
        if !behind.is_empty() {
            self.text_after_json(behind)?;
        }
        if let Some(at) = line_break {
            self.report(not_well_formed::json_line_break(at..at + 1));
        }
        self.read_object(&object, whole)
    }

    /// Talk after the object is left out; anything else is a fault.
    fn text_after_json(&mut self, behind: Range<usize>) -> Result<(), Stop> {
        let text = &self.source.text[behind.clone()];
        let has_label = |line: &str| phrases::heading(line).is_some() || phrases::inline_negative(line).is_some();
        let is_talk = phrases::is_talk(text) && !text.lines().any(has_label);
        self.report(match is_talk {
            true => envelope_removed::talk(behind.clone(), text),
            false => stray_text::behind_json(behind.clone(), text),
        });
        Ok(())
    }

    fn read_object(&mut self, object: &Value, whole: Range<usize>) -> Result<(), Stop> {
        let read = Members::read(&self.source.text, object);
        if read.is_empty()
            && self.document == Document::Negative
            && let [negative] = read.negative.as_slice()
        {
            let mut builder = SourceBuilder::default();
            self.window = members::write_negative(&self.source, negative, &mut builder);
            let span = self.source.map.origin(whole);
            self.source = builder.finish();
            self.write_back = WriteBack::None;
            self.envelope.get_or_insert(Envelope::Json);
            self.wrapper.get_or_insert(Wrapper { span, kind: WrapperKind::Json });
            return Ok(());
        }
        if read.is_empty() {
            self.report(envelope_removed::json_without_tags(whole.start..whole.start + 1));
            return Err(Stop);
        }
        let mut builder = SourceBuilder::default();
        let blocks = read.write_blocks(&self.source, &mut builder);
        let caption = read.caption.map(|value| write_string(&self.source, value, &mut builder));
        let negative = read.negative.first().map(|value| members::write_negative(&self.source, value, &mut builder));
        for (span, path, is_lost) in read.unread(&self.source.text, builder.text()) {
            self.report(envelope_removed::json_member(span, &path, is_lost));
        }
        for (value, path) in &read.doubtful {
            self.report(negative_split::perhaps_member(value.span.clone(), path));
        }
        if let Some(second) = read.negative.get(1) {
            self.report(negative_split::several(second.span.clone()));
        }
        for second in &read.second {
            self.report(envelope_removed::several_prompts(second.clone()));
        }
        if let Some(value) = read.system_prompt {
            let words = decoded(&self.source.text, value.inside());
            self.report(system_prompt_split::member(value.span.clone(), &words));
            self.system_prompt.get_or_insert(words);
        }
        let is_typed = read.is_typed();
        self.keep_negative(&mut builder);
        let whole_start = whole.start;
        let span = self.source.map.origin(whole);
        const LOST: &str = "\u{FFFD}";
        let has_lost = builder.text().contains(LOST) && !self.source.text.contains(LOST);
        if has_lost {
            self.report(bad_encoding::replaced(whole_start..whole_start + 1, builder.text().matches(LOST).count()));
        }
        self.source = builder.finish();
        self.window = blocks;
        self.caption = caption;
        // Inside another wrapper only that one can be replaced.
        let is_inner = self.wrapper.is_some();
        self.write_back = if is_typed || is_inner { WriteBack::None } else { WriteBack::Json };
        if let Some(negative) = negative {
            let place = negative.start..negative.start;
            self.window.end = self.window.end.min(self.source.text.len());
            self.take_negative(negative, place)?;
        }
        self.envelope.get_or_insert(Envelope::Json);
        self.wrapper.get_or_insert(Wrapper { span, kind: WrapperKind::Json });
        Ok(())
    }

    /// Copies a negative prompt that was found before into the text that replaces this one.
    fn keep_negative(&mut self, builder: &mut SourceBuilder) {
        if let Some(negative) = self.negative.take() {
            let start = builder.len();
            builder.copy(&self.source, negative);
            self.negative = Some(start..builder.len());
        }
    }

    /// Reads the window as one JSON string.
    pub(super) fn open_json_string(&mut self, window: Range<usize>) {
        let mut builder = SourceBuilder::default();
        let inside = write_raw(&self.source, window.start + 1..window.end - 1, &mut builder);
        self.keep_negative(&mut builder);
        self.report(envelope_removed::quotes(window.start..window.start + 1, window.end - 1..window.end));
        let span = self.source.map.origin(window);
        self.source = builder.finish();
        self.window = inside;
        self.write_back = if self.wrapper.is_some() { WriteBack::None } else { WriteBack::Json };
        self.wrapper.get_or_insert(Wrapper { span, kind: WrapperKind::Json });
        self.envelope.get_or_insert(Envelope::Json);
    }
}

/// Appends a decoded string; returns where it now stands.
fn write_string(source: &Source<'_>, value: &Value, builder: &mut SourceBuilder) -> Range<usize> {
    write_raw(source, value.inside(), builder)
}

fn write_raw(source: &Source<'_>, inside: Range<usize>, builder: &mut SourceBuilder) -> Range<usize> {
    let start = builder.len();
    for_each_piece(&source.text, inside, |piece| match piece {
        Piece::Verbatim(range) => builder.copy(source, range),
        Piece::Escape(character, range) => {
            let mut buffer = [0; 4];
            builder.insert(source, character.encode_utf8(&mut buffer), range);
        }
    });
    start..builder.len()
}

enum Piece {
    Verbatim(Range<usize>),
    Escape(char, Range<usize>),
}

fn for_each_piece(text: &str, inside: Range<usize>, mut found: impl FnMut(Piece)) {
    let mut at = inside.start;
    while at < inside.end {
        let plain = text[at..inside.end].find('\\').map_or(inside.end, |offset| at + offset);
        if plain > at {
            found(Piece::Verbatim(at..plain));
        }
        at = plain;
        if at < inside.end {
            let (character, end) = escaped(text, at).unwrap_or(('\\', at + 1));
            found(Piece::Escape(character, at..end));
            at = end;
        }
    }
}

/// The string between the quotes at `inside`, with its escapes decoded.
fn decoded(text: &str, inside: Range<usize>) -> String {
    let mut decoded = String::new();
    for_each_piece(text, inside, |piece| match piece {
        Piece::Verbatim(range) => decoded.push_str(&text[range]),
        Piece::Escape(character, _) => decoded.push(character),
    });
    decoded
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;
    use crate::findings::Findings;
    use crate::limits::Limits;
    use crate::options::Strictness;
    use crate::position::PositionMap;

    #[track_caller]
    fn contents(text: &str) -> (String, Option<String>, PositionMap) {
        let mut findings = Findings::new(Strictness::Lenient, &Limits::DEFAULT);
        let contents = open(text, Document::Prompt, &Limits::DEFAULT, &mut findings).expect("it is JSON with tags");
        let caption = contents.caption.map(|caption| contents.source.text[caption].to_owned());
        (contents.source.text[contents.blocks].to_owned(), caption, contents.source.map)
    }

    fn first_code(text: &str) -> (&'static str, usize) {
        let mut findings = Findings::new(Strictness::Lenient, &Limits::DEFAULT);
        assert!(open(text, Document::Prompt, &Limits::DEFAULT, &mut findings).is_none(), "{text}");
        let diagnostics = findings.finish(text, &PositionMap::default(), WriteBack::Verbatim);
        (diagnostics[0].code, diagnostics[0].span.start)
    }

    #[test]
    fn tags_and_caption_are_found_and_decoded() {
        let text = r#"{"a": [1, {"b": null}], "image": {"caption": "A \"girl\".", "tags": "<n>\u732b\n</n>"}}"#;
        let (tags, caption, map) = contents(text);
        assert_eq!(tags, "<n>猫\n</n>");
        assert_eq!(caption.as_deref(), Some("A \"girl\"."));
        let origin = map.origin(3..6);
        assert_eq!(&text[origin], "\\u732b");
        let origin = map.origin(7..11);
        assert_eq!(&text[origin], "</n>");
    }

    #[test]
    fn members_become_blocks() {
        let text = r#"{"characters": [{"n": "a<b", "gender": "1girl", "appearance": ["x", "y"]}], "general_tags": {"count": "1girl"}}"#;
        let (blocks, _, map) = contents(text);
        let expected = "<character_1><n>a&lt;b</n><gender>1girl</gender><appearance>x, y</appearance></character_1>\
                        <general_tags><count>1girl</count></general_tags>";
        assert_eq!(blocks, expected);
        let at = blocks.find("1girl").expect("it is there");
        assert_eq!(&text[map.origin(at..at + 5)], "1girl");
    }

    #[test]
    fn surrogates_make_one_character() {
        let (tags, _, _) = contents(r#"{"tags": "\ud83d\ude00 \ud83d!"}"#);
        assert_eq!(tags, "😀 \u{FFFD}!");
    }

    #[test]
    fn faults_have_a_place() {
        for (text, at) in
            [("{\"a\" 1}", 5), ("{\"a\": }", 6), ("{\"a\": \"b", 6), ("{\"a\": \"\\x\"}", 7), ("{\"a\": 1,,}", 8)]
        {
            assert_eq!(first_code(text), ("not-well-formed", at), "{text}");
        }
    }

    #[test]
    fn depth_is_limited() {
        let text = format!("{{\"a\": {}", "[".repeat(100_000));
        assert_eq!(first_code(&text).0, "too-deep");
    }
}
