//! The front door: text in, prompt and findings out. Nothing here fails or panics.

mod typed;

use crate::checked::{Checked, CheckedNegative, Envelope, has_error};
use crate::diagnostic::Diagnostic;
use crate::envelope::{self, Contents};
use crate::findings::Findings;
use crate::lower;
use crate::options::{CheckOptions, Strictness};
use crate::outline::to_negative_prompt;
use crate::position::PositionMap;
use crate::prompt::{NegativePrompt, Prompt};
use crate::rules::{
    self, bad_encoding, empty_prompt, envelope_removed, forbidden_markup, invalid_value, over_long, plain_text,
    system_prompt_split, too_large,
};
use crate::syntax;
use crate::tree::Node;
use crate::vocabulary::Vocabulary;
use crate::xml::is_xml_char;

/// Checks the text of a prompt, in any envelope.
pub fn check(text: &str, options: &CheckOptions<'_>) -> Checked {
    let mut reading = Reading::new(options);
    let (prompt, system_prompt, envelope) = match reading.open(text) {
        Some(contents) => {
            let (prompt, envelope) = reading.prompt(text, &contents);
            let system_prompt = contents.system_prompt.map(|system_prompt| text[system_prompt.span].to_owned());
            (prompt, system_prompt, envelope)
        }
        None => (None, None, Envelope::default()),
    };
    Checked { prompt, system_prompt, envelope, diagnostics: reading.diagnostics }
}

/// Checks the bytes of a prompt: what is not UTF-8 becomes a finding.
pub fn check_bytes(bytes: &[u8], options: &CheckOptions<'_>) -> Checked {
    if bytes.len() > options.limits.max_bytes {
        // Nothing of it is read, so nobody needs to know what its bytes mean.
        return too_large(bytes.len(), options);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => check(text, options),
        Err(error) => {
            // The positions have to be those of the bytes, so the text up to the fault is all that can be shown.
            let sound = &bytes[..error.valid_up_to()];
            let text = std::str::from_utf8(sound).unwrap_or_default();
            let mut findings = Findings::new(options.strictness, &options.limits);
            findings.push(bad_encoding::not_utf8(text.len()..text.len()));
            let diagnostics = findings.finish(text, &PositionMap::default(), str::to_owned);
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
    let read = match reading.open(&xml) {
        Some(contents) => reading.prompt(&xml, &contents).0,
        None => None,
    };
    let mut diagnostics = reading.diagnostics;
    let mut findings = Findings::new(options.strictness, &options.limits);
    typed::check(prompt, &xml, &mut findings);
    if findings.mark() == 0 && !has_error(&diagnostics) && read.as_ref() != Some(prompt) {
        findings.push(invalid_value::unwritable(0..0, "the prompt would not be read back as it is".to_owned()));
    }
    merge(&mut diagnostics, findings.finish(&xml, &PositionMap::default(), str::to_owned));
    Checked { prompt: Some(prompt.clone()), system_prompt: None, envelope: Envelope::Bare, diagnostics }
}

/// Checks the text of a negative prompt.
pub fn check_negative(text: &str, options: &CheckOptions<'_>) -> CheckedNegative {
    let mut reading = Reading::new(options);
    let (negative, system_prompt) = match reading.open(text) {
        Some(contents) => {
            let negative = reading.negative(text, &contents);
            (negative, contents.system_prompt.map(|system_prompt| text[system_prompt.span].to_owned()))
        }
        None => (None, None),
    };
    CheckedNegative { negative, system_prompt, diagnostics: reading.diagnostics }
}

fn too_large(length: usize, options: &CheckOptions<'_>) -> Checked {
    let mut findings = Findings::new(options.strictness, &options.limits);
    findings.push(too_large::finding(length, options.limits.max_bytes));
    Checked { diagnostics: findings.finish("", &PositionMap::default(), str::to_owned), ..Checked::default() }
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

    /// Takes off what stands around the blocks; these findings are about the text as it was handed in.
    fn open<'t>(&mut self, text: &'t str) -> Option<Contents<'t>> {
        let limits = &self.options.limits;
        if text.len() > limits.max_bytes {
            self.diagnostics = too_large(text.len(), &self.options).diagnostics;
            return None;
        }
        let mut findings = self.findings();
        let contents = envelope::open(text, limits, &mut findings);
        if let Some(system_prompt) = contents.as_ref().and_then(|contents| contents.system_prompt.as_ref()) {
            let span = system_prompt.span.clone();
            let words = &text[span.clone()];
            findings.push(system_prompt_split::finding(span, system_prompt.until, words));
        }
        self.diagnostics = findings.finish(text, &PositionMap::default(), str::to_owned);
        contents
    }

    fn prompt(&mut self, text: &str, contents: &Contents<'_>) -> (Option<Prompt>, Envelope) {
        let mut findings = self.findings();
        let (nodes, is_cut) = self.nodes(contents, &mut findings);
        let (prompt, envelope) = if is_cut {
            (None, Envelope::default())
        } else if let Some(sentence) = plain_sentence(contents, &nodes, &mut findings) {
            let envelope = if contents.json.is_some() { Envelope::Json } else { Envelope::Plain };
            (Some(Prompt { caption: Some(sentence), ..Prompt::default() }), envelope)
        } else {
            let source = contents.text.as_ref();
            let caption = contents.caption.clone().and_then(|span| syntax::text(source, span));
            let outline = lower::prompt(source, nodes, caption, &mut findings);
            let vocabulary = self.options.vocabulary.unwrap_or_else(|| Vocabulary::built_in());
            rules::check_meaning(&outline, vocabulary, &mut findings);
            let envelope = if contents.json.is_some() { Envelope::Json } else { outline.envelope };
            (Some(outline.to_prompt()), envelope)
        };
        if let Some(prompt) = &prompt {
            if *prompt == Prompt::default() {
                let start = contents.blocks.start;
                findings.push(empty_prompt::finding(start..start));
            }
            self.over_long(contents, prompt, &mut findings);
        }
        self.finish(text, contents, findings, || prompt.as_ref().map(Prompt::to_xml));
        (prompt, envelope)
    }

    fn negative(&mut self, text: &str, contents: &Contents<'_>) -> Option<NegativePrompt> {
        let mut findings = self.findings();
        let (nodes, is_cut) = self.nodes(contents, &mut findings);
        let negative = if is_cut {
            None
        } else if let Some(sentence) = plain_sentence(contents, &nodes, &mut findings) {
            Some(NegativePrompt { caption: Some(sentence), ..NegativePrompt::default() })
        } else {
            let source = contents.text.as_ref();
            let caption = contents.caption.clone().and_then(|span| syntax::text(source, span));
            let block = lower::negative(source, nodes, caption, &mut findings);
            rules::check_list_meaning(&block, &mut findings);
            Some(to_negative_prompt(&block))
        };
        self.finish(text, contents, findings, || negative.as_ref().map(NegativePrompt::to_xml));
        negative
    }

    /// Reads the blocks into a tree.
    fn nodes<'t>(&self, contents: &'t Contents<'_>, findings: &mut Findings) -> (Vec<Node<'t>>, bool) {
        let source: &'t str = &contents.text[..contents.blocks.end];
        for (at, character) in forbidden_characters(&contents.text) {
            findings.push(bad_encoding::control(at..at + character.len_utf8(), character));
        }
        let tree = syntax::parse(source, contents.blocks.start, self.options.limits.max_depth, findings);
        (tree.nodes, tree.is_cut)
    }

    fn over_long(&self, contents: &Contents<'_>, prompt: &Prompt, findings: &mut Findings) {
        // What the encoders read is about as long as what was handed in, and is only written where that is much.
        if over_long::is_possible(&contents.text, &self.options.limits) {
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
        merge(&mut self.diagnostics, findings.finish(text, &contents.map, contents.encode));
        if let Some(whole) = &contents.json {
            // The canonical form takes the place of the object, so it is not written as JSON.
            let mut findings = self.findings();
            findings.push(envelope_removed::json(whole.start..whole.start + 1, whole.clone(), canonical()));
            merge(&mut self.diagnostics, findings.finish(text, &PositionMap::default(), str::to_owned));
        }
    }
}

/// The whole text, if there is no markup in it; the caption of a JSON object is its next line, as a second caption is.
/// What was said about its `<` and `&` is withdrawn: in plain text they need no escape.
fn plain_sentence(contents: &Contents<'_>, nodes: &[Node<'_>], findings: &mut Findings) -> Option<String> {
    let has_elements = nodes.iter().any(|node| matches!(node, Node::Element(_)));
    let source = &contents.text[..contents.blocks.end];
    let written = &source[contents.blocks.start..];
    let sentence = written.trim();
    if has_elements || sentence.is_empty() || is_marked(sentence) {
        return None;
    }
    findings.rewind(0, &[&bad_encoding::RULE, &forbidden_markup::RULE]);
    let start = contents.blocks.start + (written.len() - written.trim_start().len());
    let span = start..start + sentence.len();
    let caption = contents.caption.clone().map(|caption| contents.text[caption].trim()).unwrap_or_default();
    if caption.is_empty() {
        findings.push(plain_text::finding(source, span));
        return Some(sentence.to_owned());
    }
    findings.push(plain_text::beside_caption(span));
    Some(format!("{sentence}\n{caption}"))
}

/// Whether a text without elements is more than plain text all the same: a caption behind its label, a comment, a
/// definition.
fn is_marked(text: &str) -> bool {
    let begins = |words: &str| text.get(..words.len()).is_some_and(|start| start.eq_ignore_ascii_case(words));
    begins("caption:") || begins("<!--") || begins("<?") || begins("<![CDATA[") || begins("<!DOCTYPE")
}

/// The characters that XML does not allow.
fn forbidden_characters(text: &str) -> impl Iterator<Item = (usize, char)> {
    // Nearly every text has none, and bytes are looked through faster than characters.
    let is_suspicious = text.bytes().any(|byte| (byte < b' ' && !b"\t\n\r".contains(&byte)) || byte == 0xEF);
    let suspicious = if is_suspicious { text } else { "" };
    suspicious.char_indices().filter(|(_, character)| !is_xml_char(*character))
}
