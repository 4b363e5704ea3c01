//! From the spanned tree to a prompt with its places; what can be repaired without loss is repaired.
//!
//! [`crate::grammar`] says which element may stand where, [`crate::names`] what another name means. Everything that the
//! XSD refuses becomes a finding; a strict check makes these errors.

mod attributes;
mod blocks;
mod numbering;
mod separators;
mod strays;
mod surroundings;
mod tags;

use std::borrow::Cow;

use crate::findings::Findings;
use crate::grammar::{self, ElementDecl};
use crate::names::{self, Certainty, Meaning, Place, Target};
use crate::outline::{Block, Field, Outline};
use crate::phrases::{self, is_negative_name, is_positive_name};
use crate::prompt::NegativePrompt;
use crate::rules::{
    self, envelope_removed, escaped_twice, negative_split, renamed_element, stray_text, unknown_element,
};
use crate::settings::is_setting_element;
use crate::tree::{Element, Node, Text};
use strays::{Origin, Stray};

/// A prompt and what was found in it that belongs elsewhere.
pub(crate) struct Lowered<'t> {
    /// The prompt.
    pub(crate) outline: Outline<'t>,
    /// The content of the negative prompt, if one stood among the blocks.
    pub(crate) negative: Vec<Node<'t>>,
    /// Where the first element of the negative grammar begins that stood among the blocks, with no element around it.
    pub(crate) first_negative_part: Option<usize>,
}

/// Reads the nodes of a prompt; `caption` is the caption of a JSON object around them.
pub(crate) fn prompt<'t>(
    source: &'t str,
    nodes: Vec<Node<'t>>,
    caption: Option<Text<'t>>,
    findings: &mut Findings,
) -> Lowered<'t> {
    let mut lowering = Lowering::new(source, findings);
    for node in lowering.contents(nodes, &grammar::PROMPT) {
        match node {
            Node::Element(element) => lowering.top_element(element),
            Node::Text(text) => lowering.top_text(&text),
        }
    }
    lowering.settle_numbers();
    lowering.settle_strays();
    lowering.settle_genders();
    for field in lowering.take_captions(Place::Top, caption) {
        lowering.add_caption(field);
    }
    Lowered {
        outline: lowering.outline,
        negative: lowering.negative,
        first_negative_part: lowering.first_negative_part,
    }
}

/// Reads the nodes of a negative prompt; `caption` is the caption of a JSON object around them.
pub(crate) fn negative<'t>(
    source: &'t str,
    nodes: Vec<Node<'t>>,
    caption: Option<Text<'t>>,
    findings: &mut Findings,
) -> Block<'t> {
    let mut lowering = Lowering::new(source, findings);
    let mut block = Block {
        path: String::new(),
        number: 0,
        span: 0..source.len(),
        open: 0..0,
        inside_end: Some(source.len()),
        names: Vec::new(),
        fields: Vec::new(),
    };
    let children = lowering.contents(nodes, &grammar::NEGATIVE_PROMPT);
    lowering.children(Place::Negative, &mut block, children);
    for field in lowering.take_captions(Place::Negative, caption) {
        lowering.add_field(&mut block, field);
    }
    block
}

/// Reads a negative prompt of nothing but text, which becomes its caption. `None` if there is no text.
pub(crate) fn negative_sentence(source: &str, nodes: &[Node<'_>], findings: &mut Findings) -> Option<NegativePrompt> {
    let texts = nodes.iter().filter_map(|node| match node {
        Node::Text(text) if !text.value.trim().is_empty() => Some(text),
        _ => None,
    });
    let mut sentence = String::new();
    for text in texts {
        let value = text.value.trim();
        let span = text.trimmed_span();
        if source.get(span.clone()) == Some(value) {
            rules::texts::check_plain(value, span, findings);
        }
        if !sentence.is_empty() {
            sentence.push('\n');
        }
        sentence.push_str(value);
    }
    (!sentence.is_empty()).then(|| NegativePrompt { caption: Some(sentence), ..NegativePrompt::default() })
}

struct Lowering<'t, 'f> {
    source: &'t str,
    findings: &'f mut Findings,
    outline: Outline<'t>,
    /// Characters whose element has a name instead of a number.
    named: Vec<Block<'t>>,
    strays: Vec<Stray<'t>>,
    /// Sentences that stood behind `caption:`.
    captions: Vec<Text<'t>>,
    /// The content of negative prompts that stood among the blocks.
    negative: Vec<Node<'t>>,
    /// See [`Lowered`].
    first_negative_part: Option<usize>,
    /// Prefixes that are declared for the attributes of XML Schema itself.
    schema_prefixes: Vec<String>,
}

impl<'t, 'f> Lowering<'t, 'f> {
    fn new(source: &'t str, findings: &'f mut Findings) -> Self {
        Lowering {
            source,
            findings,
            outline: Outline::default(),
            named: Vec::new(),
            strays: Vec::new(),
            captions: Vec::new(),
            negative: Vec::new(),
            first_negative_part: None,
            schema_prefixes: Vec::new(),
        }
    }

    fn top_element(&mut self, element: Element<'t>) {
        if let Some(element) = self.without_negative(element, "") {
            self.positive_element(element);
        }
    }

    /// An element at the top that is not a negative prompt.
    fn positive_element(&mut self, element: Element<'t>) {
        let Some(Meaning { target, certainty }) = names::meaning(Place::Top, element.name) else {
            return self.unknown_top_element(element);
        };
        match target {
            Target::Character(number) => {
                self.report_name(&element, certainty, &format!("character_{number}"), "");
                self.character(element, number);
            }
            Target::Element(Place::Top, decl) if decl.children().is_empty() => {
                self.report_name(&element, certainty, decl.name, "");
                if let Some(field) = self.caption(decl, element) {
                    self.add_caption(field);
                }
            }
            Target::Element(Place::Top, decl) => {
                self.report_name(&element, certainty, decl.name, "");
                self.general(decl, element);
            }
            Target::Element(home, decl) => {
                let path = decl.name.to_owned();
                self.report_stray_name(&element, certainty, decl.name);
                self.stray_element(home, decl, element, Origin::Top, path);
            }
        }
    }

    /// An element at the top of an unknown name: a wrapper around blocks, a character under its own name, or tags.
    fn unknown_top_element(&mut self, mut element: Element<'t>) {
        if self.refuse_doubtful(&element, "") {
            return;
        }
        let is_block = |node: &Node<'_>| match node {
            Node::Element(inner) if names::is_character_word(inner.name) => inner.has_elements(),
            Node::Element(inner) => names::meaning(Place::Top, inner.name).is_some_and(|meaning| {
                let is_top = matches!(meaning.target, Target::Character(_) | Target::Element(Place::Top, _));
                is_top && meaning.certainty != Certainty::Similar
            }),
            Node::Text(_) => false,
        };
        if element.children.iter().any(is_block) {
            self.attributes(&element, &[], element.name);
            self.findings.push(envelope_removed::unknown_element(&element));
            for child in std::mem::take(&mut element.children) {
                match child {
                    Node::Element(inner) => self.top_element(inner),
                    Node::Text(text) => {
                        if let Some(text) = self.loose_text(text) {
                            self.top_text(&text);
                        }
                    }
                }
            }
            return;
        }
        let is_text = |node: &Node<'_>| matches!(node, Node::Text(_));
        if is_positive_name(element.name) && element.children.iter().all(is_text) {
            self.attributes(&element, &[], element.name);
            self.findings.push(envelope_removed::words(&element));
            let texts = std::mem::take(&mut element.children).into_iter();
            self.captions.extend(texts.filter_map(|node| match node {
                Node::Text(text) => Some(text),
                Node::Element(_) => None,
            }));
            return;
        }
        let is_character = element.children.iter().any(|child| match child {
            Node::Element(inner) => names::meaning(Place::Character, inner.name).is_some_and(|meaning| {
                matches!(meaning.target, Target::Element(Place::Character, _))
                    && meaning.certainty != Certainty::Similar
            }),
            Node::Text(_) => false,
        });
        if is_character {
            let block = self.named_character(element);
            self.named.push(block);
            return;
        }
        self.attributes(&element, &[], element.name);
        if !element.has_elements() && is_setting_element(element.name, &tags::text(&element)) {
            let span = element.span();
            return self.findings.push(envelope_removed::settings(span.clone(), &self.source[span]));
        }
        let name = element.name;
        let has_negative = self.remove_negatives(&mut element, name, name);
        let tags = self.flatten(&element, name);
        if has_negative && tags.is_empty() {
            return;
        }
        self.findings.push(unknown_element::moved(&element, "", "general_tags", "other", tags.is_empty()));
        if let Some(decl) = Place::General.decl().child("other") {
            let (span, content) = (element.span(), element.content());
            let field = Field { decl, span, content, tags, text: Cow::Borrowed("") };
            self.strays.push(Stray { home: Place::General, field, origin: Origin::Reported });
        }
    }

    /// Reports the name of an element that is moved: the fix that moves it writes the right name.
    fn report_stray_name(&mut self, element: &Element<'_>, certainty: Certainty, name: &str) {
        if certainty != Certainty::Exact {
            self.findings.push(renamed_element::moved(element, name, certainty == Certainty::Similar).at(name));
        }
    }

    /// Takes negative prompts out: an element that is one, or what an element of the negative grammar holds.
    fn without_negative(&mut self, element: Element<'t>, path: &str) -> Option<Element<'t>> {
        let is_part = names::is_negative_part(element.name);
        if is_negative_name(element.name) {
            self.attributes(&element, &[], path);
            let is_of_character = !path.is_empty() && path != Place::General.decl().name;
            self.findings.push(match is_of_character {
                true => negative_split::of_character(&element, path).at(path),
                false => negative_split::element(&element).at(path),
            });
            self.negative.extend(element.children);
            return None;
        }
        if is_part && path.is_empty() {
            self.first_negative_part.get_or_insert(element.open.start);
            self.findings.push(negative_split::part(&element));
            self.negative.push(Node::Element(element));
            return None;
        }
        if is_part {
            self.findings.push(negative_split::part_in_block(&element).at(path));
            return None;
        }
        let is_behind = path.is_empty() && !self.negative.is_empty() && element.name == "resolution";
        if is_behind && tags::text(&element).to_lowercase().contains("low") {
            self.findings.push(negative_split::part(&element));
            self.negative.push(Node::Element(element));
            return None;
        }
        Some(element)
    }

    /// Refuses an element whose name is not of the grammar and says that its content may be unwanted.
    fn refuse_doubtful(&mut self, element: &Element<'t>, path: &str) -> bool {
        let is_doubtful = names::is_perhaps_negative(element.name);
        if is_doubtful {
            self.findings.push(negative_split::perhaps_element(element).at(path));
        }
        is_doubtful
    }

    /// Reports a name in another spelling, and a misspelt one.
    fn report_name(&mut self, element: &Element<'_>, certainty: Certainty, name: &str, parent: &str) {
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        match certainty {
            Certainty::Exact => {}
            Certainty::Alias => self.findings.push(renamed_element::alias(element, name).at(path)),
            Certainty::Similar => self.findings.push(unknown_element::similar(element, name).at(path)),
        }
    }

    /// Text between the blocks. Tags go to the general tags, talk is left out; a sentence may be either a caption or
    /// talk, which only a person knows.
    fn top_text(&mut self, text: &Text<'t>) {
        if let Some(text) = self.without_frames(text) {
            self.framed_text(&text);
        }
    }

    fn framed_text(&mut self, text: &Text<'t>) {
        let span = text.trimmed_span();
        let has_blocks = self.outline.general.is_some() || !self.outline.characters.is_empty();
        if stray_text::is_punctuation(&text.value) {
            self.findings.push(stray_text::punctuation(span, &text.value));
        } else if self.is_hidden_markup(text) {
            self.findings.push(escaped_twice::between_elements(span, &text.value));
        } else if has_blocks && phrases::announces_another(&text.value) {
            self.findings.push(envelope_removed::several_prompts(span));
        } else if phrases::is_talk(&text.value) {
            self.findings.push(envelope_removed::talk(span, text.value.trim()));
        } else if phrases::is_sentence(&text.value) {
            self.findings.push(stray_text::sentence(span, &text.value));
        } else if let Some(label) = phrases::any_label(&text.value) {
            self.findings.push(stray_text::labelled(span, label));
        } else if let Some(length) = phrases::orders_less(&text.value) {
            self.findings.push(negative_split::perhaps(span, &text.value.trim_start()[..length]));
        } else if let Some(decl) = Place::General.decl().child("other") {
            let field = self.field_of_text(decl, text);
            self.strays.push(Stray { home: Place::General, field, origin: Origin::Text });
        }
    }

    /// A field made of text that stands without tags.
    fn field_of_text(&mut self, decl: &'static ElementDecl, text: &Text<'t>) -> Field<'t> {
        let span = text.trimmed_span();
        let is_caption = decl.name == "caption";
        let mut tags = Vec::new();
        if !is_caption {
            self.split(text, decl.name, &mut tags);
        }
        let sentence = if is_caption { tags::trimmed(text.value.clone()) } else { Cow::Borrowed("") };
        Field { decl, content: span.clone(), span, tags, text: sentence }
    }

    /// What stands inside the roots, without what other tools put between the elements.
    fn contents(&mut self, nodes: Vec<Node<'t>>, root: &'static ElementDecl) -> Vec<Node<'t>> {
        let unwrapped = self.unwrap(nodes, root).into_iter();
        let kept = unwrapped.filter_map(|node| match node {
            Node::Element(element) => Some(Node::Element(element)),
            Node::Text(text) => self.loose_text(text).map(Node::Text),
        });
        kept.collect()
    }

    /// The captions between the elements, and that of a JSON object.
    fn take_captions(&mut self, place: Place, of_json: Option<Text<'t>>) -> Vec<Field<'t>> {
        let Some(decl) = place.decl().child("caption") else { return Vec::new() };
        let texts = std::mem::take(&mut self.captions).into_iter().chain(of_json);
        texts.map(|text| self.field_of_text(decl, &text)).filter(|field| !field.text.is_empty()).collect()
    }
}
