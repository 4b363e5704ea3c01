//! [`Texts`]: the prompt and the negative prompt as they were given.

use std::path::Path;

use sakuga_client::proto::generation::v1::Expansion;

use super::arguments::GenerateArguments;
use super::scene_file::SceneFile;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input::{self, Input};
use crate::cli::scene_text;

/// The texts of a request before they are checked.
#[derive(Clone, Default)]
pub(crate) struct Texts {
    pub prompt: Option<Input>,
    /// The negative prompt.
    pub negative: Option<Input>,
    /// The template and its choices; `None` if nothing was chosen.
    pub expansion: Option<Expansion>,
    /// The file of a scene that the prompts come from.
    pub scene: Option<Box<SceneFile>>,
}

impl Texts {
    /// Reads the files that the arguments name.
    pub(crate) fn read(arguments: &GenerateArguments) -> Result<Self, Failure> {
        if let Some(path) = arguments.file.as_deref().filter(|path| scene_text::is_named(path)) {
            if arguments.from.is_some() {
                let message = "--from has a request, and so has the file of a scene";
                return Err(Failure::new(Exit::Unreadable, message).with_help("leave one of the two out"));
            }
            let scene = SceneFile::read(path)?;
            let negative = match arguments.negative.as_deref() {
                Some(path) => Some(input::read_negative(path)?),
                None => scene.first_texts.negative.clone(),
            };
            let prompt = Some(scene.first_texts.prompt.clone());
            return Ok(Self { prompt, negative, expansion: None, scene: Some(Box::new(scene)) });
        }
        let stdin = Some(Path::new("-"));
        if arguments.file.as_deref() == stdin && arguments.negative.as_deref() == stdin {
            return Err(Failure::new(Exit::Unreadable, "stdin cannot be both the prompt and the negative prompt"));
        }
        let prompt = arguments.file.as_deref().map(|path| input::read_prompt(path, "generate")).transpose()?;
        let negative = arguments.negative.as_deref().map(input::read_negative).transpose()?;
        Ok(Self { prompt, negative, ..Self::default() })
    }
}
