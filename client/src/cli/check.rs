//! Checking a prompt on this machine: the common part of `validate`, `fmt` and `generate`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use sakuga_client::proto::text::{is_invisible, one_line};
use sakuga_schema::{CheckOptions, Diagnostic, Limits, Severity, Strictness, Vocabulary};

use super::exit::Exit;
use super::failure::Failure;
use super::input::{self, Input};
use super::render::Finding;

/// The largest tag list that is read.
const MAX_VOCABULARY_BYTES: u64 = 256 << 20;

/// The file in the folder of a model that states its tags.
const MODEL_VOCABULARY: &str = "vocabulary.json";
/// The largest such file that is read.
const MAX_MODEL_VOCABULARY_BYTES: u64 = 1 << 20;
/// The most tags that it may hold, as for the server.
const MAX_MODEL_TAGS: usize = 2048;

/// The rule for a prompt with nothing to draw.
const EMPTY_PROMPT: &str = "empty-prompt";

/// How a prompt is read.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Accept only what the XSD accepts, instead of repairing what can be repaired without loss
    #[arg(long)]
    pub strict: bool,

    /// Tag list to use instead of the built-in one: CSV with lines of `name,category,count,"alias,alias"`, as tag completion
    /// tools use it
    #[arg(long, value_name = "CSV")]
    pub vocabulary: Option<PathBuf>,
}

/// The kind of text in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Prompt,
    /// A negative prompt.
    Negative,
}

/// The outcome of a check, the same for both kinds.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub is_valid: bool,
    /// The findings.
    pub diagnostics: Vec<Diagnostic>,
    /// The canonical form of what could be read; empty if nothing could.
    pub canonical: String,
    /// The canonical form of the negative prompt inside the text of a prompt.
    pub negative: Option<String>,
    /// The system prompt that precedes it.
    pub system_prompt: Option<String>,
    /// The system prompt that precedes the negative prompt inside the text of a prompt.
    pub negative_system_prompt: Option<String>,
    /// The contents in words: `2 characters`.
    pub contents: String,
}

impl Outcome {
    /// Whether the text of a prompt has a negative prompt, or a system prompt of one, inside.
    pub(crate) fn has_negative(&self) -> bool {
        self.negative.is_some() || self.negative_system_prompt.is_some()
    }

    /// The findings for display.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.diagnostics.iter().map(Finding::from).collect()
    }
}

/// Fails if a prompt has a negative prompt inside its text, and another one is given.
///
/// # Errors
///
/// [`Exit::Invalid`] with both names.
pub(crate) fn one_negative(prompt: (&Input, &Outcome), negative: Option<&Input>) -> Result<(), Failure> {
    let (input, outcome) = prompt;
    let Some(negative) = negative.filter(|_| outcome.has_negative()) else { return Ok(()) };
    let (prompt, negative) = (one_line(&input.name), one_line(&negative.name));
    let message = format!("two negative prompts: one inside {prompt} and {negative}");
    Err(Failure::new(Exit::Invalid, message).with_help("remove one of the two"))
}

/// A checker with the options of the user.
#[derive(Debug)]
pub(crate) struct Checker {
    strictness: Strictness,
    vocabulary: Option<Vocabulary>,
    /// The tags of the model by element.
    model_tags: Option<BTreeMap<String, Vec<String>>>,
}

impl Checker {
    /// A checker with the tag list that the options name.
    pub(crate) fn new(arguments: &CheckArguments) -> Result<Self, Failure> {
        let vocabulary = arguments.vocabulary.as_deref().map(read_vocabulary).transpose()?;
        let strictness = if arguments.strict { Strictness::Strict } else { Strictness::Lenient };
        Ok(Self { strictness, vocabulary, model_tags: None })
    }

    /// Adds advice about tags that the model in a folder was not trained with.
    pub(crate) fn for_model(self, folder: &Path) -> Result<Self, Failure> {
        Ok(Self { model_tags: Some(read_model_tags(folder)?), ..self })
    }

    /// Checks a prompt or a negative prompt, as `kind` says, and returns the findings.
    ///
    /// A prompt without any visible text is not valid: it is more often an empty file or the output of a failed command than the
    /// wish for a picture without a prompt, which `<prompt></prompt>` expresses.
    pub(crate) fn check(&self, kind: Kind, input: &Input) -> Outcome {
        let mut outcome = self.check_bytes(kind, &input.bytes);
        if kind == Kind::Prompt && is_blank(&input.bytes) {
            for finding in outcome.diagnostics.iter_mut().filter(|finding| finding.code == EMPTY_PROMPT) {
                finding.severity = Severity::Error;
                "the prompt is empty; to draw without a prompt, write `<prompt></prompt>`"
                    .clone_into(&mut finding.message);
            }
            outcome.is_valid = false;
        }
        outcome
    }

    /// Checks bytes; what is not UTF-8 is a finding.
    pub(crate) fn check_bytes(&self, kind: Kind, bytes: &[u8]) -> Outcome {
        let options = CheckOptions {
            strictness: self.strictness,
            limits: Limits::default(),
            vocabulary: self.vocabulary.as_ref(),
            model_tags: self.model_tags.as_ref(),
        };
        if let (Kind::Negative, Ok(text)) = (kind, std::str::from_utf8(bytes)) {
            let checked = sakuga_schema::check_negative(text, &options);
            return Outcome {
                is_valid: checked.is_valid(),
                canonical: checked.negative.as_ref().map(sakuga_schema::NegativePrompt::to_xml).unwrap_or_default(),
                contents: "a negative prompt".to_owned(),
                negative: None,
                system_prompt: checked.system_prompt,
                negative_system_prompt: None,
                diagnostics: checked.diagnostics,
            };
        }
        let checked = sakuga_schema::check_bytes(bytes, &options);
        let characters = checked.prompt.as_ref().map_or(0, |prompt| prompt.characters.len());
        let negative = checked.negative.as_ref().map(sakuga_schema::NegativePrompt::to_xml);
        let contents = match characters {
            0 => "no characters".to_owned(),
            1 => "1 character".to_owned(),
            more => format!("{more} characters"),
        };
        Outcome {
            is_valid: checked.is_valid(),
            canonical: checked.prompt.as_ref().map(sakuga_schema::Prompt::to_xml).unwrap_or_default(),
            contents: match negative {
                Some(_) => format!("{contents} and a negative prompt"),
                None => contents,
            },
            negative,
            system_prompt: checked.system_prompt,
            negative_system_prompt: checked.negative_system_prompt,
            diagnostics: checked.diagnostics,
        }
    }
}

/// Whether a text has nothing but white space and invisible characters.
fn is_blank(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| text.chars().all(|character| character.is_whitespace() || is_invisible(character)))
}

fn read_vocabulary(path: &Path) -> Result<Vocabulary, Failure> {
    let csv = input::read_file(path, MAX_VOCABULARY_BYTES)?;
    Vocabulary::from_csv(csv.as_slice()).map_err(|error| Failure::unreadable(path, error))
}

/// The part of the file that a check needs; the server reads all of it.
#[derive(serde::Deserialize)]
struct ModelVocabularyFile {
    tags: BTreeMap<String, Vec<String>>,
}

fn read_model_tags(folder: &Path) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let path = folder.join(MODEL_VOCABULARY);
    let help = "name the folder of a model that states its tags, or leave out `--model`";
    let text = input::read_file(&path, MAX_MODEL_VOCABULARY_BYTES).map_err(|failure| failure.with_help(help))?;
    let file: ModelVocabularyFile = serde_json::from_slice(&text).map_err(|error| Failure::unreadable(&path, error))?;
    if file.tags.values().map(Vec::len).sum::<usize>() > MAX_MODEL_TAGS {
        return Err(Failure::unreadable(&path, format_args!("it has more than {MAX_MODEL_TAGS} tags")));
    }
    Ok(file.tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_without_text_is_not_valid_and_one_that_says_so_is() {
        let arguments = CheckArguments { strict: false, vocabulary: None };
        let checker = Checker::new(&arguments).unwrap();
        let check = |kind: Kind, text: &str| {
            checker.check(kind, &Input { name: "a".into(), path: None, bytes: text.as_bytes().to_vec() })
        };
        for blank in ["", "\n", " \t\r\n", "\u{feff}", "\u{200b}\n", "\u{a0}"] {
            let outcome = check(Kind::Prompt, blank);
            let error = outcome.diagnostics.iter().find(|finding| finding.severity == Severity::Error);
            assert!(!outcome.is_valid, "{blank:?}");
            assert!(error.is_some_and(|error| error.message.contains("`<prompt></prompt>`")), "{blank:?}: {outcome:?}");
            assert!(check(Kind::Negative, blank).is_valid, "{blank:?}: a negative prompt may be empty");
        }
        for wanted in ["<prompt></prompt>", "{}", "."] {
            assert!(check(Kind::Prompt, wanted).is_valid, "{wanted}");
        }
    }
}
