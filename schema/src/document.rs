//! Strict reading of XML that follows the XSD, and a whole document for tools that want one.
//!
//! The types between quick-xml and [`Prompt`] are those that xsd-parser makes of the XSD. Reading stops at the first
//! fault; [`check`](crate::check()) finds all of them, repairs what can be repaired and is what people should meet.

mod convert;
mod events;

use xsd_parser_types::quick_xml::{DeserializeSync, Error, ErrorKind, Event};

use crate::generated;
use crate::law;
use crate::prompt::{NegativePrompt, Prompt};
use events::Events;

/// Why a text is not a prompt as the XSD has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
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

impl Prompt {
    /// Reads a `<prompt>` document, or its blocks without the root.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the text does not follow the XSD.
    pub fn from_xml(text: &str) -> Result<Self, ReadError> {
        let document: generated::Prompt = read(text, &law::PROMPT)?;
        convert::prompt(document)
    }

    /// The canonical XML inside the root that the XSD has, for tools that read whole documents.
    #[must_use]
    pub fn to_document(&self) -> String {
        format!("<prompt>\n{}</prompt>\n", self.to_xml())
    }
}

impl NegativePrompt {
    /// Reads a `<negative_prompt>` document, or its elements without the root.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the text does not follow the XSD.
    pub fn from_xml(text: &str) -> Result<Self, ReadError> {
        let document: generated::NegativePrompt = read(text, &law::NEGATIVE_PROMPT)?;
        convert::negative_prompt(document)
    }

    /// The canonical XML inside the root that the XSD has, for tools that read whole documents.
    #[must_use]
    pub fn to_document(&self) -> String {
        format!("<negative_prompt>\n{}</negative_prompt>\n", self.to_xml())
    }
}

fn read<'a, T>(text: &'a str, root: &'static law::ElementLaw) -> Result<T, ReadError>
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

#[cfg(test)]
mod tests;
