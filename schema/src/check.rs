//! The front door: text in, prompt and findings out. Nothing here fails or panics.

use crate::diagnostic::{Diagnostic, Severity};
use crate::limits::Limits;
use crate::prompt::{NegativePrompt, Prompt};
use crate::vocabulary::Vocabulary;

/// How strictly text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// What can be repaired without loss is repaired and reported as a warning.
    #[default]
    Lenient,
    /// What the XSD refuses is an error.
    Strict,
}

/// How to check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions<'a> {
    /// How strictly text is read.
    pub strictness: Strictness,
    /// How much is read.
    pub limits: Limits,
    /// The tags to compare with; `None` takes the built-in ones.
    pub vocabulary: Option<&'a Vocabulary>,
}

/// What stood around the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// Nothing: sibling blocks, the canonical form.
    #[default]
    Bare,
    /// `<img>` … `</img>`
    Img,
    /// `<image>` … `</image>`
    Image,
    /// `<document>` … `</document>`, its characters named by their elements.
    Document,
    /// `{` … `}`, not JSON.
    Braces,
    /// A JSON object with the XML in `tags` and the sentence in `caption`.
    Json,
    /// Sibling blocks, then `caption:` and a sentence.
    TrailingCaption,
    /// No markup: plain tags or a sentence.
    Plain,
    /// `<prompt>` … `</prompt>`, the root that the XSD has.
    Prompt,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// The prompt, as far as it could be read. `None` if there was nothing to read, or too much.
    pub prompt: Option<Prompt>,
    /// The system prompt that stood before it, split off; without surrounding blanks.
    pub system_prompt: Option<String>,
    /// What stood around the prompt.
    pub envelope: Envelope,
    /// Every finding, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    /// Whether there is a prompt and no error.
    pub fn is_valid(&self) -> bool {
        self.prompt.is_some() && !has_error(&self.diagnostics)
    }
}

/// The outcome of checking a negative prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedNegative {
    /// The negative prompt, as far as it could be read.
    pub negative: Option<NegativePrompt>,
    /// The system prompt that stood before it, split off; without surrounding blanks.
    pub system_prompt: Option<String>,
    /// Every finding, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl CheckedNegative {
    /// Whether there is a negative prompt and no error.
    pub fn is_valid(&self) -> bool {
        self.negative.is_some() && !has_error(&self.diagnostics)
    }
}

fn has_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Checks the text of a prompt, in any envelope.
pub fn check(text: &str, options: &CheckOptions<'_>) -> Checked {
    let _ = (text, options);
    Checked::default()
}

/// Checks the bytes of a prompt: what is not UTF-8 becomes a finding.
pub fn check_bytes(bytes: &[u8], options: &CheckOptions<'_>) -> Checked {
    let _ = (bytes, options);
    Checked::default()
}

/// Checks a typed prompt. Positions are those of its canonical XML, [`Prompt::to_xml`].
pub fn check_typed(prompt: &Prompt, options: &CheckOptions<'_>) -> Checked {
    let _ = options;
    Checked { prompt: Some(prompt.clone()), ..Checked::default() }
}

/// Checks the text of a negative prompt.
pub fn check_negative(text: &str, options: &CheckOptions<'_>) -> CheckedNegative {
    let _ = (text, options);
    CheckedNegative::default()
}
