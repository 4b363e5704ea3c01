//! From text to a spanned tree. Nothing fails here: every fault becomes a finding and reading goes on.
//!
//! quick-xml reads the events. In front of it stands [`scan`], because a prompt's `>_<` is not markup, and behind it the
//! recovery: end tags that do not match, elements that are never closed, tags without `>`.

mod ends;
mod scan;
mod text;
mod tree;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::reader::Reader;

use crate::findings::{Findings, excerpt};
use crate::names::{self, Kind};
use crate::rules::{
    bad_encoding, forbidden_markup, ignored_markup, mismatched_tag, not_well_formed, too_deep, unescaped_markup,
};
use ends::EndTags;
use scan::{Markup, Reference};
use text::TextBuilder;

pub(crate) use scan::is_xml_character;
pub(crate) use text::Text;
pub(crate) use tree::{Attribute, Element, EndTag, Node, Tree};

/// Deepest nesting that is read, whatever the caller allows: what comes later walks the tree recursively.
const DEEPEST: usize = 128;

/// Reads `source` from the offset `from` on.
pub(crate) fn parse<'t>(source: &'t str, from: usize, max_depth: usize, findings: &mut Findings) -> Tree<'t> {
    let mut walk = Walk {
        source,
        max_depth: max_depth.min(DEEPEST),
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
    walk.run();
    walk.close_all();
    Tree { nodes: walk.nodes, is_cut: walk.is_cut }
}

/// A range of the source that is text, whatever stands in it.
pub(crate) fn text(source: &str, span: Range<usize>) -> Option<Text<'_>> {
    let mut builder = TextBuilder::new(source);
    if !span.is_empty() {
        builder.verbatim(span);
    }
    builder.take()
}

struct Walk<'t, 'f> {
    source: &'t str,
    max_depth: usize,
    findings: &'f mut Findings,
    reader: Reader<&'t [u8]>,
    /// Where in the source the reader began.
    base: usize,
    open: Vec<Open<'t>>,
    nodes: Vec<Node<'t>>,
    /// The text outside of all elements.
    text: TextBuilder<'t>,
    /// Made when something is wrong for the first time.
    ends: OnceCell<EndTags<'t>>,
    is_cut: bool,
}

/// An element whose end has not been seen.
struct Open<'t> {
    element: Element<'t>,
    kind: Option<Kind>,
    text: TextBuilder<'t>,
}

impl<'t> Walk<'t, '_> {
    fn run(&mut self) {
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

    fn position(&self) -> usize {
        // A prompt is far below 4 GiB.
        self.base + usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Lets quick-xml go on at `at`, in text.
    fn restart(&mut self, at: usize) {
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
    fn builder(&mut self) -> &mut TextBuilder<'t> {
        match self.open.last_mut() {
            Some(open) => &mut open.text,
            None => &mut self.text,
        }
    }

    /// Where in the prompt the walk is: the names of the open elements, without what only surrounds the blocks.
    fn path(&self) -> String {
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

    fn characters(&mut self, at: usize) {
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

    fn reference(&mut self, at: usize) {
        match scan::reference(self.source, at) {
            Reference::Sound(end, character) => {
                let event = self.reader.read_event();
                if !matches!(event, Ok(Event::GeneralRef(_))) || self.position() != end {
                    self.restart(end);
                }
                let mut buffer = [0; 4];
                self.builder().decode(character.encode_utf8(&mut buffer), at..end);
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
    fn literal(&mut self, at: usize) {
        self.builder().verbatim(at..at + 1);
        self.restart(at + 1);
    }

    /// Takes the `<` at `at` as text and says so.
    fn literal_bracket(&mut self, at: usize) {
        let path = self.path();
        self.findings.push(unescaped_markup::bracket(at..at + 1, &self.source[at..]).at(path));
        self.literal(at);
    }

    fn markup(&mut self, at: usize) {
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
            Markup::Unlawful(end) => {
                let path = self.path();
                self.findings.push(not_well_formed::unlawful(at..end, &self.source[at..end]).at(path));
                self.restart(end);
            }
        }
    }

    /// Something that quick-xml and the scan both take for markup.
    fn event(&mut self, at: usize, end: usize) {
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
    fn skip_unreadable(&mut self, at: usize) {
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

    fn declaration(&mut self, declaration: &BytesDecl<'_>, span: Range<usize>) {
        let is_first = self.source[..span.start].trim_start_matches('\u{FEFF}').is_empty();
        let is_known = declaration.version().is_ok_and(|version| version.starts_with("1."));
        if !is_first || !is_known {
            let written = &self.source[span.clone()];
            self.findings.push(not_well_formed::unlawful(span, written));
            return;
        }
        let encoding = declaration.encoding().and_then(Result::ok);
        if let Some(encoding) = encoding
            && !["utf-8", "utf8", "us-ascii", "ascii"].contains(&encoding.to_ascii_lowercase().as_str())
        {
            self.findings.push(bad_encoding::declared(span, &encoding));
        }
    }

    fn odd_start(&mut self, at: usize, name: Range<usize>, end: usize) {
        let inside = self.source[at + 1..end - 1].trim_end_matches([' ', '\t', '\n', '\r', '/']);
        let whole = at + 1..at + 1 + inside.len();
        let is_closed = self.source[..end - 1].ends_with('/');
        let words = &self.source[whole.clone()];
        // `<character 1>`: the finding that it is another spelling comes later.
        if names::kind(words).is_some() {
            self.start(whole, at..end, is_closed, None);
            self.restart(end);
        } else if names::is_known(&self.source[name.clone()]) {
            let path = self.path();
            let junk = name.end..if is_closed { end - 2 } else { end - 1 };
            self.findings.push(not_well_formed::attributes(at..end, junk, self.source).at(path));
            self.start(name, at..end, is_closed, None);
            self.restart(end);
        } else {
            self.literal_bracket(at);
        }
    }

    fn odd_end(&mut self, at: usize, name: Range<usize>, end: usize) {
        let inside = self.source[at + 2..end - 1].trim_end();
        let whole = at + 2..at + 2 + inside.len();
        let is_open = |name: &str| self.open.iter().any(|open| are_one(open.element.name, name));
        if is_open(&self.source[whole.clone()]) {
            self.end(whole, at..end);
            self.restart(end);
        } else if is_open(&self.source[name.clone()]) {
            let path = self.path();
            self.findings.push(not_well_formed::attributes(at..end, name.end..end - 1, self.source).at(path));
            self.end(name, at..end);
            self.restart(end);
        } else {
            self.literal_bracket(at);
        }
    }

    fn unfinished(&mut self, at: usize, name: Range<usize>, is_end: bool) {
        let word = &self.source[name.clone()];
        let is_open = self.open.iter().any(|open| open.element.name == word);
        // `<n` is too short to be more than an emoticon.
        let is_meant = if is_end { is_open } else { names::kind(word).is_some() && word.len() > 1 };
        if !is_meant {
            return self.literal_bracket(at);
        }
        let path = self.path();
        let tag = at..name.end;
        self.findings.push(not_well_formed::unfinished(tag.clone(), self.source).at(path));
        if is_end {
            self.end(name, tag.clone());
        } else {
            self.start(name, tag.clone(), false, None);
        }
        self.restart(tag.end);
    }

    /// A comment, CDATA section or processing instruction that is never closed: what follows belongs to it.
    fn endless(&mut self, at: usize) {
        let path = self.path();
        let end = self.source.len();
        let rest = &self.source[at..];
        self.findings.push(not_well_formed::endless(at..end, rest).at(path));
        if rest.starts_with("<![CDATA[") {
            self.builder().cdata(at + 9..end);
        }
        self.restart(end);
    }

    fn start(&mut self, name: Range<usize>, tag: Range<usize>, is_closed: bool, start: Option<&BytesStart<'_>>) {
        let source = self.source;
        let word = &source[name.clone()];
        let kind = names::kind(word);
        if kind.is_none() && !is_closed && !self.is_element(word, &tag) {
            return self.literal_bracket(tag.start);
        }
        if kind.is_some() && self.open.last().is_some_and(|open| open.kind == Some(Kind::Leaf)) {
            self.close_forgotten_leaf(tag.start);
        }
        if self.open.len() >= self.max_depth {
            let path = self.path();
            self.findings.push(too_deep::finding(tag, self.max_depth).at(path));
            self.is_cut = true;
            return;
        }
        let attributes = start.map_or_else(Vec::new, |start| self.attributes(start, &tag));
        let element = Element {
            name: word,
            name_span: name,
            end: tag.end,
            open: tag,
            close: None,
            attributes,
            children: Vec::new(),
        };
        self.flush_text();
        if is_closed {
            self.attach(element);
        } else {
            self.open.push(Open { element, kind, text: TextBuilder::new(source) });
        }
    }

    /// Whether a start tag of an unknown name begins an element, rather than being text such as `<lora:x:1>`.
    fn is_element(&self, word: &str, tag: &Range<usize>) -> bool {
        let ends = self.ends();
        let until = match self.open.last() {
            Some(open) => ends.next(open.element.name, tag.end).unwrap_or(self.source.len()),
            None => self.source.len(),
        };
        ends.is_within(word, tag.end..until) || names::is_near_known(word)
    }

    fn ends(&self) -> &EndTags<'t> {
        self.ends.get_or_init(|| EndTags::new(self.source))
    }

    /// Closes the innermost element, which holds text, before the tag at `at`, unless its own end tag comes in time.
    fn close_forgotten_leaf(&mut self, at: usize) {
        let Some(leaf) = self.open.last() else { return };
        let ends = self.ends();
        let until = match self.open.iter().rev().nth(1) {
            Some(parent) => ends.next(parent.element.name, at).unwrap_or(self.source.len()),
            None => self.source.len(),
        };
        let until = match find_start(self.source, leaf.element.name, at) {
            Some(again) => until.min(again),
            None => until,
        };
        if !ends.is_within(leaf.element.name, at..until) {
            self.close_without_tags(self.open.len() - 1, at);
        }
    }

    /// Closes the innermost elements, whose end tags are missing before `at`, until `depth` are open.
    fn close_without_tags(&mut self, depth: usize, at: usize) {
        let end = self.source[..at].trim_end().len();
        // One fix has all the end tags: several insertions at one place would have no order.
        let missing = self.open.get(depth..).unwrap_or_default().iter().rev();
        let mut tags: Option<String> = Some(missing.map(|open| format!("</{}>", open.element.name)).collect());
        while self.open.len() > depth {
            let path = self.path();
            let Some(open) = self.open.last() else { return };
            let end = end.max(open.element.open.end);
            let finding = mismatched_tag::missing(open.element.open.clone(), open.element.name);
            let finding = match tags.take() {
                Some(tags) => mismatched_tag::with_end_tags(finding, end, &tags),
                None => finding.help(format!("add `</{}>`", excerpt(open.element.name))),
            };
            self.findings.push(finding.at(path));
            self.close(end, None);
        }
    }

    fn end(&mut self, name: Range<usize>, tag: Range<usize>) {
        let word = &self.source[name.clone()];
        let matching = self.open.iter().rposition(|open| are_one(open.element.name, word));
        let close = Some(EndTag { tag: tag.clone(), name: name.clone() });
        match matching {
            Some(index) => {
                self.close_without_tags(index + 1, tag.start);
                // The other spelling is in the end tag alone; in the start tag it would be reported later.
                if let Some(open) = self.open.last()
                    && open.element.name != word
                    && names::is_character(open.element.name)
                {
                    let finding = mismatched_tag::misspelt(tag.clone(), name, word, open.element.name);
                    let path = self.path();
                    self.findings.push(finding.at(path));
                }
                self.close(tag.end, close);
            }
            None => {
                let path = self.path();
                let innermost = self.open.last();
                let misspelt = innermost.filter(|open| {
                    let is_leaf = open.kind == Some(Kind::Leaf) && names::kind(word).is_some();
                    is_leaf || names::are_near(open.element.name, word)
                });
                match misspelt {
                    Some(open) => {
                        let finding = mismatched_tag::misspelt(tag.clone(), name, word, open.element.name);
                        self.findings.push(finding.at(path));
                        self.close(tag.end, close);
                    }
                    None => self.findings.push(mismatched_tag::stray(tag, word).at(path)),
                }
            }
        }
    }

    fn close(&mut self, end: usize, close: Option<EndTag>) {
        self.flush_text();
        if let Some(mut open) = self.open.pop() {
            open.element.end = end;
            open.element.close = close;
            self.attach(open.element);
        }
    }

    fn close_all(&mut self) {
        while self.is_cut && !self.open.is_empty() {
            self.close(self.source.len(), None);
        }
        self.close_without_tags(0, self.source.len());
        self.flush_text();
    }

    fn attach(&mut self, element: Element<'t>) {
        match self.open.last_mut() {
            Some(open) => open.element.children.push(Node::Element(element)),
            None => self.nodes.push(Node::Element(element)),
        }
    }

    fn flush_text(&mut self) {
        let Some(text) = self.builder().take() else { return };
        match self.open.last_mut() {
            Some(open) => open.element.children.push(Node::Text(text)),
            None => self.nodes.push(Node::Text(text)),
        }
    }

    fn attributes(&mut self, start: &BytesStart<'_>, tag: &Range<usize>) -> Vec<Attribute<'t>> {
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

/// Whether an end tag of the second name closes an element of the first: the same name, or the same character in
/// another spelling, which is reported elsewhere.
fn are_one(left: &str, right: &str) -> bool {
    left == right || names::are_one_character(left, right)
}

/// The next start tag of that name from `at` on, looked for over a bounded distance.
fn find_start(source: &str, name: &str, at: usize) -> Option<usize> {
    const FAR: usize = 4096;
    let end = source.floor_char_boundary(at + FAR);
    let found = source[at..end].match_indices(name);
    found.map(|(offset, _)| at + offset).find(|found| source[..*found].ends_with('<'))
}

/// The value of an attribute with its references resolved; `None` if one is none.
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
