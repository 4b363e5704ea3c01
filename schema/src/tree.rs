//! The spanned tree: elements and texts with their places in the source.

mod text;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use text::{Text, TextBuilder};

/// What a source holds: elements and texts side by side.
#[derive(Debug, Default)]
pub(crate) struct Tree<'t> {
    /// The outermost nodes, in the order of the source.
    pub(crate) nodes: Vec<Node<'t>>,
    /// Whether reading stopped before the end because the nesting was too deep.
    pub(crate) is_cut: bool,
}

/// An element or a text.
#[derive(Debug)]
pub(crate) enum Node<'t> {
    Element(Element<'t>),
    Text(Text<'t>),
}

/// An element: from its start tag to its end tag, or to where it has to end.
#[derive(Debug)]
pub(crate) struct Element<'t> {
    /// The name as it is written.
    pub(crate) name: &'t str,
    /// Where the name stands in the start tag.
    pub(crate) name_span: Range<usize>,
    /// The start tag.
    pub(crate) open: Range<usize>,
    /// The end tag; `None` for `<n/>` and for an element that is not closed.
    pub(crate) close: Option<EndTag>,
    pub(crate) end: usize,
    pub(crate) attributes: Vec<Attribute<'t>>,
    /// What stands inside.
    pub(crate) children: Vec<Node<'t>>,
}

#[derive(Clone, Debug)]
pub(crate) struct EndTag {
    pub(crate) tag: Range<usize>,
    /// The name inside.
    pub(crate) name: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct Attribute<'t> {
    /// The name, with its prefix.
    pub(crate) name: Cow<'t, str>,
    /// The value, decoded.
    pub(crate) value: String,
}

impl Element<'_> {
    /// Byte range of the element, its tags included.
    pub(crate) fn span(&self) -> Range<usize> {
        self.open.start..self.end
    }

    /// What stands between the tags; empty behind `<n/>`.
    pub(crate) fn content(&self) -> Range<usize> {
        let end = self.close.as_ref().map_or(self.end, |close| close.tag.start);
        self.open.end..end.max(self.open.end)
    }

    /// The name in both tags, to rename the element.
    pub(crate) fn names(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        [Some(self.name_span.clone()), self.close.as_ref().map(|close| close.name.clone())].into_iter().flatten()
    }

    /// Whether an element stands inside.
    pub(crate) fn has_elements(&self) -> bool {
        self.children.iter().any(|child| matches!(child, Node::Element(_)))
    }
}
