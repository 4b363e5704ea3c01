//! The walk over quick-xml's events, which builds the tree and reports faults.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::reader::Reader;

use super::ends::EndTags;
use super::scan::{self, Markup, Reference};
use crate::findings::{Findings, excerpt};
use crate::invisible;
use crate::names::{self, Kind};
use crate::patterns;
use crate::rules::{
    bad_encoding, forbidden_markup, ignored_markup, invisible_character, not_well_formed, unescaped_markup,
};
use crate::tree::{Attribute, Element, Node, TextBuilder, Tree};
use crate::xml::entity_at;

/// One reading of a source.
pub(super) struct Walk<'t, 'f> {
    pub(super) source: &'t str,
    pub(super) max_depth: usize,
    pub(super) findings: &'f mut Findings,
    pub(super) reader: Reader<&'t [u8]>,
    /// Where in the source the reader began.
    pub(super) base: usize,
    pub(super) open: Vec<Open<'t>>,
    pub(super) nodes: Vec<Node<'t>>,
    /// The text outside of all elements.
    pub(super) text: TextBuilder<'t>,
    /// Made when something is wrong for the first time.
    pub(super) ends: OnceCell<EndTags<'t>>,
    pub(super) is_cut: bool,
}

/// An element whose end has not been seen.
pub(super) struct Open<'t> {
    pub(super) element: Element<'t>,
    pub(super) kind: Option<Kind>,
    pub(super) text: TextBuilder<'t>,
}

impl<'t, 'f> Walk<'t, 'f> {
    /// A walk that begins at the offset `from`.
    pub(super) fn new(source: &'t str, from: usize, max_depth: usize, findings: &'f mut Findings) -> Self {
        let mut walk = Walk {
            source,
            max_depth,
            findings,
            reader: Reader::from_reader(&[]),
            base: from,
            open: Vec::new(),
            nodes: Vec::new(),
            text: TextBuilder::new(source),
            ends: OnceCell::new(),
            is_cut: false,
        };
        walk.restart(from);
        walk
    }

    /// The tree, with everything closed that is still open.
    pub(super) fn finish(mut self) -> Tree<'t> {
        self.close_all();
        Tree { nodes: self.nodes, is_cut: self.is_cut }
    }

    pub(super) fn run(&mut self) {
        while !self.is_cut {
            let at = self.position();
            match self.source.as_bytes().get(at) {
                None => return,
                Some(b'<') => self.markup(at),
                Some(b'&') => self.reference(at),
                Some(_) => self.characters(at),
            }
        }
    }

    pub(super) fn position(&self) -> usize {
        // A prompt is far below 4 GiB.
        self.base + usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Lets quick-xml go on at `at`, in text.
    pub(super) fn restart(&mut self, at: usize) {
        // quick-xml takes a byte order mark at its beginning for none of the text and does not count it.
        const BYTE_ORDER_MARK: char = '\u{FEFF}';
        let mut at = at;
        while self.source[at..].starts_with(BYTE_ORDER_MARK) {
            let end = at + BYTE_ORDER_MARK.len_utf8();
            self.builder().verbatim(at..end);
            at = end;
        }
        self.base = at;
        self.reader = Reader::from_reader(&self.source.as_bytes()[at..]);
        let config = self.reader.config_mut();
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        config.allow_dangling_amp = true;
    }

    /// Where text goes now.
    pub(super) fn builder(&mut self) -> &mut TextBuilder<'t> {
        match self.open.last_mut() {
            Some(open) => &mut open.text,
            None => &mut self.text,
        }
    }

    /// Where in the prompt the walk is: the names of the open elements, without what only surrounds the blocks.
    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            let name = open.element.name;
            let surrounds = self.open.len() > 1 && (names::ENVELOPES.contains(&name) || name == "prompt");
            if surrounds {
                continue;
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&excerpt(name));
        }
        path
    }

    pub(super) fn characters(&mut self, at: usize) {
        let event = self.reader.read_event();
        let end = self.position();
        let Ok(Event::Text(_)) = event else { return self.skip_unreadable(at) };
        for (offset, _) in self.source[at..end].match_indices("]]>") {
            let span = at + offset..at + offset + 3;
            let path = self.path();
            self.findings.push(unescaped_markup::section_end(span).at(path));
        }
        self.builder().verbatim(at..end);
    }

    pub(super) fn reference(&mut self, at: usize) {
        match scan::reference(self.source, at) {
            Reference::Sound(end, character) => {
                let event = self.reader.read_event();
                if !matches!(event, Ok(Event::GeneralRef(_))) || self.position() != end {
                    self.restart(end);
                }
                let hidden = invisible::referenced(character);
                if let Some(hidden) = hidden {
                    let path = self.path();
                    self.findings.push(invisible_character::finding(at..end, character, 1, hidden.to_owned()).at(path));
                }
                let mut buffer = [0; 4];
                let text: &str = character.encode_utf8(&mut buffer);
                let hidden = hidden.filter(|_| !self.findings.is_strict());
                self.builder().decode(hidden.unwrap_or(text), at..end);
            }
            Reference::Undefined(end) if let Some((character, entity_end)) = entity_at(self.source, at) => {
                let path = self.path();
                let written = &self.source[at..entity_end];
                self.findings.push(unescaped_markup::entity(at..entity_end, written, &character).at(path));
                self.builder().decode(&character, at..entity_end);
                self.restart(entity_end.max(end));
            }
            Reference::Undefined(end) => {
                let path = self.path();
                self.findings.push(unescaped_markup::undefined(at..end, &self.source[at..end]).at(path));
                self.literal(at);
            }
            Reference::Literal => {
                let path = self.path();
                self.findings.push(unescaped_markup::ampersand(at..at + 1).at(path));
                self.literal(at);
            }
        }
    }

    /// Takes the one byte at `at` as text.
    pub(super) fn literal(&mut self, at: usize) {
        self.builder().verbatim(at..at + 1);
        self.restart(at + 1);
    }

    /// Takes the `<` at `at` as text and says so.
    pub(super) fn literal_bracket(&mut self, at: usize) {
        let path = self.path();
        match patterns::adapter(&self.source[at..]) {
            // The text that it stands in is looked at later, and says more.
            Some(_) if !self.findings.is_strict() => {}
            Some(length) => {
                let span = at..at + length;
                let written = &self.source[span.clone()];
                self.findings.push(unescaped_markup::adapter(span, written).at(path));
            }
            None => self.findings.push(unescaped_markup::bracket(at..at + 1, &self.source[at..]).at(path)),
        }
        self.literal(at);
    }

    pub(super) fn markup(&mut self, at: usize) {
        match scan::markup(self.source, at) {
            Markup::Sound(end) => self.event(at, end),
            Markup::Literal => self.literal_bracket(at),
            Markup::OddStart { name, end } => self.odd_start(at, name, end),
            Markup::OddEnd { name, end } => self.odd_end(at, name, end),
            Markup::Unfinished { name, is_end } => self.unfinished(at, name, is_end),
            Markup::Endless => self.endless(at),
            Markup::Definition(end) => {
                let path = self.path();
                self.findings.push(forbidden_markup::definition(at..end, &self.source[at..end]).at(path));
                self.restart(end);
            }
            Markup::Malformed(end) => {
                let path = self.path();
                self.findings.push(not_well_formed::malformed(at..end, &self.source[at..end]).at(path));
                self.restart(end);
            }
        }
    }

    /// Something that quick-xml and the scan both take for markup.
    pub(super) fn event(&mut self, at: usize, end: usize) {
        let event = self.reader.read_event();
        if self.position() != end {
            return self.skip_unreadable(at);
        }
        match event {
            Ok(Event::Start(start)) => {
                let name = at + 1..at + 1 + start.name().as_ref().len();
                self.start(name, at..end, false, Some(&start));
            }
            Ok(Event::Empty(start)) => {
                let name = at + 1..at + 1 + start.name().as_ref().len();
                self.start(name, at..end, true, Some(&start));
            }
            Ok(Event::End(tag)) => {
                let name = at + 2..at + 2 + tag.name().as_ref().len();
                self.end(name, at..end);
            }
            Ok(Event::CData(_)) => {
                // `<![CDATA[` … `]]>`
                self.builder().cdata(at + 9..end - 3);
            }
            Ok(Event::Decl(declaration)) => self.declaration(&declaration, at..end),
            Ok(Event::Comment(_) | Event::PI(_)) => {
                let path = self.path();
                self.findings.push(ignored_markup::finding(at..end, &self.source[at..end]).at(path));
            }
            Ok(Event::Text(_) | Event::GeneralRef(_) | Event::DocType(_) | Event::Eof) | Err(_) => {
                self.skip_unreadable(at);
            }
        }
    }

    /// The scan and quick-xml disagree: the `<` is text. The scan is stricter, so no text is known that leads here.
    pub(super) fn skip_unreadable(&mut self, at: usize) {
        match self.source.as_bytes().get(at) {
            Some(b'<') => self.literal_bracket(at),
            _ => {
                let end = self.source[at..].find(['<', '&']).map_or(self.source.len(), |offset| at + offset);
                let end = end.max(self.source.ceil_char_boundary(at + 1));
                self.builder().verbatim(at..end);
                self.restart(end);
            }
        }
    }

    pub(super) fn declaration(&mut self, declaration: &BytesDecl<'_>, span: Range<usize>) {
        let is_first = self.source[..span.start].trim_start_matches('\u{FEFF}').is_empty();
        let is_known = declaration.version().is_ok_and(|version| version.starts_with("1."));
        if !is_first || !is_known {
            let written = &self.source[span.clone()];
            self.findings.push(not_well_formed::malformed(span, written));
            return;
        }
        let encoding = declaration.encoding().and_then(Result::ok);
        if let Some(encoding) = encoding
            && !["utf-8", "utf8", "us-ascii", "ascii"].contains(&encoding.to_ascii_lowercase().as_str())
        {
            self.findings.push(bad_encoding::declared(span, &encoding));
        }
    }

    pub(super) fn attributes(&mut self, start: &BytesStart<'_>, tag: &Range<usize>) -> Vec<Attribute<'t>> {
        let mut attributes = Vec::new();
        if start.attributes_raw().trim().is_empty() {
            return attributes;
        }
        for attribute in start.attributes() {
            let fault = match attribute {
                Ok(attribute) => match decoded(&attribute.value) {
                    Some(value) => {
                        let name = Cow::Owned(attribute.key.as_ref().to_owned());
                        attributes.push(Attribute { name, value });
                        continue;
                    }
                    None => format!("the value of `{}` holds a bare `&`", excerpt(attribute.key.as_ref())),
                },
                Err(error) => error.to_string(),
            };
            let path = self.path();
            self.findings.push(not_well_formed::attribute(tag.clone(), &fault).at(path));
        }
        attributes
    }
}

/// The value of an attribute with its references resolved; `None` if a reference is not valid.
fn decoded(value: &str) -> Option<String> {
    let mut decoded = String::with_capacity(value.len());
    let mut at = 0;
    while let Some(offset) = value[at..].find('&') {
        decoded.push_str(&value[at..at + offset]);
        let Reference::Sound(end, character) = scan::reference(value, at + offset) else { return None };
        decoded.push(character);
        at = end;
    }
    decoded.push_str(&value[at..]);
    Some(decoded)
}
