//! The prompt language of Sakuga: its XSD, its values, its diagnostics and its renderings.
//!
//! `prompt.xsd` is the law. The build derives from it the tables of [`law`], which the checker and the reference page
//! walk, and the readers behind [`Prompt::from_xml`]; tests hold the protobuf messages and an independent XSD validator
//! against it.
//!
//! [`check()`] takes a prompt as it is found, in any wrapping, and never fails: it gives a [`Prompt`] and every finding with
//! its place and a way to mend it. A [`Prompt`] is plain values; [`Prompt::to_xml`] writes the canonical form and
//! [`Prompt::to_model_text`] what the encoders read.
//!
//! ```
//! use sakuga_schema::{CheckOptions, check};
//!
//! let text = "<character_1><gender>1girl</gender><expression>>_<</expression></character_1>";
//! let checked = check(text, &CheckOptions::default());
//!
//! assert!(checked.is_valid(), "a lenient check reads the lone bracket as itself");
//! assert_eq!(checked.diagnostics[0].code, "unescaped-markup");
//! let prompt = checked.prompt.expect("it is valid");
//! assert!(prompt.to_xml().contains("<expression>>_&lt;</expression>"));
//! assert!(prompt.to_model_text().contains("<expression>>_<</expression>"));
//! ```

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
