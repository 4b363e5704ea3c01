//! From the spanned tree to a prompt with its places, mending what can be mended without loss.
//!
//! Which element may stand where is asked of the grammar ([`crate::grammar`]); what a name means that is not in the grammar is asked
//! of [`crate::names`]. Everything that is not as the XSD has it becomes a finding; a strict check makes these errors.

mod attributes;
mod blocks;
mod numbering;
mod strays;
mod surroundings;
mod tags;

use std::borrow::Cow;

use crate::findings::Findings;
use crate::grammar::{self, ElementDecl};
use crate::names::{self, Certainty, Meaning, Place, Target};
use crate::outline::{Block, Field, Outline};
use crate::rules::{renamed_element, stray_text, unknown_element};
use crate::tree::{Element, Node, Text};
use strays::{Origin, Stray};

/// Reads the nodes of a prompt; `caption` is a sentence that a JSON object held beside them.
pub(crate) fn prompt<'t>(
    source: &'t str,
    nodes: Vec<Node<'t>>,
    caption: Option<Text<'t>>,
    findings: &mut Findings,
) -> Outline<'t> {
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
    lowering.outline
}

/// Reads the nodes of a negative prompt; `caption` is a sentence that a JSON object held beside them.
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

struct Lowering<'t, 'f> {
    source: &'t str,
    findings: &'f mut Findings,
    outline: Outline<'t>,
    /// Characters whose element has a name instead of a number.
    named: Vec<Block<'t>>,
    strays: Vec<Stray<'t>>,
    /// Sentences that stood behind `caption:`.
    captions: Vec<Text<'t>>,
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
            schema_prefixes: Vec::new(),
        }
    }

    fn top_element(&mut self, element: Element<'t>) {
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
                self.stray_element(home, decl, element, Origin::Top, path);
            }
        }
    }

    /// An element at the top whose name means nothing: a character under its own name, or something unheard of.
    fn unknown_top_element(&mut self, element: Element<'t>) {
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
        let tags = tags::flatten(&element);
        self.findings.push(unknown_element::moved(&element, "", "general_tags", "other", tags.is_empty()));
        if let Some(decl) = Place::General.decl().child("other") {
            let (span, content) = (element.span(), element.content());
            let field = Field { decl, span, content, tags, text: Cow::Borrowed("") };
            self.strays.push(Stray { home: Place::General, field, origin: Origin::Reported });
        }
    }

    /// Says that a name is another spelling or a slip of the pen.
    fn report_name(&mut self, element: &Element<'_>, certainty: Certainty, name: &str, parent: &str) {
        let path = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        match certainty {
            Certainty::Exact => {}
            Certainty::Alias => self.findings.push(renamed_element::alias(element, name).at(path)),
            Certainty::Similar => self.findings.push(unknown_element::similar(element, name).at(path)),
        }
    }

    /// Text between the blocks: a sentence goes to the caption, tags go to the general tags.
    fn top_text(&mut self, text: &Text<'t>) {
        if stray_text::is_punctuation(&text.value) {
            self.findings.push(stray_text::punctuation(text.trimmed_span(), &text.value));
            return;
        }
        let (home, name) =
            if stray_text::is_sentence(&text.value) { (Place::Top, "caption") } else { (Place::General, "other") };
        let Some(decl) = home.decl().child(name) else { return };
        let field = Self::field_of_text(decl, text);
        self.strays.push(Stray { home, field, origin: Origin::Text });
    }

    /// A field made of text that stands without tags.
    fn field_of_text(decl: &'static ElementDecl, text: &Text<'t>) -> Field<'t> {
        let span = text.trimmed_span();
        let is_caption = decl.name == "caption";
        let tags = if is_caption { Vec::new() } else { tags::split(text) };
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

    /// The captions that stood beside the elements, and the one of a JSON object.
    fn take_captions(&mut self, place: Place, of_json: Option<Text<'t>>) -> Vec<Field<'t>> {
        let Some(decl) = place.decl().child("caption") else { return Vec::new() };
        let texts = std::mem::take(&mut self.captions).into_iter().chain(of_json);
        texts.map(|text| Self::field_of_text(decl, &text)).filter(|field| !field.text.is_empty()).collect()
    }
}
