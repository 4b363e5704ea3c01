//! The grammar of `prompt.xsd` as tables: which element may stand where, how often, and with which content.
//!
//! The tables are written by `build.rs` from the model that xsd-parser makes of the XSD, so that the diagnostics, the
//! reference page and the readers follow the one file.

/// An element and what the XSD says about it at its place.
#[derive(Debug, PartialEq, Eq)]
pub struct ElementDecl {
    /// The name between the angle brackets.
    pub name: &'static str,
    /// What goes there.
    pub documentation: &'static str,
    /// What its type is, whatever the place; empty where the XSD says nothing of its own.
    pub type_documentation: &'static str,
    /// A value or a piece of XML that may stand there; empty where the XSD gives none.
    pub example: &'static str,
    /// The least number of times that it must occur there.
    pub min_occurs: u32,
    /// The most times that it may occur there.
    pub max_occurs: u32,
    /// The attributes that it may carry.
    pub attributes: &'static [AttributeDecl],
    /// What stands between its tags.
    pub content: Content,
}

/// An attribute of an element.
#[derive(Debug, PartialEq, Eq)]
pub struct AttributeDecl {
    /// The name before `=`.
    pub name: &'static str,
    /// What it says.
    pub documentation: &'static str,
    /// The only value that it may have.
    pub fixed: Option<&'static str>,
}

/// What stands between an element's tags.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// Elements in any order, listed in the canonical one; no text.
    Children(&'static [ElementDecl]),
    /// Text; no elements.
    Text(TextDecl),
}

/// What a text may be.
#[derive(Debug, PartialEq, Eq)]
pub struct TextDecl {
    /// The type's name in the XSD, one of [`TEXT_TYPES`].
    pub type_name: &'static str,
    /// How white space and commas are read.
    pub kind: TextKind,
    /// Whether it may be blank.
    pub may_be_empty: bool,
    /// The only values that it may have; empty where any will do.
    pub values: &'static [&'static str],
    /// What each of the values means, in the same order.
    pub value_documentation: &'static [&'static str],
}

/// A type of text and what the XSD says about it.
#[derive(Debug, PartialEq, Eq)]
pub struct TextTypeDecl {
    /// Its name in the XSD.
    pub name: &'static str,
    /// What such a text is.
    pub documentation: &'static str,
    /// Such a text.
    pub example: &'static str,
}

/// How white space and commas of a text are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Comma-separated tags.
    Tags,
    /// One line; runs of white space are one space, and none at the ends.
    Token,
    /// Sentences; white space within is kept.
    Prose,
}

include!(concat!(env!("OUT_DIR"), "/grammar.rs"));

impl ElementDecl {
    /// The elements that may stand inside, in canonical order; none for an element of text.
    #[must_use]
    pub fn children(&self) -> &'static [Self] {
        match self.content {
            Content::Children(children) => children,
            Content::Text(_) => &[],
        }
    }

    /// What the XSD says about the child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&'static Self> {
        self.children().iter().find(|child| child.name == name)
    }

    /// What the text may be; `None` for an element of elements.
    #[must_use]
    pub fn text(&self) -> Option<&TextDecl> {
        match &self.content {
            Content::Children(_) => None,
            Content::Text(text) => Some(text),
        }
    }

    /// What the XSD says about the attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&'static AttributeDecl> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_hold_what_the_xsd_says() {
        let names = |decl: &ElementDecl| decl.children().iter().map(|child| child.name).collect::<Vec<_>>();
        assert_eq!(PROMPT.children().len(), 18);
        assert_eq!(names(&NEGATIVE_PROMPT), ["danbooru_tags", "e621_tags", "resolution", "caption"]);
        let character = PROMPT.child("character_3").expect("it is listed");
        assert_eq!(
            names(character),
            ["n", "gender", "appearance", "clothing", "body_type", "expression", "action", "interaction", "position"]
        );
        assert_eq!(character.min_occurs, 0);
        assert_eq!(character.attribute("number").and_then(|a| a.fixed), Some("3"));
        assert_eq!(character.attribute("after").and_then(|a| a.fixed), Some("2"));
        let gender = character.child("gender").expect("it is listed");
        assert_eq!((gender.min_occurs, gender.max_occurs), (1, 1));
        let text = gender.text().expect("a gender is text");
        assert_eq!(text.values, ["1girl", "1boy", "1other"]);
        assert_eq!(text.kind, TextKind::Token);
        let kind_and_empty = |decl: &ElementDecl, name: &str| {
            let text = decl.child(name).and_then(ElementDecl::text).expect("text");
            (text.kind, text.may_be_empty)
        };
        assert_eq!(kind_and_empty(character, "n"), (TextKind::Token, true));
        assert_eq!(kind_and_empty(character, "clothing"), (TextKind::Tags, false));
        assert_eq!(kind_and_empty(&PROMPT, "caption"), (TextKind::Prose, false));
    }

    #[test]
    fn everything_is_documented() {
        fn walk(decl: &ElementDecl) {
            assert!(!decl.documentation.is_empty(), "{}", decl.name);
            for attribute in decl.attributes {
                assert!(!attribute.documentation.is_empty(), "{}", attribute.name);
            }
            if let Some(text) = decl.text() {
                assert!(!decl.example.is_empty(), "{}", decl.name);
                assert_eq!(text.values.len(), text.value_documentation.len());
                assert!(text.value_documentation.iter().all(|said| !said.is_empty()));
            }
            decl.children().iter().for_each(walk);
        }
        walk(&PROMPT);
        walk(&NEGATIVE_PROMPT);
    }
}
