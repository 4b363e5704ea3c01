//! Blocks and the fields inside them.

use std::borrow::Cow;

use super::outline::{Block, Field, Tag};
use super::strays::{Origin, Stray};
use super::{Lowering, tags};
use crate::law::{ElementLaw, TextKind, TextLaw};
use crate::names::{self, Meaning, Place, Target};
use crate::rules::{
    duplicate_element, empty_element, invalid_value, renamed_element, stray_text, unknown_element, wrong_place,
};
use crate::syntax::{Element, Node, Text};
use crate::tags::collapse;

impl<'t> Lowering<'t, '_> {
    /// A numbered character.
    pub(super) fn character(&mut self, mut element: Element<'t>, number: u32) {
        let path = format!("character_{number}");
        let law = Place::Top.law().child(&path);
        self.attributes(&element, law.map_or(&[], |law| law.attributes), &path);
        let mut block = Self::block(&element, path, number);
        self.children(Place::Character, &mut block, std::mem::take(&mut element.children));
        self.outline.characters.push(block);
    }

    /// A character whose element bears its name instead of a number, as some tools write it.
    pub(super) fn named_character(&mut self, mut element: Element<'t>) -> Block<'t> {
        let path = element.name.to_owned();
        self.attributes(&element, &[], &path);
        let mut block = Self::block(&element, path, 0);
        self.children(Place::Character, &mut block, std::mem::take(&mut element.children));
        let has_name = !block.name().is_empty();
        self.findings.push(renamed_element::named_character(&element, has_name).at(block.path.clone()));
        if !has_name && let Some(law) = Place::Character.law().child("n") {
            block.fields.retain(|field| field.law.name != "n");
            let span = element.name_span.clone();
            let text = Cow::Borrowed(element.name);
            block.fields.push(Field { law, content: span.clone(), span, tags: Vec::new(), text });
        }
        block
    }

    /// The general tags; a second block of them is added to the first.
    pub(super) fn general(&mut self, law: &'static ElementLaw, mut element: Element<'t>) {
        self.attributes(&element, law.attributes, law.name);
        let children = std::mem::take(&mut element.children);
        let first = self.outline.general.take();
        let mut block = match first {
            Some(first) => {
                self.findings.push(duplicate_element::block(&element, first.inside_end, self.source).at(law.name));
                first
            }
            None => Self::block(&element, law.name.to_owned(), 0),
        };
        self.children(Place::General, &mut block, children);
        self.outline.general = Some(block);
    }

    fn block(element: &Element<'t>, path: String, number: u32) -> Block<'t> {
        Block {
            path,
            number,
            span: element.span(),
            open: element.open.clone(),
            inside_end: element.close.as_ref().map(|close| close.tag.start),
            names: element.names().collect(),
            fields: Vec::new(),
        }
    }

    /// What stands inside a block.
    pub(super) fn children(&mut self, place: Place, block: &mut Block<'t>, children: Vec<Node<'t>>) {
        // Tags that stand where there is no field for them; they are kept in the block's most general field.
        let mut homeless = Vec::new();
        let fallback = match place {
            Place::Character => "appearance",
            Place::General | Place::Top => "other",
            Place::Negative => "danbooru_tags",
        };
        for child in children {
            match child {
                Node::Element(element) => self.child(place, block, element, &mut homeless, fallback),
                Node::Text(text) => self.text_in_block(block, text, &mut homeless, fallback),
            }
        }
        let Some(law) = place.law().child(fallback).filter(|_| !homeless.is_empty()) else { return };
        match block.fields.iter_mut().find(|field| field.law.name == law.name) {
            Some(field) => field.tags.append(&mut homeless),
            None => {
                let start = homeless.first().map_or(block.open.end, |tag| tag.span.start);
                let end = homeless.last().map_or(start, |tag| tag.span.end).max(start);
                let text = Cow::Borrowed("");
                block.fields.push(Field { law, span: start..end, content: start..end, tags: homeless, text });
            }
        }
    }

    fn text_in_block(&mut self, block: &Block<'t>, text: Text<'t>, homeless: &mut Vec<Tag<'t>>, fallback: &str) {
        let path = block.path.clone();
        if text.is_blank() {
            return;
        }
        if stray_text::is_punctuation(&text.value) {
            self.findings.push(stray_text::punctuation(text.trimmed_span(), &text.value).at(path));
        } else {
            let span = text.trimmed_span();
            self.findings.push(stray_text::in_block(span, &text.value, fallback, self.source).at(path));
            tags::add_split(&text, homeless);
        }
    }

    fn child(
        &mut self,
        place: Place,
        block: &mut Block<'t>,
        element: Element<'t>,
        homeless: &mut Vec<Tag<'t>>,
        fallback: &str,
    ) {
        let Some(Meaning { target, certainty }) = names::meaning(place, element.name) else {
            self.attributes(&element, &[], &block.path);
            let mut tags = tags::flatten(&element);
            self.findings.push(unknown_element::moved(&element, &block.path, &block.path, fallback, tags.is_empty()));
            homeless.append(&mut tags);
            return;
        };
        match target {
            Target::Element(home, law) if home == place => {
                self.report_name(&element, certainty, law.name, &block.path);
                if let Some(field) = self.field(place, block, law, element) {
                    self.add_field(block, field);
                }
            }
            Target::Element(Place::Top, law) if !law.children().is_empty() => {
                self.findings.push(wrong_place::block(&element, law.name, block.span.end, self.source).at(&block.path));
                self.general_inside(place, block, law, element);
            }
            Target::Element(home, law) => {
                let path = format!("{}/{}", block.path, law.name);
                self.stray_element(home, law, element, Origin::Inside { end: block.span.end }, path);
            }
            Target::Character(number) => {
                let name = format!("character_{number}");
                self.findings.push(wrong_place::block(&element, &name, block.span.end, self.source).at(&block.path));
                self.character(element, number);
            }
        }
    }

    /// General tags inside another block. Inside general tags they are simply more of the same.
    fn general_inside(&mut self, place: Place, block: &mut Block<'t>, law: &'static ElementLaw, element: Element<'t>) {
        if place == Place::General {
            self.attributes(&element, law.attributes, law.name);
            self.children(place, block, element.children);
        } else {
            self.general(law, element);
        }
    }

    /// An element of text that stands where it does not belong; it is moved when every block is known.
    pub(super) fn stray_element(
        &mut self,
        home: Place,
        law: &'static ElementLaw,
        element: Element<'t>,
        origin: Origin,
        path: String,
    ) {
        let names: Vec<_> = element.names().collect();
        // What it holds is read as if it stood in an empty block.
        let mut nowhere = Self::block(&element, String::new(), 0);
        let place = match home {
            Place::Top => Place::General,
            home => home,
        };
        let origin = match origin {
            Origin::Top => Origin::Element { names, path, outside: None },
            Origin::Inside { end } => Origin::Element { names, path, outside: Some(end) },
            other => other,
        };
        if let Some(field) = self.field(place, &mut nowhere, law, element) {
            self.strays.push(Stray { home, field, origin });
        }
        for field in nowhere.fields {
            self.strays.push(Stray { home: place, field, origin: Origin::Reported });
        }
    }

    /// The caption, whose inner elements are hoisted to the top.
    pub(super) fn caption(&mut self, law: &'static ElementLaw, element: Element<'t>) -> Option<Field<'t>> {
        self.attributes(&element, law.attributes, law.name);
        if !element.has_elements() {
            return self.leaf(law, element, "");
        }
        let mut element = element;
        for child in std::mem::take(&mut element.children) {
            match child {
                Node::Element(inner) if names::meaning(Place::Top, inner.name).is_some() => {
                    self.findings.push(wrong_place::nested(&inner, &element, self.source).at(law.name));
                    self.top_element(inner);
                }
                Node::Element(inner) => {
                    self.findings.push(unknown_element::unwrapped(&inner).at(law.name));
                    element.children.push(Node::Element(inner));
                }
                text => element.children.push(text),
            }
        }
        self.leaf(law, element, "")
    }

    /// A field of a block; its inner elements are hoisted into the block.
    fn field(
        &mut self,
        place: Place,
        block: &mut Block<'t>,
        law: &'static ElementLaw,
        mut element: Element<'t>,
    ) -> Option<Field<'t>> {
        if !element.attributes.is_empty() {
            self.attributes(&element, law.attributes, &join(&block.path, law.name));
        }
        if element.has_elements() {
            let path = join(&block.path, law.name);
            let mut homeless = Vec::new();
            for child in std::mem::take(&mut element.children) {
                match child {
                    Node::Element(inner) if names::meaning(place, inner.name).is_some() => {
                        self.findings.push(wrong_place::nested(&inner, &element, self.source).at(path.clone()));
                        self.child(place, block, inner, &mut homeless, law.name);
                    }
                    Node::Element(inner) => {
                        self.findings.push(unknown_element::unwrapped(&inner).at(path.clone()));
                        element.children.push(Node::Element(inner));
                    }
                    text => element.children.push(text),
                }
            }
        }
        self.leaf(law, element, &block.path)
    }

    /// The text of an element, read as the law says. `None` if there is nothing in it, which is reported.
    fn leaf(&mut self, law: &'static ElementLaw, element: Element<'t>, parent: &str) -> Option<Field<'t>> {
        let text_law = law.text()?;
        let (span, content) = (element.span(), element.content());
        let mut field = Field { law, span, content, tags: Vec::new(), text: Cow::Borrowed("") };
        match text_law.kind {
            TextKind::Tags => match element.children.as_slice() {
                [Node::Text(text)] => field.tags = tags::split(text),
                _ => field.tags = tags::flatten(&element),
            },
            TextKind::Token => {
                field.text = match tags::text(&element) {
                    Cow::Borrowed(text) => collapse(text),
                    Cow::Owned(text) => Cow::Owned(collapse(&text).into_owned()),
                };
            }
            TextKind::Prose => field.text = tags::trimmed(tags::text(&element)),
        }
        if !text_law.values.is_empty() {
            return self.closed_value(field, text_law, &element, parent);
        }
        let is_empty = field.tags.is_empty() && field.text.is_empty();
        if is_empty && !text_law.may_be_empty {
            self.findings.push(empty_element::finding(&element, law.name).at(join(parent, law.name)));
            return None;
        }
        Some(field)
    }

    /// One of a few words, compared as XML Schema does: only the white space of XML does not count.
    fn closed_value(
        &mut self,
        mut field: Field<'t>,
        law: &TextLaw,
        element: &Element<'t>,
        parent: &str,
    ) -> Option<Field<'t>> {
        let path = || join(parent, field.law.name);
        if field.text.is_empty() {
            self.findings.push(empty_element::finding(element, field.law.name).at(path()));
            return None;
        }
        let written = tags::text(element);
        let word = written.trim_matches([' ', '\t', '\n', '\r']);
        if !law.values.contains(&word) {
            let meant = invalid_value::meant(&field.text, law.values);
            self.findings.push(invalid_value::finding(&field, law, meant).at(path()));
            if let Some(meant) = meant {
                field.text = Cow::Borrowed(meant);
            }
        }
        Some(field)
    }

    /// Adds a field to a block; one that is there already takes the second one's tags.
    pub(super) fn add_field(&mut self, block: &mut Block<'t>, mut field: Field<'t>) {
        let Some(index) = block.fields.iter().position(|present| present.law.name == field.law.name) else {
            block.fields.push(field);
            return;
        };
        let path = block.path_of(&field);
        let present = &mut block.fields[index];
        self.findings.push(duplicate_element::field(&field, present, self.source).at(path));
        present.tags.append(&mut field.tags);
        if present.text.is_empty() {
            present.text = field.text;
        } else if !field.text.is_empty() && field.law.text().is_some_and(|text| text.kind == TextKind::Prose) {
            present.text = Cow::Owned(format!("{}\n{}", present.text, field.text));
        }
    }

    /// Adds a caption; a second one becomes another line of the first.
    pub(super) fn add_caption(&mut self, field: Field<'t>) {
        match &mut self.outline.caption {
            None => self.outline.caption = Some(field),
            Some(present) => {
                self.findings.push(duplicate_element::field(&field, present, self.source).at(field.law.name));
                present.text = Cow::Owned(format!("{}\n{}", present.text, field.text));
            }
        }
    }
}

/// The path of an element inside a block.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
