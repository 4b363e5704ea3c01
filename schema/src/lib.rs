//! The prompt language of Sakuga: its XSD, its values, its diagnostics and its renderings.
//!
//! `prompt.xsd` defines the grammar. The build derives the tables of [`grammar`] from it, which the checker and the
//! reference page read. Tests compare the checker with the readers that xsd-parser generates from the XSD, with an
//! independent XSD validator and with the protobuf messages.
//!
//! [`check()`] takes a prompt as it is found, in any wrapping, and never fails: it returns a [`Prompt`] and every finding with
//! its place and, if there is one, a fix. A [`Prompt`] is plain values; [`Prompt::to_xml`] writes the canonical form and
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
mod checked;
mod diagnostic;
mod envelope;
mod findings;
mod fixes;
pub mod grammar;
mod invisible;
mod limits;
mod lower;
mod names;
mod options;
mod outline;
mod patterns;
mod phrases;
mod plain_form;
mod position;
mod prompt;
pub mod reference;
mod render;
mod render_tags;
mod rule;
pub mod rules;
mod settings;
mod source;
mod syntax;
mod tags;
mod tree;
mod vocabulary;
mod xml;

pub use check::{check, check_bytes, check_negative, check_system_prompt, check_typed};
pub use checked::{Checked, CheckedNegative, CheckedSystemPrompt, Envelope};
pub use diagnostic::{Diagnostic, Edit, Fix, Severity};
pub use fixes::{apply_fixes, settle};
pub use limits::Limits;
pub use options::{CheckOptions, Strictness};
pub use position::Position;
pub use prompt::{Character, Gender, GeneralTags, NegativePrompt, ParseGenderError, Prompt};
pub use rule::RuleDoc;
pub use tags::TagList;
pub use vocabulary::{Vocabulary, VocabularyError};
