//! The sampling options of `sakuga generate`: one table, which makes the arguments and fills the request.

use clap::builder::EnumValueParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueEnum, value_parser};
use sakuga_client::proto::generation::v1::{self as wire, Sampling};

use super::step_cache;
use crate::cli::choice::{self, Choice, Choices};

/// The heading of the options in the help.
const HEADING: &str = "Sampling";

/// A number of [`Sampling`] as an option of the command.
struct NumberOption {
    long: &'static str,
    value_name: &'static str,
    help: &'static str,
    field: fn(&mut Sampling) -> &mut Option<f32>,
}

/// Every number but the steps.
const NUMBERS: &[NumberOption] = &[
    NumberOption {
        long: "guidance",
        value_name: "F",
        help: "Scale of classifier-free guidance; 1 turns it off [default: the model's]",
        field: |sampling| &mut sampling.guidance_scale,
    },
    NumberOption {
        long: "guidance-from",
        value_name: "T",
        help: "Apply guidance only from this t on (0 is noise, 1 the picture), which is below --guidance-until; 0 for the \
               whole time [default: the model's]",
        field: |sampling| &mut sampling.guidance_from,
    },
    NumberOption {
        long: "guidance-until",
        value_name: "T",
        help: "Apply guidance only while t (0 is noise, 1 the picture) is below this [default: the model's]",
        field: |sampling| &mut sampling.guidance_until,
    },
    NumberOption {
        long: "guidance-renorm",
        value_name: "F",
        help: "Limit the norm of the guided velocity to this multiple of the conditional velocity's; 0 for no limit \
               [default: the model's]",
        field: |sampling| &mut sampling.guidance_renorm,
    },
    NumberOption {
        long: "guidance-rescale",
        value_name: "F",
        help: "Scale the guided prediction by this share to the deviation of the conditional one; 0 for not at all, about 0.7 \
               for models with zero terminal SNR [default: the model's]",
        field: |sampling| &mut sampling.guidance_rescale,
    },
    NumberOption {
        long: "shift",
        value_name: "F",
        help: "Shift of the time schedule: larger values spend more steps on the composition [default: the model's]",
        field: |sampling| &mut sampling.shift,
    },
];

/// The sampling options of the command line; what is absent was not given.
#[derive(Clone, Debug, Default)]
pub(crate) struct SamplingArguments {
    given: Sampling,
}

impl SamplingArguments {
    /// Sets the given options in a request.
    pub(crate) fn apply(&self, request: &mut Option<Sampling>) {
        let mut given = self.given.clone();
        if given == Sampling::default() {
            return;
        }
        let target = request.get_or_insert_default();
        if given.solver != 0 {
            target.solver = given.solver;
        }
        if given.schedule != 0 {
            target.schedule = given.schedule;
        }
        if given.steps != 0 {
            target.steps = given.steps;
        }
        // A new quality removes the old step cache, and a new step cache removes the old quality.
        if given.quality != 0 || given.step_cache.is_some() {
            (target.quality, target.step_cache) = (given.quality, given.step_cache.take());
        }
        for option in NUMBERS {
            let value = (option.field)(&mut given).or(*(option.field)(target));
            *(option.field)(target) = value;
        }
    }
}

impl Args for SamplingArguments {
    fn augment_args(command: Command) -> Command {
        let steps = Arg::new("steps")
            .long("steps")
            .value_name("N")
            .help("Number of steps from noise to picture [default: the model's]")
            .value_parser(value_parser!(u32).range(1..));
        let solver = Arg::new("solver")
            .long("solver")
            .value_name("NAME")
            .help("The solver [default: the model's]")
            .value_parser(EnumValueParser::<Choice<wire::Solver>>::new());
        let schedule = Arg::new("schedule")
            .long("schedule")
            .value_name("NAME")
            .help(
                "The noise levels of the steps [default: karras with dpm where the model offers it, else the model's]",
            )
            .value_parser(EnumValueParser::<Choice<wire::NoiseSchedule>>::new());
        let quality = Arg::new("quality")
            .long("quality")
            .value_name("LEVEL")
            .help("How exactly evaluations are computed: high and fast reuse some of them [default: exact]")
            .value_parser(EnumValueParser::<Choice<wire::Quality>>::new());
        let step_cache = Arg::new("step-cache")
            .long("step-cache")
            .value_name("SETTINGS")
            .help("What evaluations reuse, instead of what the quality stands for: front=1,back=1,threshold=0.1,warmup=4,consecutive=2,order=0, or fixed steps as steps=5+6+8")
            .value_parser(step_cache::parse);
        let numbers = NUMBERS.iter().map(|option| {
            Arg::new(option.long).long(option.long).value_name(option.value_name).help(option.help).value_parser(finite)
        });
        let options = [steps, solver, schedule, quality, step_cache].into_iter().chain(numbers);
        command.args(options.map(|option| option.help_heading(HEADING)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SamplingArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::default();
        arguments.update_from_arg_matches(matches)?;
        Ok(arguments)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let mut given = Sampling {
            solver: matches.get_one::<Choice<wire::Solver>>("solver").map_or(0, |choice| choice.value.into()),
            schedule: matches
                .get_one::<Choice<wire::NoiseSchedule>>("schedule")
                .map_or(0, |choice| choice.value.into()),
            steps: matches.get_one("steps").copied().unwrap_or_default(),
            quality: matches.get_one::<Choice<wire::Quality>>("quality").map_or(0, |choice| choice.value.into()),
            step_cache: matches.get_one("step-cache").cloned(),
            ..Sampling::default()
        };
        for option in NUMBERS {
            *(option.field)(&mut given) = matches.get_one(option.long).copied();
        }
        self.given = given;
        Ok(())
    }
}

/// The names of all options, in the order of the help.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ["steps", "solver", "schedule", "quality", "step-cache"].into_iter().chain(NUMBERS.iter().map(|option| option.long))
}

/// Sets the option of this name to the value in a text.
///
/// # Errors
///
/// What is wrong with the text, or that there is no such option.
pub(crate) fn set(sampling: &mut Sampling, name: &str, value: &str) -> Result<(), String> {
    match name {
        "steps" => {
            let steps = value.parse().ok().filter(|steps| *steps > 0);
            sampling.steps = steps.ok_or_else(|| format!("`{value}` is not a whole number from 1 on"))?;
        }
        "solver" => {
            sampling.solver = named::<wire::Solver>("solver", value)?.into();
        }
        "schedule" => {
            sampling.schedule = named::<wire::NoiseSchedule>("schedule", value)?.into();
        }
        "quality" => {
            (sampling.quality, sampling.step_cache) = (named::<wire::Quality>("quality", value)?.into(), None);
        }
        "step-cache" => {
            (sampling.quality, sampling.step_cache) = (0, Some(step_cache::parse(value)?));
        }
        _ => {
            let option = NUMBERS.iter().find(|option| option.long == name);
            let option = option.ok_or_else(|| format!("there is no option `{name}`"))?;
            *(option.field)(sampling) = Some(finite(value)?);
        }
    }
    Ok(())
}

/// The value of this name. The error lists the names.
fn named<E: Choices>(kind: &str, name: &str) -> Result<E, String> {
    let choice = Choice::<E>::from_str(name, true).map_err(|_| {
        let known: Vec<&str> = E::CHOICES.iter().filter_map(|known| choice::name(known.value)).collect();
        format!("there is no {kind} `{name}`; there are {}", known.join(", "))
    })?;
    Ok(choice.value)
}

/// Whether a request turns guidance off, so that its negative prompt has no effect.
pub(crate) fn is_guidance_off(sampling: &Sampling) -> bool {
    sampling.guidance_scale == Some(1.0) || sampling.guidance_until.is_some_and(|until| until <= 0.0)
}

fn finite(text: &str) -> Result<f32, String> {
    let number: f32 = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
    if number.is_finite() { Ok(number) } else { Err(format!("`{text}` is not a finite number")) }
}

#[cfg(test)]
mod tests {
    use sakuga_client::proto::json;

    use super::*;

    fn parse(line: &str) -> SamplingArguments {
        let command = SamplingArguments::augment_args(Command::new("generate"));
        let matches = command.try_get_matches_from(line.split_whitespace()).unwrap_or_else(|error| panic!("{error}"));
        SamplingArguments::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(finite("5.5"), Ok(5.5));
        assert!(finite("NaN").is_err() && finite("inf").is_err() && finite("x").is_err());
    }

    #[test]
    fn every_field_of_sampling_has_an_option() {
        let numbers: Vec<String> =
            NUMBERS.iter().enumerate().map(|(place, option)| format!("--{} {}", option.long, place + 1)).collect();
        let mut given = parse(&format!(
            "generate --steps 7 --solver dpm --schedule karras --quality fast --step-cache threshold=0.1 {}",
            numbers.join(" ")
        ))
        .given;
        assert_eq!((given.steps, given.solver(), given.quality()), (7, wire::Solver::Dpm, wire::Quality::Fast));
        assert_eq!(parse("generate --solver euler_a").given.solver(), wire::Solver::EulerAncestral);
        for (place, option) in NUMBERS.iter().enumerate() {
            assert_eq!(*(option.field)(&mut given), Some((place + 1) as f32), "--{} fills its own field", option.long);
        }
        let message = json::dynamic(&given).unwrap();
        for field in json::descriptor::<Sampling>().unwrap().fields() {
            assert!(message.has_field(&field), "no option sets {}", field.name());
        }
    }

    #[test]
    fn a_quality_replaces_the_settings_of_the_request_before() {
        let cached = || step_cache::parse("threshold=0.1").ok();
        let before = Sampling { quality: wire::Quality::High.into(), step_cache: cached(), ..Sampling::default() };
        let applied = |line: &str| {
            let mut request = Some(before.clone());
            parse(line).apply(&mut request);
            let sampling = request.unwrap();
            (sampling.quality(), sampling.step_cache.is_some())
        };
        assert_eq!(applied("generate --steps 3"), (wire::Quality::High, true));
        assert_eq!(applied("generate --quality exact"), (wire::Quality::Exact, false));
        assert_eq!(applied("generate --step-cache steps=3"), (wire::Quality::Unspecified, true));
        let mut sampling = before.clone();
        set(&mut sampling, "quality", "fast").unwrap();
        assert_eq!((sampling.quality(), &sampling.step_cache), (wire::Quality::Fast, &None));
        set(&mut sampling, "step-cache", "steps=4").unwrap();
        assert_eq!((sampling.quality(), sampling.step_cache.is_some()), (wire::Quality::Unspecified, true));
        assert!(set(&mut sampling, "quality", "best").unwrap_err().contains("exact, high, fast"));
    }

    #[test]
    fn what_is_not_given_stays() {
        let mut request = None;
        parse("generate").apply(&mut request);
        assert_eq!(request, None);
        request = Some(Sampling { steps: 20, shift: Some(3.0), ..Sampling::default() });
        parse("generate --solver rk4 --shift 6").apply(&mut request);
        let solver = wire::Solver::Rk4.into();
        assert_eq!(request, Some(Sampling { solver, steps: 20, shift: Some(6.0), ..Sampling::default() }));
    }
}
