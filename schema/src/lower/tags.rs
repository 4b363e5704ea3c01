//! A text's tags, each with its place.

use std::borrow::Cow;

use crate::outline::Tag;
use crate::tags::collapse;
use crate::tree::{Element, Node, Text};

/// Adds the tags of a text that only commas separate.
pub(super) fn add_split<'t>(text: &Text<'t>, tags: &mut Vec<Tag<'t>>) {
    let mut start = 0;
    for piece in text.value.split(',') {
        let trimmed = piece.trim();
        if !trimmed.is_empty() {
            let offset = start + (piece.len() - piece.trim_start().len());
            let range = offset..offset + trimmed.len();
            let span = text.span_of(range.clone());
            let text = match &text.value {
                Cow::Borrowed(value) => collapse(&value[range]),
                Cow::Owned(_) => Cow::Owned(collapse(trimmed).into_owned()),
            };
            tags.push(Tag { text, span });
        }
        start += piece.len() + 1;
    }
}

/// All text inside an element, that of inner elements included.
pub(super) fn text<'t>(element: &Element<'t>) -> Cow<'t, str> {
    match element.children.as_slice() {
        [] => Cow::Borrowed(""),
        [Node::Text(text)] => text.value.clone(),
        children => {
            let mut whole = String::new();
            add_text(children, &mut whole);
            Cow::Owned(whole)
        }
    }
}

fn add_text(children: &[Node<'_>], whole: &mut String) {
    for child in children {
        match child {
            Node::Text(text) => whole.push_str(&text.value),
            Node::Element(inner) => add_text(&inner.children, whole),
        }
    }
}

/// The text without blanks at its ends.
pub(super) fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}
