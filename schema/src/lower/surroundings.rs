//! Removes what other tools put around the blocks as markup or as text next to markup: roots, braces, `caption:`.

use super::Lowering;
use crate::checked::Envelope;
use crate::envelope::has_tag;
use crate::grammar::ElementDecl;
use crate::names;
use crate::rules::{envelope_removed, stray_text};
use crate::tree::{Element, Node, Text};

impl<'t> Lowering<'t, '_> {
    /// The nodes without the roots around them. `root` is the root that the XSD has; alone it needs no remark.
    pub(super) fn unwrap(&mut self, nodes: Vec<Node<'t>>, root: &'static ElementDecl) -> Vec<Node<'t>> {
        let has_root = |node: &Node<'_>| match node {
            Node::Element(element) => self.root_of(element, root).is_some(),
            Node::Text(_) => false,
        };
        if !nodes.iter().any(has_root) {
            return nodes;
        }
        let is_document = self.is_document(&nodes, root);
        let mut unwrapped = Vec::new();
        for node in nodes {
            match node {
                Node::Element(element) => self.unwrap_element(element, root, is_document, &mut unwrapped),
                Node::Text(_) if is_document => {}
                Node::Text(text) => unwrapped.push(Node::Text(text)),
            }
        }
        unwrapped
    }

    fn unwrap_element(
        &mut self,
        mut element: Element<'t>,
        root: &'static ElementDecl,
        is_document: bool,
        unwrapped: &mut Vec<Node<'t>>,
    ) {
        let Some(envelope) = self.root_of(&element, root) else {
            unwrapped.push(Node::Element(element));
            return;
        };
        self.note_envelope(envelope);
        if is_document {
            self.attributes(&element, root.attributes, "");
        } else {
            self.attributes(&element, &[], element.name);
            self.findings.push(envelope_removed::element(&element));
        }
        // As deep as the tree, whose depth is limited.
        for child in std::mem::take(&mut element.children) {
            match child {
                Node::Element(inner) if !is_document => self.unwrap_element(inner, root, false, unwrapped),
                other => unwrapped.push(other),
            }
        }
    }

    /// Whether the nodes are one document of the XSD: its root, and nothing but blanks around it.
    fn is_document(&self, nodes: &[Node<'t>], root: &ElementDecl) -> bool {
        let mut roots = 0;
        let is_sound = nodes.iter().all(|node| match node {
            Node::Element(element) => {
                roots += 1;
                element.name == root.name
            }
            // Outside of the root not even a blank may be written as a reference.
            Node::Text(text) => text.is_blank() && !text.has_cdata && !self.source[text.span.clone()].contains('&'),
        });
        is_sound && roots == 1
    }

    fn root_of(&self, element: &Element<'_>, root: &ElementDecl) -> Option<Envelope> {
        let name = element.name;
        if name.eq_ignore_ascii_case(root.name) {
            return Some(Envelope::Prompt);
        }
        let known = names::ENVELOPES.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(match known {
            "img" => Envelope::Img,
            "image" => Envelope::Image,
            _ => Envelope::Document,
        })
    }

    /// The first thing around the blocks is the one that is named.
    pub(super) fn note_envelope(&mut self, envelope: Envelope) {
        if self.outline.envelope == Envelope::Bare {
            self.outline.envelope = envelope;
        }
    }

    /// Takes braces and a caption behind `caption:` out of text between the blocks; what is left is returned.
    pub(super) fn loose_text(&mut self, text: Text<'t>) -> Option<Text<'t>> {
        if text.is_blank() {
            return None;
        }
        if text.value.trim().is_empty() {
            self.findings.push(stray_text::punctuation(text.span, &text.value));
            return None;
        }
        let mut start = text.value.len() - text.value.trim_start().len();
        let mut end = text.value.trim_end().len();
        while text.value[start..end].starts_with(['{', '}']) {
            self.brace(&text, start);
            start = end - text.value[start + 1..end].trim_start().len();
        }
        while text.value[start..end].ends_with('}') {
            end -= 1;
            self.brace(&text, end);
            end = start + text.value[start..end].trim_end().len();
        }
        if start == end {
            return None;
        }
        let rest = text.part(start..end);
        match label_end(&rest.value) {
            None => Some(rest),
            Some(label_end) => {
                self.trailing_caption(&rest, label_end);
                None
            }
        }
    }

    /// The text without lines at its ends that only frame the blocks, such as `---` or `[code]`.
    pub(super) fn without_frames(&mut self, text: &Text<'t>) -> Option<Text<'t>> {
        let (mut start, mut end) = (0, text.value.len());
        loop {
            let left = &text.value[start..end];
            let (blank, kept) = (left.len() - left.trim_start().len(), left.trim_end().len());
            if blank >= kept {
                return None;
            }
            let left = &left[blank..kept];
            let first = left.lines().next().unwrap_or_default().trim_end();
            let last = left.lines().next_back().unwrap_or_default().trim_start();
            let frame = if stray_text::is_frame(first) {
                start + blank..start + blank + first.len()
            } else if stray_text::is_frame(last) {
                start + kept - last.len()..start + kept
            } else {
                return Some(text.part(start..end));
            };
            self.findings.push(stray_text::punctuation(text.span_of(frame.clone()), &text.value[frame.clone()]));
            if frame.start == start + blank { start = frame.end } else { end = frame.start }
        }
    }

    /// Whether a text holds a tag of the grammar in references or in a section of character data.
    pub(super) fn is_hidden_markup(&self, text: &Text<'_>) -> bool {
        let is_written = || self.source.get(text.span.clone()).is_some_and(has_tag);
        has_tag(&text.value) && (text.has_cdata || !is_written())
    }

    fn brace(&mut self, text: &Text<'t>, at: usize) {
        self.note_envelope(Envelope::Braces);
        self.findings.push(envelope_removed::brace(text.span_of(at..at + 1)));
    }

    fn trailing_caption(&mut self, text: &Text<'t>, label_end: usize) {
        self.note_envelope(Envelope::TrailingCaption);
        let label = text.value[..label_end].trim_end();
        let sentence = text.value[label_end..].trim_start();
        let escaped = quick_xml::escape::partial_escape(sentence);
        self.findings.push(envelope_removed::trailing_caption(text.span.clone(), label, &escaped));
        if !sentence.is_empty() {
            let start = text.value.len() - sentence.len();
            self.captions.push(text.part(start..text.value.len()));
        }
    }
}

/// The end of `caption:` at the beginning of a text.
fn label_end(text: &str) -> Option<usize> {
    const LABEL: &str = "caption";
    let label = text.get(..LABEL.len()).filter(|label| label.eq_ignore_ascii_case(LABEL))?;
    let behind = text[label.len()..].trim_start();
    let rest = behind.strip_prefix([':', '：'])?;
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_a_colon() {
        assert_eq!(label_end("caption: A girl"), Some(8));
        assert_eq!(label_end("Caption ：A girl"), Some(11));
        assert_eq!(label_end("captions: A girl"), None);
        assert_eq!(label_end("猫猫猫"), None);
    }
}
