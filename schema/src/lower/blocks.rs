//! Blocks and the fields inside them.

use std::borrow::Cow;

use super::strays::{Origin, Stray};
use super::{Lowering, tags};
use crate::grammar::{ElementDecl, TextDecl, TextKind};
use crate::names::{self, Meaning, Place, Target};
use crate::outline::{Block, Field, Tag};
use crate::phrases;
use crate::rules::{
    duplicate_element, empty_element, escaped_twice, invalid_value, negative_split, renamed_element, stray_text,
    unknown_attribute, unknown_element, wrong_place,
};
use crate::tags::collapse;
use crate::tree::{Element, Node, Text};

impl<'t> Lowering<'t, '_> {
    pub(super) fn character(&mut self, mut element: Element<'t>, number: u32) {
        let path = format!("character_{number}");
        let decl = Place::Top.decl().child(&path);
        self.attributes(&element, decl.map_or(&[], |decl| decl.attributes), &path);
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
        // `<character>` and `<character_A>` name nobody.
        let has_name = !block.name().is_empty() || names::is_character_word(element.name);
        self.findings.push(renamed_element::named_character(&element, has_name).at(block.path.clone()));
        if !has_name && let Some(decl) = Place::Character.decl().child("n") {
            block.fields.retain(|field| field.decl.name != "n");
            let span = element.name_span.clone();
            let text = Cow::Borrowed(element.name);
            block.fields.push(Field { decl, content: span.clone(), span, tags: Vec::new(), text });
        }
        block
    }

    /// The general tags; a second block of them is added to the first.
    pub(super) fn general(&mut self, decl: &'static ElementDecl, mut element: Element<'t>) {
        self.attributes(&element, decl.attributes, decl.name);
        let children = std::mem::take(&mut element.children);
        let first = self.outline.general.take();
        let mut block = match first {
            Some(first) => {
                self.findings.push(duplicate_element::block(&element, first.inside_end, self.source).at(decl.name));
                first
            }
            None => Self::block(&element, decl.name.to_owned(), 0),
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
        let Some(decl) = place.decl().child(fallback).filter(|_| !homeless.is_empty()) else { return };
        match block.fields.iter_mut().find(|field| field.decl.name == decl.name) {
            Some(field) => field.tags.append(&mut homeless),
            None => {
                let start = homeless.first().map_or(block.open.end, |tag| tag.span.start);
                let end = homeless.last().map_or(start, |tag| tag.span.end).max(start);
                let text = Cow::Borrowed("");
                block.fields.push(Field { decl, span: start..end, content: start..end, tags: homeless, text });
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
        } else if self.is_hidden_markup(&text) {
            self.findings.push(escaped_twice::between_elements(text.trimmed_span(), &text.value).at(path));
        } else {
            let span = text.trimmed_span();
            self.findings.push(stray_text::in_block(span, &text.value, fallback, self.source).at(path));
            self.split(&text, &block.path, homeless);
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
        let element = match place {
            Place::Negative => element,
            _ => match self.without_negative(element, &block.path) {
                Some(element) => element,
                None => return,
            },
        };
        let Some(Meaning { target, certainty }) = names::meaning(place, element.name) else {
            let (name, mut element) = (element.name, element);
            if place != Place::Negative && self.refuse_doubtful(&element, &join(&block.path, name)) {
                return;
            }
            let has_negative =
                place != Place::Negative && self.remove_negatives(&mut element, name, &join(&block.path, name));
            self.attributes(&element, &[], &block.path);
            let mut tags = self.flatten(&element, &block.path);
            if !has_negative || !tags.is_empty() {
                let is_empty = tags.is_empty();
                self.findings.push(unknown_element::moved(&element, &block.path, &block.path, fallback, is_empty));
            }
            homeless.append(&mut tags);
            return;
        };
        match target {
            Target::Element(home, decl) if home == place => {
                self.report_name(&element, certainty, decl.name, &block.path);
                if let Some(field) = self.field(place, block, decl, element) {
                    self.add_field(block, field);
                }
            }
            Target::Element(Place::Top, decl) if !decl.children().is_empty() => {
                self.findings
                    .push(wrong_place::block(&element, decl.name, block.span.end, self.source).at(&block.path));
                self.general_inside(place, block, decl, element);
            }
            Target::Element(home, decl) => {
                let path = format!("{}/{}", block.path, decl.name);
                self.report_stray_name(&element, certainty, decl.name);
                self.stray_element(home, decl, element, Origin::Inside { end: block.span.end }, path);
            }
            Target::Character(number) => {
                let name = format!("character_{number}");
                self.findings.push(wrong_place::block(&element, &name, block.span.end, self.source).at(&block.path));
                self.character(element, number);
            }
        }
    }

    /// General tags inside another block. Inside general tags they are simply more of the same.
    fn general_inside(
        &mut self,
        place: Place,
        block: &mut Block<'t>,
        decl: &'static ElementDecl,
        element: Element<'t>,
    ) {
        if place == Place::General {
            self.attributes(&element, decl.attributes, decl.name);
            self.children(place, block, element.children);
        } else {
            self.general(decl, element);
        }
    }

    /// An element of text that stands where it does not belong; it is moved when every block is known.
    pub(super) fn stray_element(
        &mut self,
        home: Place,
        decl: &'static ElementDecl,
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
        if let Some(field) = self.field(place, &mut nowhere, decl, element) {
            self.strays.push(Stray { home, field, origin });
        }
        for field in nowhere.fields {
            self.strays.push(Stray { home: place, field, origin: Origin::Reported });
        }
    }

    /// The caption, whose inner elements are hoisted to the top.
    pub(super) fn caption(&mut self, decl: &'static ElementDecl, element: Element<'t>) -> Option<Field<'t>> {
        self.attributes(&element, decl.attributes, decl.name);
        if !element.has_elements() {
            return self.leaf(decl, element, "");
        }
        let mut element = element;
        if self.remove_negatives(&mut element, decl.name, decl.name) && tags::text(&element).trim().is_empty() {
            return None;
        }
        for child in std::mem::take(&mut element.children) {
            match child {
                Node::Element(inner) if names::meaning(Place::Top, inner.name).is_some() => {
                    self.findings.push(wrong_place::nested(&inner, &element, self.source).at(decl.name));
                    self.top_element(inner);
                }
                Node::Element(inner) => {
                    self.findings.push(unknown_element::unwrapped(&inner, self.source, false).at(decl.name));
                    element.children.push(Node::Element(inner));
                }
                text => element.children.push(text),
            }
        }
        self.leaf(decl, element, "")
    }

    /// A field of a block; its inner elements are hoisted into the block.
    fn field(
        &mut self,
        place: Place,
        block: &mut Block<'t>,
        decl: &'static ElementDecl,
        mut element: Element<'t>,
    ) -> Option<Field<'t>> {
        if !element.attributes.is_empty() {
            self.attributes(&element, decl.attributes, &join(&block.path, decl.name));
        }
        if element.has_elements() {
            let path = join(&block.path, decl.name);
            let has_negative = place != Place::Negative && self.remove_negatives(&mut element, decl.name, &path);
            // The fix of an empty element would remove the negative prompt with it.
            if has_negative && tags::text(&element).trim().is_empty() {
                return None;
            }
            let mut homeless = Vec::new();
            for child in std::mem::take(&mut element.children) {
                match child {
                    Node::Element(inner) if names::meaning(place, inner.name).is_some() => {
                        self.findings.push(wrong_place::nested(&inner, &element, self.source).at(path.clone()));
                        self.child(place, block, inner, &mut homeless, decl.name);
                    }
                    Node::Element(inner) => {
                        let is_list = decl.text().is_some_and(|text| text.kind == TextKind::Tags);
                        self.findings.push(unknown_element::unwrapped(&inner, self.source, is_list).at(path.clone()));
                        element.children.push(Node::Element(inner));
                    }
                    text => element.children.push(text),
                }
            }
        }
        self.leaf(decl, element, &block.path)
    }

    /// Removes negative prompts from inside the text of an element, as an error: they are never drawn. An element that
    /// the grammar knows is moved out of the text with what it holds. Returns whether there was one.
    pub(super) fn remove_negatives(&mut self, element: &mut Element<'t>, field: &str, path: &str) -> bool {
        let mut has_negative = false;
        for child in std::mem::take(&mut element.children) {
            match child {
                Node::Element(inner)
                    if phrases::is_negative_name(inner.name)
                        || names::is_negative_part(inner.name)
                        || names::is_perhaps_negative(inner.name)
                        || unknown_attribute::is_negative(&inner) =>
                {
                    self.findings.push(negative_split::in_text(&inner, field).at(path));
                    has_negative = true;
                }
                // As deep as the tree, whose depth is limited.
                Node::Element(mut inner) => {
                    has_negative |= self.remove_negatives(&mut inner, field, path);
                    element.children.push(Node::Element(inner));
                }
                text => element.children.push(text),
            }
        }
        has_negative
    }

    /// The text of an element, read as the grammar says. `None` if there is nothing in it, which is reported.
    fn leaf(&mut self, decl: &'static ElementDecl, element: Element<'t>, parent: &str) -> Option<Field<'t>> {
        let text_decl = decl.text()?;
        let (span, content) = (element.span(), element.content());
        let mut field = Field { decl, span, content, tags: Vec::new(), text: Cow::Borrowed("") };
        match text_decl.kind {
            TextKind::Tags => field.tags = self.tags_of(&element, parent, decl.name),
            TextKind::Token => {
                field.text = match tags::text(&element) {
                    Cow::Borrowed(text) => collapse(text),
                    Cow::Owned(text) => Cow::Owned(collapse(&text).into_owned()),
                };
            }
            TextKind::Prose => field.text = tags::trimmed(tags::text(&element)),
        }
        if !text_decl.values.is_empty() {
            return self.closed_value(field, text_decl, &element, parent);
        }
        let is_empty = field.tags.is_empty() && field.text.is_empty();
        if is_empty && !text_decl.may_be_empty {
            self.findings.push(empty_element::finding(&element, decl.name).at(join(parent, decl.name)));
            return None;
        }
        Some(field)
    }

    /// One of a few words, compared as XML Schema does: only the white space of XML does not count.
    fn closed_value(
        &mut self,
        mut field: Field<'t>,
        decl: &TextDecl,
        element: &Element<'t>,
        parent: &str,
    ) -> Option<Field<'t>> {
        let path = || join(parent, field.decl.name);
        if field.text.is_empty() {
            self.findings.push(empty_element::finding(element, field.decl.name).at(path()));
            return None;
        }
        let written = tags::text(element);
        let word = written.trim_matches([' ', '\t', '\n', '\r']);
        if !decl.values.contains(&word) {
            let meant = invalid_value::meant(&field.text, decl.values);
            self.findings.push(invalid_value::finding(&field, decl, meant).at(path()));
            if let Some(meant) = meant {
                field.text = Cow::Borrowed(meant);
            }
        }
        Some(field)
    }

    /// Adds a field to a block; one that is there already takes the second one's tags.
    pub(super) fn add_field(&mut self, block: &mut Block<'t>, mut field: Field<'t>) {
        let Some(index) = block.fields.iter().position(|present| present.decl.name == field.decl.name) else {
            block.fields.push(field);
            return;
        };
        let path = block.path_of(&field);
        let present = &mut block.fields[index];
        self.findings.push(duplicate_element::field(&field, present, self.source).at(path));
        present.tags.append(&mut field.tags);
        if present.text.is_empty() {
            present.text = field.text;
        } else if !field.text.is_empty() && field.decl.text().is_some_and(|text| text.kind == TextKind::Prose) {
            present.text = Cow::Owned(format!("{}\n{}", present.text, field.text));
        }
    }

    /// Adds a caption; a second one becomes another line of the first.
    pub(super) fn add_caption(&mut self, field: Field<'t>) {
        match &mut self.outline.caption {
            None => self.outline.caption = Some(field),
            Some(present) => {
                self.findings.push(duplicate_element::field(&field, present, self.source).at(field.decl.name));
                present.text = Cow::Owned(format!("{}\n{}", present.text, field.text));
            }
        }
    }
}

/// The path of an element inside a block.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
