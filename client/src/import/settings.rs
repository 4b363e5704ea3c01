//! [`Settings`]: the settings of other programs in common terms, and their conversion to a request.

use std::ops::RangeInclusive;

use sakuga_proto::generation::v1::generate_request::{Negative, Prompt};
use sakuga_proto::generation::v1::{GenerateRequest, Sampling, Solver};
use sakuga_schema::{Character, NegativePrompt, TagList};

use super::second_pass::Second;
use super::{ImportError, Imported, LeftOut, MAX_PROMPT_BYTES, Program, reason, tags};

/// The longest value that is repeated in [`LeftOut::value`], in characters.
const LONGEST_VALUE: usize = 120;
/// The range of steps in the API. The client knows no table of limits; a test of `server/src/limits.rs` compares these
/// two.
const STEPS: RangeInclusive<u32> = 1..=200;
/// Characters that the grammar numbers.
const CHARACTERS_MAX: usize = 16;
/// The range of the guidance scale in the API.
const GUIDANCE_SCALE: RangeInclusive<f64> = 1.0..=30.0;

/// The settings of a picture in the terms of most programs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Settings {
    pub(super) prompt: String,
    pub(super) negative: String,
    /// Prompts of single characters, with the place of each in words of the grammar.
    pub(super) characters: Vec<(String, Option<&'static str>)>,
    pub(super) steps: Option<u32>,
    pub(super) guidance_scale: Option<f64>,
    /// The name of the sampler, in any spelling.
    pub(super) sampler: Option<String>,
    /// The name of the noise schedule, in any spelling.
    pub(super) schedule: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    /// The second pass.
    pub(super) second: Option<Second>,
    pub(super) left_out: Vec<LeftOut>,
}

impl Settings {
    /// Records a setting without a counterpart, unless its value is empty.
    pub(super) fn leave_out(&mut self, name: &str, value: impl ToString, reason: &'static str) {
        let value = value.to_string();
        if value.trim().is_empty() {
            return;
        }
        let mut short: String = value.chars().take(LONGEST_VALUE).collect();
        if short.len() < value.len() {
            short.push_str("...");
        }
        self.left_out.push(LeftOut { name: name.to_owned(), value: short, reason });
    }

    /// The request, with what could not be carried over.
    ///
    /// # Errors
    ///
    /// [`ImportError::TooLong`] for a prompt that no request can have.
    pub(super) fn into_imported(mut self, program: Program) -> Result<Imported, ImportError> {
        let of_characters = self.characters.iter().map(|(text, _)| text.len()).sum::<usize>();
        for (what, bytes) in [("prompt", self.prompt.len() + of_characters), ("negative prompt", self.negative.len())] {
            if bytes > MAX_PROMPT_BYTES {
                return Err(ImportError::TooLong { program, what, bytes, most: MAX_PROMPT_BYTES });
            }
        }
        for (text, _) in self.characters.split_off(self.characters.len().min(CHARACTERS_MAX)) {
            self.leave_out("character prompt", text, "the grammar has sixteen characters");
        }
        let mut request = GenerateRequest { seed: self.seed, ..GenerateRequest::default() };
        self.set_size(&mut request);
        request.sampling = self.sampling();
        if let Some(second) = self.second.take() {
            let (second, notes) = second.into_request(self.steps, *STEPS.end());
            request.second_pass = second;
            notes.into_iter().for_each(|(name, value, reason)| self.leave_out(name, value, reason));
        }
        let prompt = self.typed_prompt();
        request.prompt = Some(Prompt::Typed((&prompt).into()));
        let negative = std::mem::take(&mut self.negative);
        let (negative, instructions) = tags::plain(&negative);
        self.leave_out_instructions("negative prompt", instructions);
        if !negative.trim().is_empty() {
            let danbooru_tags = TagList::parse(&negative.replace('\n', ","));
            let negative = NegativePrompt { danbooru_tags, ..NegativePrompt::default() };
            request.negative = Some(Negative::NegativePrompt((&negative).into()));
        }
        Ok(Imported { program, request, left_out: self.left_out })
    }

    fn typed_prompt(&mut self) -> sakuga_schema::Prompt {
        let (text, instructions) = tags::plain(&std::mem::take(&mut self.prompt));
        self.leave_out_instructions("prompt", instructions);
        let mut sorted = tags::sort(&text);
        let characters = std::mem::take(&mut self.characters);
        if !characters.is_empty() {
            // Each character came with its own prompt, so nothing has to be guessed.
            let mut own: Vec<Character> = Vec::new();
            for (index, (text, position)) in characters.into_iter().enumerate() {
                let (text, instructions) = tags::plain(&text);
                self.leave_out_instructions("character prompt", instructions);
                let mut character = tags::character(&text, index + 1);
                if let Some(position) = position {
                    character.position.push(position);
                }
                own.push(character);
            }
            sorted.give_back_characters();
            sorted.prompt.characters = own;
        } else if sorted.holds_several_characters {
            self.leave_out(
                "which character has which attribute",
                &text,
                "a list of tags does not say it: move the attributes from `other` into `<character_1>`, `<character_2>`...",
            );
        }
        sorted.prompt
    }

    fn leave_out_instructions(&mut self, name: &str, instructions: Vec<String>) {
        for instruction in instructions {
            let is_adapter = ["<lora:", "<lyco:"].iter().any(|start| instruction.starts_with(start));
            let reason = if is_adapter {
                reason::OTHER_ADAPTER
            } else {
                "this model reads plain tags: weights, schedules, embeddings and keywords have no effect"
            };
            self.leave_out(name, instruction, reason);
        }
    }

    fn set_size(&mut self, request: &mut GenerateRequest) {
        let (Some(width), Some(height)) = (self.width, self.height) else { return };
        if width == 0 || height == 0 {
            return;
        }
        // Sizes are multiples of 16; the server checks the rest, since it knows its model.
        let round = |edge: u32| (edge.saturating_add(8) / 16 * 16).max(16);
        (request.width, request.height) = (round(width), round(height));
        if (request.width, request.height) != (width, height) {
            self.leave_out("size", format!("{width}x{height}"), "rounded to multiples of 16");
        }
    }

    fn sampling(&mut self) -> Option<Sampling> {
        let mut sampling = Sampling::default();
        if let Some(steps) = self.steps.filter(|steps| *steps > 0) {
            sampling.steps = steps.min(*STEPS.end());
            if sampling.steps != steps {
                self.leave_out("steps", steps, "reduced to the most that the API takes");
            }
        }
        if let Some(scale) = self.guidance_scale.filter(|scale| scale.is_finite()) {
            let within = scale.clamp(*GUIDANCE_SCALE.start(), *GUIDANCE_SCALE.end());
            sampling.guidance_scale = Some(within as f32);
            if within != scale {
                self.leave_out("guidance", scale, "moved into the range of the API");
            }
        }
        if let Some(sampler) = self.sampler.take() {
            match solver(&sampler) {
                Some(solver) => sampling.set_solver(solver),
                None => {
                    let reason = match is_of_some_models(&sampler) {
                        true => {
                            "not every model has this solver: name it by --solver (euler_ancestral, ddim or unipc) for one that has"
                        }
                        false => "no solver of this name; the model's own is used",
                    };
                    self.leave_out("sampler", sampler, reason);
                }
            }
        }
        if let Some(schedule) =
            self.schedule.take().filter(|schedule| !is_default_schedule(schedule, sampling.solver()))
        {
            self.leave_out("schedule", schedule, reason::OTHER_SCHEDULE);
        }
        (sampling != Sampling::default()).then_some(sampling)
    }
}

/// A sampler's name without what programs write differently: `k_euler_ancestral` and `Euler Ancestral` are the same.
fn sampler_key(sampler: &str) -> String {
    let name: String = sampler.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let name = name.strip_prefix("sample").unwrap_or(&name);
    let of_k_diffusion = name.strip_prefix('k').filter(|rest| rest.starts_with("euler") || rest.starts_with("dpm"));
    of_k_diffusion.unwrap_or(name).to_owned()
}

/// Whether a sampler is a solver that only models with a diffusion schedule have.
fn is_of_some_models(sampler: &str) -> bool {
    ["eulera", "eulerancestral", "ddim", "unipc"].contains(&sampler_key(sampler).as_str())
}

/// Whether a request without a schedule gets this one: the model's own, and Karras' with DPM++ 2M.
fn is_default_schedule(schedule: &str, solver: Solver) -> bool {
    match schedule.to_lowercase().as_str() {
        "" | "automatic" | "normal" | "simple" => true,
        "karras" => solver == Solver::Dpm,
        _ => false,
    }
}

/// The solver for a sampler, if every model has it.
fn solver(sampler: &str) -> Option<Solver> {
    match sampler_key(sampler).as_str() {
        "euler" => Some(Solver::Euler),
        "midpoint" => Some(Solver::Midpoint),
        "rk4" => Some(Solver::Rk4),
        "dpmpp2m" | "dpm2m" | "dpmpp2mkarras" | "dpm2mkarras" | "dpmpp2mk" => Some(Solver::Dpm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samplers_that_solve_the_same_equation_are_known_in_every_spelling() {
        for (name, expected) in [
            ("Euler", Some(Solver::Euler)),
            ("k_euler", Some(Solver::Euler)),
            ("DPM++ 2M Karras", Some(Solver::Dpm)),
            ("dpmpp_2m", Some(Solver::Dpm)),
            ("Euler a", None),
            ("k_euler_ancestral", None),
            ("DPM++ 2M SDE", None),
        ] {
            assert_eq!(solver(name), expected, "{name}");
        }
    }

    #[test]
    fn schedules_that_a_request_does_not_get_are_listed() {
        let listed = |sampler: &str, schedule: &str| {
            let [sampler, schedule] = [sampler, schedule].map(|name| Some(name.to_owned()));
            let settings = Settings { prompt: "1girl".into(), sampler, schedule, ..Settings::default() };
            let imported = settings.into_imported(Program::A1111).expect("short enough");
            imported.left_out.into_iter().any(|one| one.name == "schedule")
        };
        assert!(!listed("Euler", "Automatic") && !listed("euler", "simple") && !listed("dpmpp_2m", "karras"));
        assert!(listed("euler", "karras") && listed("dpmpp_2m", "sgm_uniform") && listed("DPM++ 2M", "Exponential"));
    }

    #[test]
    fn values_outside_the_limits_are_moved_and_listed() {
        let settings = Settings {
            prompt: "1girl".into(),
            steps: Some(500),
            guidance_scale: Some(0.0),
            width: Some(1000),
            height: Some(1000),
            ..Settings::default()
        };
        let imported = settings.into_imported(Program::A1111).expect("short enough");
        let sampling = imported.request.sampling.expect("given");
        assert_eq!((sampling.steps, sampling.guidance_scale), (200, Some(1.0)));
        assert_eq!((imported.request.width, imported.request.height), (1008, 1008));
        let names: Vec<&str> = imported.left_out.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["size", "steps", "guidance"]);
    }
}
