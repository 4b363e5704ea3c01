//! What stands around a prompt as text: talk, code fences, a system prompt, a JSON object, settings of other programs.
//!
//! Each step looks at a window of the text. A step that only cuts moves the window's ends; one that decodes derives a new
//! text whose places lead back. What is markup (`<img>`, `<document>`) or stands next to it (braces, `caption:`) is
//! removed by [`crate::lower`], where it is a node like others.

mod chat;
mod chat_elements;
mod code;
mod csv_table;
mod escaped;
mod fence;
mod foreign;
mod front_matter;
mod html;
mod invisible;
mod json;
mod line_ends;
mod mapping;
mod markup;
mod plain;
mod prefixes;
mod quotes;
mod segments;
mod settings;
mod system_prompt;
mod tag_page;
mod thoughts;

use std::ops::Range;

use crate::checked::Envelope;
use crate::findings::{Finding, Findings, WriteBack};
use crate::limits::Limits;
use crate::phrases::{self, Label};
use crate::rules::{envelope_removed, negative_split, system_prompt_split};
use crate::settings::is_setting_name;
use crate::source::Source;

pub(crate) use plain::decode_entities;

/// Whether a tag of the grammar stands in a text.
pub(crate) fn has_tag(text: &str) -> bool {
    markup::first_tag(text).is_some()
}

/// The text of the blocks, and the way back from it to the text that was handed in.
#[derive(Debug)]
pub(crate) struct Contents<'t> {
    /// The text to read.
    pub(crate) source: Source<'t>,
    /// Where the blocks stand in it.
    pub(crate) blocks: Range<usize>,
    /// Where the caption of a JSON object stands in it.
    pub(crate) caption: Option<Range<usize>>,
    /// Where the text of a negative prompt stands in it.
    pub(crate) negative: Option<Range<usize>>,
    /// How a replacement is written into the text that was handed in.
    pub(crate) write_back: WriteBack,
    pub(crate) system_prompt: Option<String>,
    pub(crate) negative_system_prompt: Option<String>,
    /// What stood around the blocks, if it was no markup.
    pub(crate) envelope: Option<Envelope>,
    /// What is replaced as a whole by the canonical form, in the text that was handed in.
    pub(crate) wrapper: Option<Wrapper>,
}

/// A part of the text that only its canonical form can replace.
#[derive(Debug)]
pub(crate) struct Wrapper {
    /// Where it stands in the text that was handed in.
    pub(crate) span: Range<usize>,
    pub(crate) kind: WrapperKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrapperKind {
    /// A JSON object.
    Json,
    /// Markup that was escaped once too often.
    Escaped,
}

/// Which document a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    Prompt,
    /// A negative prompt.
    Negative,
}

/// Removes what stands around the blocks. `None` if it is unclear what the prompt is, which is reported.
///
/// The findings are about the text as it was handed in.
pub(crate) fn open<'t>(
    text: &'t str,
    document: Document,
    limits: &Limits,
    findings: &mut Findings,
) -> Option<Contents<'t>> {
    let mut opening = Opening {
        source: Source::new(text),
        window: 0..text.len(),
        document,
        limits: *limits,
        findings,
        caption: None,
        negative: None,
        write_back: WriteBack::Verbatim,
        system_prompt: None,
        negative_system_prompt: None,
        envelope: None,
        wrapper: None,
    };
    opening.run()?;
    Some(opening.finish())
}

/// A text that is being opened.
struct Opening<'t, 'f> {
    source: Source<'t>,
    /// The part of the source that is left.
    window: Range<usize>,
    document: Document,
    limits: Limits,
    findings: &'f mut Findings,
    caption: Option<Range<usize>>,
    negative: Option<Range<usize>>,
    write_back: WriteBack,
    system_prompt: Option<String>,
    negative_system_prompt: Option<String>,
    envelope: Option<Envelope>,
    wrapper: Option<Wrapper>,
}

/// Whether a label, in lower case, is that of a remark, which is no part of a prompt.
fn is_remark(label: &str) -> bool {
    const LABELS: &[&str] = &[
        "note",
        "notes",
        "tip",
        "tips",
        "usage",
        "explanation",
        "comment",
        "comments",
        "title",
        "author",
        "credits",
        "recommended settings",
        "备注",
        "说明",
        "注意",
        "标题",
        "備考",
        "メモ",
        "タイトル",
        "참고",
        "제목",
        "примечание",
        "название",
        "hinweis",
        "titel",
        "título",
        "titre",
        "nota",
        "notas",
    ];
    LABELS.contains(&label)
}

/// The label of a line after the first one of a negative prompt, if it is a setting, a note or a field: it may begin
/// another part. Where the first line has a label too, these are the parts of the negative prompt.
fn another_part(text: &str) -> Option<Range<usize>> {
    const FIELDS: &[&str] = &["style", "settings", "parameters", "風格", "风格", "スタイル", "стиль"];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let start = at;
        at += line.len();
        let Some(label) = phrases::any_label(line) else { continue };
        if number == 0 || line.contains('<') {
            return None;
        }
        let lower = label.to_lowercase();
        if is_remark(&lower)
            || FIELDS.contains(&lower.as_str())
            || is_setting_name(&lower)
            || mapping::names_a_text(line)
        {
            let end = line.find([':', '：', '=']).unwrap_or(0);
            return Some(start..start + line.ceil_char_boundary(end + 1));
        }
    }
    None
}

/// Where the first line of a text begins that has the label of a remark; the first line of all counts with `from_first`.
fn remark_line(text: &str, from_first: bool) -> Option<usize> {
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_labelled = || phrases::any_label(line).is_some_and(|label| is_remark(&label.to_lowercase()));
        if (number > 0 || from_first) && is_labelled() {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Reading stops: it is unclear what the prompt is. The reason was reported.
struct Stop;

impl<'t> Opening<'t, '_> {
    fn run(&mut self) -> Option<()> {
        self.steps().ok()
    }

    fn steps(&mut self) -> Result<(), Stop> {
        const BYTE_ORDER_MARK: char = '\u{FEFF}';
        if self.left().starts_with(BYTE_ORDER_MARK) {
            self.window.start += BYTE_ORDER_MARK.len_utf8();
        }
        self.read_line_ends();
        self.remove_invisible();
        self.remove_prefixes();
        self.remove_front_matter()?;
        self.refuse_page()?;
        self.read_html();
        self.unwrap()?;
        // JSON in a string of JSON is decoded too, and escaped markup may be around it.
        const MOST_LEVELS: usize = 4;
        for _ in 0..MOST_LEVELS {
            self.relax_json();
            if json::is_likely(self.left()) {
                self.open_json()?;
                self.read_line_ends();
                self.remove_invisible();
                self.read_html();
            } else if self.decode_escaped() {
                self.read_line_ends();
                self.read_html();
            } else {
                break;
            }
            self.unwrap()?;
        }
        self.refuse_mapping()?;
        self.refuse_signed()?;
        self.split_segments()?;
        self.refuse_foreign()?;
        self.note_field();
        self.read_negative_list();
        self.trim_plain()
    }

    /// Removes wrappers that may stand inside each other in any order.
    fn unwrap(&mut self) -> Result<(), Stop> {
        const MOST_LAYERS: usize = 4;
        for _ in 0..MOST_LAYERS {
            let (window, length) = (self.window.clone(), self.source.text.len());
            self.remove_thoughts()?;
            self.remove_chat()?;
            self.remove_chat_elements()?;
            self.split_system_prompt();
            self.remove_unknown_root();
            self.open_fence()?;
            self.remove_quotes();
            self.remove_call();
            self.remove_quote_marks();
            self.cut_talk_before_json();
            if self.window == window && self.source.text.len() == length {
                break;
            }
        }
        Ok(())
    }

    /// What is left to read.
    fn left(&self) -> &str {
        &self.source.text[self.window.clone()]
    }

    /// Adds a finding about the text as it is now.
    fn report(&mut self, finding: Finding) {
        self.findings.push(finding.mapped(&self.source.map, self.write_back));
    }

    /// The range without blanks at its ends.
    fn trimmed(&self, range: Range<usize>) -> Range<usize> {
        let text = &self.source.text[range.clone()];
        let start = range.start + (text.len() - text.trim_start().len());
        let end = range.start + text.trim_end().len();
        start..end.max(start)
    }

    /// Replaces pieces of the text; the window's ends move along.
    fn replace(&mut self, changes: &[crate::source::Change]) {
        let moved = |offset: usize| {
            changes.iter().fold(offset, |moved, (span, replacement)| match span.end <= offset {
                true => moved + replacement.len() - span.len(),
                false => moved,
            })
        };
        let ranges = [Some(&mut self.window), self.caption.as_mut(), self.negative.as_mut()];
        for range in ranges.into_iter().flatten() {
            *range = moved(range.start)..moved(range.end);
        }
        self.source.replace(changes);
    }

    fn split_system_prompt(&mut self) {
        let Some(found) = system_prompt::split(&self.source.text[..self.window.end], self.window.start) else { return };
        let words = self.source.text[found.span.clone()].to_owned();
        let has_label = |line: &str| {
            matches!(phrases::heading(line), Some((Label::Negative, _))) || phrases::inline_negative(line).is_some()
        };
        // It belongs to the negative prompt.
        if words.lines().any(has_label) {
            return;
        }
        self.report(match self.document {
            Document::Prompt => system_prompt_split::finding(found.span, found.until, &words),
            Document::Negative => system_prompt_split::of_negative(found.span, found.until, &words),
        });
        self.window.start = found.until;
        self.system_prompt.get_or_insert(words);
    }

    /// Takes a range as the text of the negative prompt.
    fn take_negative(&mut self, range: Range<usize>, label: Range<usize>) -> Result<(), Stop> {
        let range = self.without_settings(self.trimmed(range));
        let range = self.without_pair(self.trimmed(range), &label);
        let text = &self.source.text[range.clone()];
        let is_quotation = text.starts_with("> ") && !text.contains('\n');
        let range = if is_quotation { self.trimmed(range.start + 1..range.end) } else { range };
        if range.is_empty() {
            return Ok(());
        }
        if self.negative.is_some() {
            self.report(negative_split::several(label));
            return Err(Stop);
        }
        let mut range = self.without_talk(range);
        if let Some(found) = system_prompt::split(&self.source.text[..range.end], range.start) {
            let words = self.source.text[found.span.clone()].to_owned();
            self.report(system_prompt_split::of_negative(found.span, found.until, &words).at("negative_prompt"));
            range.start = found.until;
            self.negative_system_prompt = Some(words);
        }
        if let Some(part) = another_part(&self.source.text[range.clone()]) {
            let span = range.start + part.start..range.start + part.end;
            self.report(negative_split::another_part(span.clone(), &self.source.text[span]));
            return Err(Stop);
        }
        if self.document == Document::Prompt && !label.is_empty() {
            self.refuse_element_behind(&range)?;
        }
        self.report(negative_split::labelled(label, range.clone()));
        self.negative = Some(range);
        Ok(())
    }

    /// Refuses an element of the prompt after the text of a negative prompt. One that begins the negative prompt, as in
    /// `Negative: <caption>…</caption>`, belongs to it.
    fn refuse_element_behind(&mut self, range: &Range<usize>) -> Result<(), Stop> {
        let text = &self.source.text[range.clone()];
        let Some(at) = markup::first_tag(text).filter(|at| *at > 0) else { return Ok(()) };
        let name = markup::name_at(&text[at + 1..]).to_owned();
        if phrases::is_negative_name(&name) {
            return Ok(());
        }
        let start = range.start + at;
        self.report(negative_split::element_behind(start..start + 1 + name.len(), &name));
        Err(Stop)
    }

    /// The text of a labelled prompt without the remarks behind it: `Prompt: 1girl`, and `Notes: …` on a later line.
    fn without_remarks(&mut self, range: Range<usize>) -> Range<usize> {
        let Some(at) = remark_line(&self.source.text[range.clone()], false) else { return range };
        let remarks = self.trimmed(range.start + at..range.end);
        self.report(envelope_removed::talk(remarks.clone(), &self.source.text[remarks.clone()]));
        self.trimmed(range.start..remarks.start)
    }

    /// Refuses plain text with a line that may be a remark: without the label of the prompt nobody knows where it ends.
    fn refuse_remarks(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let Some(at) = remark_line(text, true).filter(|_| text.contains('\n')) else { return Ok(()) };
        let line = text[at..].lines().next().unwrap_or_default();
        let end = line.find([':', '：']).unwrap_or(0);
        let span = window.start + at..window.start + at + line.ceil_char_boundary(end + 1);
        self.report(envelope_removed::remark(span.clone(), &self.source.text[span]));
        Err(Stop)
    }

    /// Refuses labels with signs: whether `-prompt: hat` is the negative prompt after `+prompt: 1girl` only a person knows.
    fn refuse_signed(&mut self) -> Result<(), Stop> {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        let has_label = |line: &str, sign: char| {
            line.strip_prefix(sign)
                .is_some_and(|rest| rest.starts_with(char::is_alphabetic) && phrases::any_label(rest).is_some())
        };
        let has_sign = |sign: char| text.lines().any(|line| has_label(line.trim_start(), sign));
        if markup::first_tag(text).is_some() || !has_sign('+') || !has_sign('-') {
            return Ok(());
        }
        self.report(negative_split::signed(window.start..window.start + 1));
        Err(Stop)
    }

    /// Cuts off a last paragraph of talk.
    fn without_talk(&mut self, range: Range<usize>) -> Range<usize> {
        let text = &self.source.text[range.clone()];
        let Some(last) = text.rfind("\n\n").map(|at| at + 2) else { return range };
        if !phrases::is_talk(&text[last..]) {
            return range;
        }
        let talk = self.trimmed(range.start + last..range.end);
        self.report(envelope_removed::talk(talk.clone(), &self.source.text[talk.clone()]));
        self.trimmed(range.start..talk.start)
    }

    /// An element of an unknown name around everything: `<answer>…</answer>`.
    fn remove_unknown_root(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        const SECTION: (&str, &str) = ("<![CDATA[", "]]>");
        let section = text.strip_prefix(SECTION.0).and_then(|inside| inside.strip_suffix(SECTION.1));
        if section.is_some_and(|inside| !inside.contains(SECTION.1) && markup::first_tag(inside).is_some()) {
            let (open, close) = (window.start + SECTION.0.len(), window.end - SECTION.1.len());
            self.report(envelope_removed::root(window.start..open, close..window.end));
            self.window = open..close;
            return;
        }
        let Some(inside) = text.strip_prefix('<') else { return };
        let name = markup::name_at(inside);
        let Some(open) = inside[name.len()..].strip_prefix('>').map(|rest| text.len() - rest.len()) else { return };
        let Some(close) = text.strip_suffix('>').and_then(|rest| rest.strip_suffix(name)?.strip_suffix("</")) else {
            return;
        };
        if name.is_empty() || markup::is_tag_name(name) || close.len() < open {
            return;
        }
        let content = &text[open..close.len()];
        let has_blocks = markup::first_tag(content).is_some_and(|at| {
            let name = markup::name_at(&content[at + 1..]);
            markup::is_block_name(name) || name == "caption"
        });
        let starts = |start: &&str| content.contains(*start);
        let is_wrapped =
            has_blocks || json::is_likely(content) || ["```", "~~~", "&lt;", "&amp;lt;"].iter().any(starts);
        if !is_wrapped {
            return;
        }
        let (open, close) = (window.start + open, window.start + close.len());
        self.report(envelope_removed::root(window.start..open, close..window.end));
        self.window = open..close;
    }

    /// Talk before a JSON object without a code fence.
    fn cut_talk_before_json(&mut self) {
        let window = self.trimmed(self.window.clone());
        let text = &self.source.text[window.clone()];
        if text.starts_with(['{', '<']) {
            return;
        }
        let places = [text.find('{'), text.find("{\""), text.find("{\n")];
        let is_object = |at: &usize| {
            let words = &text[..*at];
            let is_talk = markup::first_tag(words).is_none() && phrases::is_talk(words);
            is_talk && (json::is_likely(&text[*at..]) || json::is_relaxed(&text[*at..], self.limits.max_depth))
        };
        let Some(at) = places.into_iter().flatten().find(is_object) else { return };
        let head = self.trimmed(window.start..window.start + at);
        self.report(envelope_removed::talk(head.clone(), &self.source.text[head]));
        self.window.start = window.start + at;
    }

    fn finish(self) -> Contents<'t> {
        Contents {
            source: self.source,
            blocks: self.window,
            caption: self.caption,
            negative: self.negative,
            write_back: self.write_back,
            system_prompt: self.system_prompt,
            negative_system_prompt: self.negative_system_prompt,
            envelope: self.envelope,
            wrapper: self.wrapper,
        }
    }
}
