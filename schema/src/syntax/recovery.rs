//! Matches elements with their ends, and repairs tags that do not fit.

use std::ops::Range;

use quick_xml::events::BytesStart;

use super::ends::EndTags;
use super::walk::{Open, Walk};
use crate::findings::excerpt;
use crate::names::{self, Kind};
use crate::phrases::is_negative_name;
use crate::rules::{mismatched_tag, negative_split, not_well_formed, too_deep};
use crate::tree::{Element, EndTag, Node, TextBuilder};

impl<'t> Walk<'t, '_> {
    pub(super) fn odd_start(&mut self, at: usize, name: Range<usize>, end: usize) {
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

    pub(super) fn odd_end(&mut self, at: usize, name: Range<usize>, end: usize) {
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

    pub(super) fn unfinished(&mut self, at: usize, name: Range<usize>, is_end: bool) {
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
    pub(super) fn endless(&mut self, at: usize) {
        let path = self.path();
        let end = self.source.len();
        let rest = &self.source[at..];
        self.findings.push(not_well_formed::endless(at..end, rest).at(path));
        if rest.starts_with("<![CDATA[") {
            self.builder().cdata(at + 9..end);
        }
        self.restart(end);
    }

    pub(super) fn start(
        &mut self,
        name: Range<usize>,
        tag: Range<usize>,
        is_closed: bool,
        start: Option<&BytesStart<'_>>,
    ) {
        let source = self.source;
        let word = &source[name.clone()];
        let kind = names::kind(word);
        if kind.is_none() && !is_closed && !self.is_element(word, &tag) {
            return self.literal_bracket(tag.start);
        }
        if kind.is_some() && self.open.last().is_some_and(|open| open.kind == Some(Kind::Leaf)) {
            self.close_forgotten_leaf(tag.start);
        }
        if kind.is_some() {
            self.end_negative(word, &tag);
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
    pub(super) fn is_element(&self, word: &str, tag: &Range<usize>) -> bool {
        let ends = self.ends();
        let until = match self.open.last() {
            Some(open) => ends.next(open.element.name, tag.end).unwrap_or(self.source.len()),
            None => self.source.len(),
        };
        ends.is_within(word, tag.end..until) || names::is_near_known(word) || is_negative(word)
    }

    pub(super) fn ends(&self) -> &EndTags<'t> {
        self.ends.get_or_init(|| EndTags::new(self.source))
    }

    /// Closes the innermost element, which holds text, before the tag at `at`, unless its own end tag comes in time.
    pub(super) fn close_forgotten_leaf(&mut self, at: usize) {
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

    /// Ends a negative prompt without end tag before an element that belongs to the prompt, unless its own end tag comes
    /// in time. A caption may belong to either, which is an error.
    fn end_negative(&mut self, name: &str, tag: &Range<usize>) {
        let Some(open) = self.open.last().filter(|open| is_negative_name(open.element.name)) else { return };
        let negative = open.element.name;
        let is_shared = names::is_shared(name);
        if names::is_of_negative(name) && !is_shared {
            return;
        }
        let ends = self.ends();
        let until = match self.open.iter().rev().nth(1) {
            Some(parent) => ends.next(parent.element.name, tag.start).unwrap_or(self.source.len()),
            None => self.source.len(),
        };
        if ends.is_within(negative, tag.start..until) {
            return;
        }
        if is_shared {
            let path = self.path();
            self.findings.push(negative_split::perhaps_ended(tag.clone(), name, negative).at(path));
            let end = self.source[..tag.start].trim_end().len();
            self.close(end, None);
        } else {
            self.close_without_tags(self.open.len() - 1, tag.start);
        }
    }

    /// Closes the innermost elements, whose end tags are missing before `at`, until `depth` are open.
    pub(super) fn close_without_tags(&mut self, depth: usize, at: usize) {
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

    pub(super) fn end(&mut self, name: Range<usize>, tag: Range<usize>) {
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
                    None if is_negative_name(word) => {
                        self.findings.push(negative_split::without_begin(tag, word).at(path));
                    }
                    None => self.findings.push(mismatched_tag::stray(tag, word).at(path)),
                }
            }
        }
    }

    pub(super) fn close(&mut self, end: usize, close: Option<EndTag>) {
        self.flush_text();
        if let Some(mut open) = self.open.pop() {
            open.element.end = end;
            open.element.close = close;
            self.attach(open.element);
        }
    }

    pub(super) fn close_all(&mut self) {
        while self.is_cut && !self.open.is_empty() {
            self.close(self.source.len(), None);
        }
        self.close_without_tags(0, self.source.len());
        self.flush_text();
    }

    pub(super) fn attach(&mut self, element: Element<'t>) {
        match self.open.last_mut() {
            Some(open) => open.element.children.push(Node::Element(element)),
            None => self.nodes.push(Node::Element(element)),
        }
    }

    pub(super) fn flush_text(&mut self) {
        let Some(text) = self.builder().take() else { return };
        match self.open.last_mut() {
            Some(open) => open.element.children.push(Node::Text(text)),
            None => self.nodes.push(Node::Text(text)),
        }
    }
}

/// Whether a start tag without an end tag begins a negative prompt all the same; `<bad>` may be a face.
fn is_negative(word: &str) -> bool {
    const SHORTEST: usize = 6;
    word.len() >= SHORTEST && is_negative_name(word)
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
