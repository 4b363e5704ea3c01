//! A document as a tree that can be broken in places before it is written.

/// A piece of a document.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// An element with attributes as they are written and what it holds.
    Element { name: String, attributes: Vec<String>, children: Vec<Node> },
    /// Anything that is written as it is: text, comments, sections, references.
    Raw(String),
}

impl Node {
    pub(crate) fn element(name: impl Into<String>, children: Vec<Node>) -> Self {
        Node::Element { name: name.into(), attributes: Vec::new(), children }
    }

    pub(crate) fn raw(text: impl Into<String>) -> Self {
        Node::Raw(text.into())
    }

    pub(crate) fn write(&self, text: &mut String) {
        match self {
            Node::Raw(raw) => text.push_str(raw),
            Node::Element { name, attributes, children } => {
                text.push('<');
                text.push_str(name);
                for attribute in attributes {
                    text.push(' ');
                    text.push_str(attribute);
                }
                text.push('>');
                children.iter().for_each(|child| child.write(text));
                text.push_str("</");
                text.push_str(name);
                text.push('>');
            }
        }
    }

    /// How many elements the tree has.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Node::Raw(_) => 0,
            Node::Element { children, .. } => 1 + children.iter().map(Node::elements).sum::<usize>(),
        }
    }

    /// The element of that index in document order.
    pub(crate) fn element_mut(&mut self, index: &mut usize) -> Option<&mut Node> {
        if let Node::Raw(_) = self {
            return None;
        }
        if *index == 0 {
            return Some(self);
        }
        *index -= 1;
        match self {
            Node::Raw(_) => None,
            Node::Element { children, .. } => children.iter_mut().find_map(|child| child.element_mut(index)),
        }
    }
}
