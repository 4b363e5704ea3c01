//! [`Texts`]: the prompt and the negative prompt as they were given.

use std::path::Path;

use sakuga_client::proto::generation::v1::Expansion;

use super::arguments::GenerateArguments;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input::{self, Input};

/// The texts of a request before they are checked.
#[derive(Clone, Default)]
pub(crate) struct Texts {
    pub prompt: Option<Input>,
    /// The negative prompt.
    pub negative: Option<Input>,
    /// What they were made from, if something in them was chosen.
    pub expansion: Option<Expansion>,
}

impl Texts {
    /// Reads the files that the arguments name.
    pub(crate) fn read(arguments: &GenerateArguments) -> Result<Self, Failure> {
        let stdin = Some(Path::new("-"));
        if arguments.file.as_deref() == stdin && arguments.negative.as_deref() == stdin {
            return Err(Failure::new(Exit::Unreadable, "stdin cannot be both the prompt and the negative prompt"));
        }
        let prompt = arguments.file.as_deref().map(|path| input::read_prompt(path, "generate")).transpose()?;
        let negative = arguments.negative.as_deref().map(input::read_negative).transpose()?;
        Ok(Self { prompt, negative, expansion: None })
    }
}
