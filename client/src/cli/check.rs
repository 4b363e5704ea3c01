//! Checking a prompt on this machine: the common part of `validate`, `fmt` and `generate`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_schema::{CheckOptions, Diagnostic, Limits, Strictness, Vocabulary};

use super::failure::Failure;
use super::input::Input;
use super::render::Finding;

/// How a prompt is read.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Accept only what the XSD accepts, instead of repairing what can be repaired without loss
    #[arg(long)]
    pub strict: bool,

    /// Compare tags with this list instead of the built-in one: CSV with `name,category,count,"alias,alias"` a line, as
    /// tag completion tools have it
    #[arg(long, value_name = "CSV")]
    pub vocabulary: Option<PathBuf>,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A prompt.
    Prompt,
    /// A negative prompt.
    Negative,
}

/// The outcome of a check, the same for both kinds.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it can be sent.
    pub is_valid: bool,
    /// What was found.
    pub diagnostics: Vec<Diagnostic>,
    /// The canonical form of what could be read; empty if nothing could.
    pub canonical: String,
    /// The system prompt that stood before it.
    pub system_prompt: Option<String>,
    /// What was read, in words: `2 characters`.
    pub contents: String,
}

impl Outcome {
    /// The findings, for showing.
    pub fn findings(&self) -> Vec<Finding> {
        self.diagnostics.iter().map(Finding::from).collect()
    }
}

/// A checker with the user's choices.
#[derive(Debug)]
pub struct Checker {
    strictness: Strictness,
    vocabulary: Option<Vocabulary>,
}

impl Checker {
    /// Reads the tag list, if one is named.
    pub fn new(arguments: &CheckArguments) -> Result<Self, Failure> {
        let vocabulary = arguments.vocabulary.as_deref().map(read_vocabulary).transpose()?;
        let strictness = if arguments.strict { Strictness::Strict } else { Strictness::Lenient };
        Ok(Self { strictness, vocabulary })
    }

    /// Checks an input.
    pub fn check(&self, kind: Kind, input: &Input) -> Outcome {
        self.check_bytes(kind, &input.bytes)
    }

    /// Checks bytes; what is not UTF-8 is a finding.
    pub fn check_bytes(&self, kind: Kind, bytes: &[u8]) -> Outcome {
        let options = CheckOptions {
            strictness: self.strictness,
            limits: Limits::default(),
            vocabulary: self.vocabulary.as_ref(),
        };
        if let (Kind::Negative, Ok(text)) = (kind, std::str::from_utf8(bytes)) {
            let checked = sakuga_schema::check_negative(text, &options);
            return Outcome {
                is_valid: checked.is_valid(),
                canonical: checked.negative.as_ref().map(sakuga_schema::NegativePrompt::to_xml).unwrap_or_default(),
                contents: "a negative prompt".to_owned(),
                system_prompt: checked.system_prompt,
                diagnostics: checked.diagnostics,
            };
        }
        let checked = sakuga_schema::check_bytes(bytes, &options);
        let characters = checked.prompt.as_ref().map_or(0, |prompt| prompt.characters.len());
        Outcome {
            is_valid: checked.is_valid(),
            canonical: checked.prompt.as_ref().map(sakuga_schema::Prompt::to_xml).unwrap_or_default(),
            contents: match characters {
                0 => "no characters".to_owned(),
                1 => "1 character".to_owned(),
                more => format!("{more} characters"),
            },
            system_prompt: checked.system_prompt,
            diagnostics: checked.diagnostics,
        }
    }
}

fn read_vocabulary(path: &Path) -> Result<Vocabulary, Failure> {
    let file = File::open(path).map_err(|error| Failure::unreadable(path, error))?;
    Vocabulary::from_csv(BufReader::new(file)).map_err(|error| Failure::unreadable(path, error))
}
