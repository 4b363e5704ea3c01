//! The checks: text in, prompt and findings out. Nothing here fails or panics.

mod encoding;
mod system_prompt;
mod typed;

use std::ops::Range;

use crate::checked::{Checked, CheckedNegative, Envelope, has_error};
use crate::diagnostic::Diagnostic;
use crate::envelope::{self, Contents, Document, WrapperKind};
use crate::findings::{Findings, WriteBack};
use crate::lower;
use crate::options::{CheckOptions, Strictness};
use crate::outline::to_negative_prompt;
use crate::phrases::is_negative_name;
use crate::position::PositionMap;
use crate::prompt::{NegativePrompt, Prompt};
use crate::render::with_line_feeds;
use crate::rules::{
    self, bad_encoding, empty_prompt, envelope_removed, escaped_twice, forbidden_markup, invalid_value, negative_split,
    over_long, plain_text, too_large, unescaped_markup, unknown_to_model,
};
use crate::syntax;
use crate::tree::{Element, Node, Tree};
use crate::vocabulary::Vocabulary;
use crate::xml::is_xml_char;

pub use system_prompt::check_system_prompt;

/// Checks the text of a prompt, in any envelope.
pub fn check(text: &str, options: &CheckOptions<'_>) -> Checked {
    let mut reading = Reading::new(options);
    let Some(contents) = reading.open(text, Document::Prompt) else {
        return Checked { diagnostics: reading.diagnostics, ..Checked::default() };
    };
    let read = reading.prompt(text, &contents);
    Checked {
        prompt: read.prompt,
        system_prompt: contents.system_prompt,
        negative: read.negative,
        negative_system_prompt: contents.negative_system_prompt,
        envelope: read.envelope,
        diagnostics: reading.diagnostics,
    }
}

/// Checks the bytes of a prompt: what is not UTF-8 becomes a finding.
pub fn check_bytes(bytes: &[u8], options: &CheckOptions<'_>) -> Checked {
    if bytes.len() > options.limits.max_bytes {
        // The text is refused unread, so its encoding does not matter.
        return too_large(bytes.len(), options);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => check(text, options),
        Err(error) => {
            // The positions have to be those of the bytes, so the text up to the fault is all that can be shown.
            let sound = &bytes[..error.valid_up_to()];
            let text = std::str::from_utf8(sound).unwrap_or_default();
            let mut findings = Findings::new(options.strictness, &options.limits);
            findings.push(bad_encoding::not_utf8(text.len()..text.len(), bytes));
            let diagnostics = findings.finish(text, &PositionMap::default(), WriteBack::Verbatim);
            Checked { diagnostics, ..Checked::default() }
        }
    }
}

/// Checks a typed prompt. Positions are those of its canonical XML, [`Prompt::to_xml`].
///
/// The XML is checked strictly, since a program wrote it, and everything is an error that could not be read back: a
/// comma inside a tag, an empty tag, blanks at its ends, a seventeenth character, a character without gender.
pub fn check_typed(prompt: &Prompt, options: &CheckOptions<'_>) -> Checked {
    let options = CheckOptions { strictness: Strictness::Strict, ..*options };
    let xml = prompt.to_xml();
    let mut reading = Reading::new(&options);
    let read = reading.open(&xml, Document::Prompt).and_then(|contents| reading.prompt(&xml, &contents).prompt);
    let mut diagnostics = reading.diagnostics;
    let mut findings = Findings::new(options.strictness, &options.limits);
    typed::check(prompt, &xml, &mut findings);
    if findings.mark() == 0 && !has_error(&diagnostics) && read.as_ref() != Some(prompt) {
        findings.push(invalid_value::unwritable(0..0, "the prompt would not be read back as it is".to_owned()));
    }
    merge(&mut diagnostics, findings.finish(&xml, &PositionMap::default(), WriteBack::Verbatim));
    Checked { prompt: Some(prompt.clone()), diagnostics, ..Checked::default() }
}

/// Checks the text of a negative prompt.
pub fn check_negative(text: &str, options: &CheckOptions<'_>) -> CheckedNegative {
    let mut reading = Reading::new(options);
    let Some(contents) = reading.open(text, Document::Negative) else {
        return CheckedNegative { diagnostics: reading.diagnostics, ..CheckedNegative::default() };
    };
    let negative = reading.negative(text, &contents);
    CheckedNegative { negative, system_prompt: contents.system_prompt, diagnostics: reading.diagnostics }
}

fn too_large(length: usize, options: &CheckOptions<'_>) -> Checked {
    let mut findings = Findings::new(options.strictness, &options.limits);
    findings.push(too_large::finding(length, options.limits.max_bytes));
    Checked { diagnostics: findings.finish("", &PositionMap::default(), WriteBack::Verbatim), ..Checked::default() }
}

/// Merges two lists that are each in the order of the text.
fn merge(into: &mut Vec<Diagnostic>, more: Vec<Diagnostic>) {
    if !more.is_empty() {
        into.extend(more);
        into.sort_by_key(|diagnostic| diagnostic.span.start);
    }
}

/// One text being read.
struct Reading<'a> {
    options: CheckOptions<'a>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Reading<'a> {
    fn new(options: &CheckOptions<'a>) -> Self {
        Reading { options: *options, diagnostics: Vec::new() }
    }

    fn findings(&self) -> Findings {
        Findings::new(self.options.strictness, &self.options.limits)
    }

    /// Removes what stands around the blocks; these findings are about the text as it was handed in.
    fn open<'t>(&mut self, text: &'t str, document: Document) -> Option<Contents<'t>> {
        let limits = &self.options.limits;
        if text.len() > limits.max_bytes {
            self.diagnostics = too_large(text.len(), &self.options).diagnostics;
            return None;
        }
        let mut findings = self.findings();
        if encoding::is_utf16(text) {
            findings.push(bad_encoding::utf16(0..0));
            self.diagnostics = findings.finish(text, &PositionMap::default(), WriteBack::Verbatim);
            return None;
        }
        encoding::check(text, &mut findings);
        let contents = envelope::open(text, document, limits, &mut findings);
        self.diagnostics = findings.finish(text, &PositionMap::default(), WriteBack::Verbatim);
        contents
    }

    fn prompt(&mut self, text: &str, contents: &Contents<'_>) -> Read {
        let mut findings = self.findings();
        let source = contents.source.text.as_ref();
        report_forbidden(source, &mut findings);
        let tree = self.parse(contents, contents.blocks.clone(), &mut findings);
        let mut read = Read::default();
        let mut inner = Vec::new();
        if tree.is_cut {
            // Nothing of it is known.
        } else if let Some(sentence) = plain_sentence(contents, &tree.nodes, &mut findings) {
            read.envelope = contents.envelope.unwrap_or(Envelope::Plain);
            read.prompt = Some(Prompt { caption: Some(sentence), ..Prompt::default() });
        } else {
            let caption = contents.caption.clone().and_then(|span| syntax::text(source, span));
            let lowered = lower::prompt(source, tree.nodes, caption, &mut findings);
            let vocabulary = self.options.vocabulary.unwrap_or_else(|| Vocabulary::built_in());
            rules::check_meaning(&lowered.outline, source, vocabulary, &mut findings);
            if let Some(tags) = self.options.model_tags {
                unknown_to_model::check(&lowered.outline, tags, &mut findings);
            }
            read.envelope = contents.envelope.unwrap_or(lowered.outline.envelope);
            let prompt = lowered.outline.to_prompt();
            let is_caption_only = prompt == Prompt { caption: prompt.caption.clone(), ..Prompt::default() };
            // A caption in front of the negative prompt is that of the prompt.
            let start = contents.blocks.start;
            let is_first = |part: usize| !source.get(start..part).unwrap_or_default().contains('<');
            if lowered.first_negative_part.is_some_and(is_first) && is_caption_only && prompt.caption.is_some() {
                findings.push(negative_split::perhaps_whole(start..start));
            }
            read.prompt = Some(prompt);
            inner = lowered.negative;
        }
        read.negative = self.inner_negative(contents, inner, &mut findings);
        if let Some(prompt) = &read.prompt {
            if *prompt == Prompt::default() {
                let start = contents.blocks.start;
                findings.push(match &read.negative {
                    Some(_) => negative_split::alone(start..start),
                    None => empty_prompt::finding(start..start),
                });
            }
            self.over_long(contents, prompt, &mut findings);
        }
        let is_alone = read.negative.is_none() && contents.system_prompt.is_none();
        self.finish(text, contents, findings, || read.prompt.as_ref().filter(|_| is_alone).map(Prompt::to_xml));
        read
    }

    /// The negative prompt inside the text of a prompt: a part of the text, or nodes that stood among the blocks.
    fn inner_negative<'n>(
        &self,
        contents: &'n Contents<'_>,
        mut nodes: Vec<Node<'n>>,
        findings: &mut Findings,
    ) -> Option<NegativePrompt> {
        let source = contents.source.text.as_ref();
        findings.set_prefix("negative_prompt");
        let mut plain = None;
        if let Some(range) = &contents.negative {
            let mark = findings.mark();
            let tree = self.parse(contents, range.clone(), findings);
            match plain_text(contents, range, &tree.nodes, mark, findings) {
                Some(sentence) if nodes.is_empty() => plain = Some(sentence),
                _ => nodes.extend(tree.nodes),
            }
        }
        let negative = if let Some(sentence) = plain {
            rules::texts::check_plain(&sentence.text, sentence.span, findings);
            Some(NegativePrompt { caption: Some(sentence.decoded), ..NegativePrompt::default() })
        } else if nodes.iter().all(|node| matches!(node, Node::Text(_))) {
            lower::negative_sentence(source, &nodes, findings)
        } else {
            let block = lower::negative(source, nodes, None, findings);
            rules::check_list_meaning(&block, source, findings);
            Some(to_negative_prompt(&block))
        };
        findings.set_prefix("");
        negative.filter(|negative| *negative != NegativePrompt::default())
    }

    fn negative(&mut self, text: &str, contents: &Contents<'_>) -> Option<NegativePrompt> {
        let mut findings = self.findings();
        let source = contents.source.text.as_ref();
        report_forbidden(source, &mut findings);
        let tree = self.parse(contents, contents.blocks.clone(), &mut findings);
        let negative = if tree.is_cut {
            None
        } else if let Some(element) = negative_element(&tree.nodes) {
            findings.push(envelope_removed::element(element));
            lower::negative_sentence(source, &element.children, &mut findings)
        } else if let Some(sentence) = plain_sentence(contents, &tree.nodes, &mut findings) {
            Some(NegativePrompt { caption: Some(sentence), ..NegativePrompt::default() })
        } else {
            let caption = contents.caption.clone().and_then(|span| syntax::text(source, span));
            let block = lower::negative(source, tree.nodes, caption, &mut findings);
            rules::check_list_meaning(&block, source, &mut findings);
            Some(to_negative_prompt(&block))
        };
        self.finish(text, contents, findings, || negative.as_ref().map(NegativePrompt::to_xml));
        negative
    }

    /// Reads a part of the text into a tree.
    fn parse<'t>(&self, contents: &'t Contents<'_>, range: Range<usize>, findings: &mut Findings) -> Tree<'t> {
        let source: &'t str = &contents.source.text[..range.end];
        syntax::parse(source, range.start, self.options.limits.max_depth, findings)
    }

    fn over_long(&self, contents: &Contents<'_>, prompt: &Prompt, findings: &mut Findings) {
        // The text of the encoders is about as long as the input, so it is only rendered for a long input.
        if over_long::is_possible(&contents.source.text, &self.options.limits) {
            over_long::check(&prompt.to_model_text(), &self.options.limits, findings);
        }
    }

    fn finish(
        &mut self,
        text: &str,
        contents: &Contents<'_>,
        findings: Findings,
        canonical: impl FnOnce() -> Option<String>,
    ) {
        merge(&mut self.diagnostics, findings.finish(text, &contents.source.map, contents.write_back));
        if let Some(wrapper) = &contents.wrapper {
            // The canonical form takes the wrapper's place, so it is not written as JSON.
            let mut findings = self.findings();
            let start = wrapper.span.start..text.ceil_char_boundary(wrapper.span.start + 1);
            findings.push(match wrapper.kind {
                WrapperKind::Json => envelope_removed::json(start, wrapper.span.clone(), canonical()),
                WrapperKind::Escaped => escaped_twice::whole(start, wrapper.span.clone(), canonical()),
            });
            merge(&mut self.diagnostics, findings.finish(text, &PositionMap::default(), WriteBack::Verbatim));
        }
    }
}

/// What was read of a prompt.
#[derive(Default)]
struct Read {
    prompt: Option<Prompt>,
    negative: Option<NegativePrompt>,
    envelope: Envelope,
}

/// Plain text with its place.
struct Plain {
    text: String,
    span: Range<usize>,
    decoded: String,
}

/// The whole text, if there is no markup in it; the caption of a JSON object is its next line, as a second caption is.
fn plain_sentence(contents: &Contents<'_>, nodes: &[Node<'_>], findings: &mut Findings) -> Option<String> {
    let plain = plain_text(contents, &contents.blocks, nodes, 0, findings)?;
    let source = &contents.source.text;
    let caption = contents.caption.clone().map(|caption| source[caption].trim()).unwrap_or_default();
    rules::texts::check_plain(&plain.text, plain.span.clone(), findings);
    if caption.is_empty() {
        findings.push(plain_text::finding(&plain.decoded, plain.span));
        return Some(plain.decoded);
    }
    findings.push(plain_text::with_caption(plain.span));
    Some(format!("{}\n{caption}", plain.decoded))
}

/// A part of the text as plain text, if there is no markup in it. The findings since `mark` about its `<` and `&` are
/// removed: in plain text they need no escape. Entities of HTML are read.
fn plain_text(
    contents: &Contents<'_>,
    range: &Range<usize>,
    nodes: &[Node<'_>],
    mark: usize,
    findings: &mut Findings,
) -> Option<Plain> {
    let has_elements = nodes.iter().any(|node| matches!(node, Node::Element(_)));
    let source = &contents.source.text[..range.end];
    let written = &source[range.start..];
    let sentence = written.trim();
    if has_elements || sentence.is_empty() || is_marked(sentence) {
        return None;
    }
    findings.rewind(mark, &[&bad_encoding::RULE, &forbidden_markup::RULE]);
    let start = range.start + (written.len() - written.trim_start().len());
    let span = start..start + sentence.len();
    let mut decoded = sentence.to_owned();
    if let Some((text, entities)) = envelope::decode_entities(sentence) {
        decoded = with_line_feeds(text).trim().to_owned();
        for (entity, character) in entities {
            let span = start + entity.start..start + entity.end;
            findings.push(unescaped_markup::entity_in_plain_text(span, &sentence[entity], &character));
        }
    }
    (!decoded.is_empty()).then(|| Plain { text: sentence.to_owned(), span, decoded })
}

/// The element around a negative prompt of nothing but text: `<negative>lowres, blurry</negative>`.
fn negative_element<'n, 't>(nodes: &'n [Node<'t>]) -> Option<&'n Element<'t>> {
    let mut nodes = nodes.iter().filter(|node| !matches!(node, Node::Text(text) if text.value.trim().is_empty()));
    match (nodes.next(), nodes.next()) {
        (Some(Node::Element(element)), None) => {
            let is_wrapper = is_negative_name(element.name) && !element.has_elements() && element.attributes.is_empty();
            let has_text =
                element.children.iter().any(|node| matches!(node, Node::Text(text) if !text.value.trim().is_empty()));
            Some(element).filter(|_| is_wrapper && has_text)
        }
        _ => None,
    }
}

fn report_forbidden(text: &str, findings: &mut Findings) {
    for (at, character) in forbidden_characters(text) {
        findings.push(bad_encoding::control(at..at + character.len_utf8(), character));
    }
}

/// Whether a text without elements is still more than plain text: a caption after its label, a comment, a definition.
fn is_marked(text: &str) -> bool {
    let begins = |words: &str| text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    begins("caption:") || begins("<!--") || begins("<?") || begins("<![CDATA[") || begins("<!DOCTYPE")
}

/// The characters that XML does not allow.
fn forbidden_characters(text: &str) -> impl Iterator<Item = (usize, char)> {
    // Nearly every text has none, and bytes are scanned faster than characters.
    let is_suspicious = text.bytes().any(|byte| (byte < b' ' && !b"\t\n\r".contains(&byte)) || byte == 0xEF);
    let suspicious = if is_suspicious { text } else { "" };
    suspicious.char_indices().filter(|(_, character)| !is_xml_char(*character))
}
