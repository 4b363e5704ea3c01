//! The results of a check.

use crate::diagnostic::{Diagnostic, Severity};
use crate::prompt::{NegativePrompt, Prompt};

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
    /// A JSON object with the XML in `tags`, or with the fields as members.
    Json,
    /// Sibling blocks, then `caption:` and a sentence.
    TrailingCaption,
    /// No markup: plain tags or a sentence.
    Plain,
    /// `<prompt>` … `</prompt>`, the root that the XSD has.
    Prompt,
    /// The answer of a language model: a code fence, and talk around it.
    Answer,
    /// A text with labels and settings, as AUTOMATIC1111's program writes it: `Negative prompt: …`, `Steps: …`.
    Infotext,
    /// Markup that was escaped once too often.
    Escaped,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checked {
    /// The prompt, as far as it could be read. `None` if there was nothing to read, or too much.
    pub prompt: Option<Prompt>,
    /// The system prompt that stood before it, split off; without surrounding blanks.
    pub system_prompt: Option<String>,
    /// The negative prompt that stood inside the text, split off.
    pub negative: Option<NegativePrompt>,
    /// The system prompt that stood before that negative prompt. `None` if there was none: the prompt's holds for both.
    pub negative_system_prompt: Option<String>,
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

/// The outcome of checking a system prompt that is given apart from the prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckedSystemPrompt {
    /// The text to read. A lenient check leaves invisible characters out.
    pub text: String,
    /// Every finding, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Whether any of the findings is an error.
pub(crate) fn has_error(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}
