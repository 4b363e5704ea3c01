//! The prompt language of Sakuga: its XSD, its values, its diagnostics and its renderings.

/// The schema of the language, as published: XSD 1.0.
pub const XSD: &str = include_str!("../prompt.xsd");

mod check;
mod diagnostic;
mod document;
mod envelope;
mod findings;
#[rustfmt::skip]
#[allow(missing_docs, unused, unused_qualifications, clippy::all)]
mod generated;
pub mod law;
mod limits;
mod lower;
mod names;
mod position;
mod prompt;
pub mod reference;
mod render;
pub mod rules;
mod syntax;
mod tags;
mod vocabulary;

pub use check::{
    CheckOptions, Checked, CheckedNegative, Envelope, Strictness, check, check_bytes, check_negative, check_typed,
};
pub use diagnostic::{Diagnostic, Edit, Fix, Severity};
pub use document::ReadError;
pub use limits::Limits;
pub use position::Position;

pub use prompt::{Character, Gender, GeneralTags, NegativePrompt, ParseGenderError, Prompt};
pub use tags::TagList;
pub use vocabulary::{Vocabulary, VocabularyError};
