//! `--expand`: alternatives and wildcards of the prompts are chosen before they are checked and sent.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::time::SystemTime;

use sakuga_client::expand::{Draw, Expanded, Template, Wildcards};
use sakuga_client::proto::generation::v1::Expansion;
use sakuga_client::proto::text::one_line;

use super::arguments::{GenerateArguments, Seed};
use super::texts::Texts;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::input::Input;

/// The seed that the command line names for choices.
pub(crate) fn given_seed(arguments: &GenerateArguments) -> Option<u64> {
    match (arguments.expand.expand_seed, arguments.seed) {
        (Some(seed), _) | (None, Some(Seed::Fixed(seed))) => Some(seed),
        _ => None,
    }
}

/// A seed of 32 bits, short enough to be read out and typed again.
pub(crate) fn random_seed() -> u64 {
    RandomState::new().hash_one(SystemTime::now()) & u64::from(u32::MAX)
}

/// Chooses the alternatives of texts.
pub(crate) struct Expander {
    wildcards: Wildcards,
    seed: u64,
}

impl Expander {
    /// Reads the folder of wildcards, if one is named.
    pub(crate) fn new(folder: Option<&Path>, seed: u64) -> Result<Self, Failure> {
        let wildcards = match folder {
            Some(folder) => Wildcards::in_folder(folder).map_err(|error| Failure::unreadable(folder, error))?,
            None => Wildcards::none(),
        };
        Ok(Self { wildcards, seed })
    }

    /// The texts with everything chosen but in those of a scene, and the record of the choices.
    pub(crate) fn expand(&mut self, texts: &Texts, variation: u32) -> Result<Texts, Failure> {
        let mut draw = Draw::new(self.seed, variation);
        let mut expansion = Expansion { seed: self.seed, variation, ..Expansion::default() };
        let mut chosen = Texts { scene: texts.scene.clone(), ..Texts::default() };
        if let Some(input) = &texts.prompt {
            let (input, template) = self.expand_one(input, &mut draw, &mut expansion)?;
            (chosen.prompt, expansion.template) = (Some(input), template);
        }
        if let Some(input) = &texts.negative {
            let before = expansion.choices.len();
            let (input, template) = self.expand_one(input, &mut draw, &mut expansion)?;
            chosen.negative = Some(input);
            if expansion.choices.len() > before {
                expansion.negative_template = template;
            }
        }
        chosen.expansion = Some(expansion);
        Ok(chosen)
    }

    fn expand_one(
        &mut self,
        input: &Input,
        draw: &mut Draw,
        expansion: &mut Expansion,
    ) -> Result<(Input, String), Failure> {
        let name = one_line(&input.name);
        let text = std::str::from_utf8(&input.bytes)
            .map_err(|error| Failure::new(Exit::Unreadable, format_args!("cannot read {name}: {error}")))?;
        let template = self.wildcards.read(text);
        let expanded = template.and_then(|template: Template| self.wildcards.expand(&template, draw));
        let Expanded { text: chosen, choices } = expanded.map_err(|error| {
            let failure = Failure::new(Exit::Invalid, format_args!("cannot expand {name}: {error}"));
            match error {
                sakuga_client::expand::ExpandError::NoFolder { .. } => {
                    failure.with_help("name the folder of the wildcard's file with --wildcards FOLDER")
                }
                _ => failure,
            }
        })?;
        expansion.choices.extend(choices);
        Ok((Input { bytes: chosen.into_bytes(), ..input.clone() }, text.to_owned()))
    }
}

/// What was chosen, on one line.
pub(crate) fn note(expansion: &Expansion) -> String {
    const SHOWN: usize = 12;
    let mut choices: Vec<String> = expansion.choices.iter().take(SHOWN).map(|choice| one_line(choice)).collect();
    if let Some(more) = expansion.choices.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        choices.push(format!("and {more} more"));
    }
    let chosen = if choices.is_empty() { "nothing to choose".to_owned() } else { choices.join(" | ") };
    format!("expanded with seed {}: {chosen}", expansion.seed)
}
