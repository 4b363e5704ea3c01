//! A test oracle: strict reading of XML by the readers that xsd-parser generates from the XSD.
//!
//! Reading stops at the first fault. It shares nothing with [`sakuga_schema::check()`] but the grammar's tables, so the
//! tests compare the two.
#![allow(dead_code, reason = "every test binary compiles this module and uses a part of it")]

mod convert;
mod events;

/// The types and readers that the build derives from `prompt.xsd`.
#[allow(missing_docs, unused, unused_qualifications, clippy::all, clippy::pedantic)]
mod generated {
    #![allow(unreachable_pub)]

    include!(concat!(env!("OUT_DIR"), "/generated.rs"));
}

use sakuga_schema::grammar::{self, ElementDecl};
use sakuga_schema::{NegativePrompt, Prompt};
use xsd_parser_types::quick_xml::{DeserializeSync, Error, ErrorKind, Event};

use events::Events;

/// Why a text is not a prompt as the XSD has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// The XML is not well-formed, or an element, attribute or text stands where the XSD has no place for it.
    #[error("{message} (before byte {offset}); `check` says more")]
    Structure {
        /// What is wrong.
        message: String,
        /// Bytes of the text that had been read when it was found.
        offset: u64,
    },
    /// An element holds nothing.
    #[error("`{path}` is empty: write something into it, or leave it out")]
    Empty {
        /// Where, as `character_1/clothing`.
        path: String,
    },
    /// The numbers of the characters have a gap.
    #[error("there is a `character_{present}` but no `character_{missing}`: number the characters from 1 without gaps")]
    Gap {
        /// The first number that is missing.
        missing: usize,
        /// The first number after it that is there.
        present: usize,
    },
}

/// Reads a `<prompt>` document, or its blocks without the root.
pub(crate) fn read_prompt(text: &str) -> Result<Prompt, ReadError> {
    let document: generated::Prompt = read(text, &grammar::PROMPT)?;
    convert::prompt(document)
}

/// Reads a `<negative_prompt>` document, or its elements without the root.
pub(crate) fn read_negative(text: &str) -> Result<NegativePrompt, ReadError> {
    let document: generated::NegativePrompt = read(text, &grammar::NEGATIVE_PROMPT)?;
    convert::negative_prompt(document)
}

/// The canonical XML inside the root of the XSD.
pub(crate) fn prompt_document(prompt: &Prompt) -> String {
    format!("<prompt>\n{}</prompt>\n", prompt.to_xml())
}

/// The canonical XML of a negative prompt inside the root of the XSD.
pub(crate) fn negative_document(negative: &NegativePrompt) -> String {
    format!("<negative_prompt>\n{}</negative_prompt>\n", negative.to_xml())
}

fn read<'a, T>(text: &'a str, root: &'static ElementDecl) -> Result<T, ReadError>
where
    T: DeserializeSync<'a, Events<'a>, Error = Error>,
{
    let mut events = Events::new(text, root);
    let read = T::deserialize(&mut events).and_then(|document| events.finish().map(|()| document));
    read.map_err(|error| ReadError::Structure {
        message: message(&error.kind),
        offset: error.position.unwrap_or_default(),
    })
}

/// What an error of the generated readers says to a person.
fn message(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::DuplicateElement(name) => format!("the element {name} stands there twice"),
        ErrorKind::MissingElement(name) => format!("the element {name} is missing"),
        ErrorKind::UnknownOrInvalidValue(value) => format!("{value} is not one of the allowed values"),
        ErrorKind::UnexpectedEvent(Event::Start(tag) | Event::Empty(tag)) => {
            format!("the element \"{}\" has no place there", String::from_utf8_lossy(tag.name().0))
        }
        ErrorKind::UnexpectedEvent(_) => "there is something that the XSD has no place for".to_owned(),
        ErrorKind::XmlError(error) => error.to_string(),
        ErrorKind::EscapeError(error) => error.to_string(),
        ErrorKind::AttrError(error) => error.to_string(),
        ErrorKind::Custom(error) => error.to_string(),
        other => other.to_string(),
    }
}
