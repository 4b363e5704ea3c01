//! [`Choice`]: a value of an enum of the protocol, as the command line writes it.

use clap::ValueEnum;
use clap::builder::PossibleValue;
use sakuga_client::proto::generation::v1::{
    ImageFormat, JobState, NoiseSchedule, Placement, PreviewMethod, Priority, Quality, ResizeMode, Solver, Upscaler,
};

/// An enum of the protocol whose values can be written on the command line.
pub(crate) trait Choices: Copy + PartialEq + Send + Sync + 'static {
    /// All values but the unspecified one. Each has the name of the proto in lower case without the prefix of the enum;
    /// `-` can stand for `_`.
    const CHOICES: &'static [Choice<Self>];
}

/// A value with its name on the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice<E: 'static> {
    /// The value of the protocol.
    pub value: E,
    name: &'static str,
    alias: Option<&'static str>,
    help: &'static str,
}

impl<E: Choices> ValueEnum for Choice<E> {
    fn value_variants<'a>() -> &'a [Self] {
        E::CHOICES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let value = PossibleValue::new(self.name).aliases(self.alias);
        Some(if self.help.is_empty() { value } else { value.help(self.help) })
    }
}

/// The name of a value on the command line; `None` if it is unspecified.
pub(crate) fn name<E: Choices>(value: E) -> Option<&'static str> {
    E::CHOICES.iter().find(|choice| choice.value == value).map(|choice| choice.name)
}

/// A value with its name and its help, which is empty where the name says enough.
const fn choice<E>(value: E, name: &'static str, help: &'static str) -> Choice<E> {
    Choice { value, name, alias: None, help }
}

impl Choices for Solver {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Euler, "euler", "One evaluation a step"),
        choice(Self::Midpoint, "midpoint", "Two evaluations a step"),
        choice(Self::Rk4, "rk4", "Four evaluations a step"),
        choice(Self::Dpm, "dpm", "DPM-Solver++ multistep of order 2: one evaluation a step"),
        Choice {
            alias: Some("euler_a"),
            ..choice(
                Self::EulerAncestral,
                "euler_ancestral",
                "Euler with fresh noise after each step: one evaluation a step",
            )
        },
        choice(Self::Ddim, "ddim", "One evaluation a step"),
        choice(Self::Unipc, "unipc", "Predictor and corrector of order 2: one evaluation a step"),
    ];
}

impl Choices for NoiseSchedule {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Native, "native", "The model's own"),
        choice(Self::Karras, "karras", "By the power of Karras et al.: more steps at little noise"),
        choice(Self::Exponential, "exponential", "By equal ratios"),
    ];
}

/// `CUSTOM` is what `--step-cache` sets.
impl Choices for Quality {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Exact, "exact", "Every evaluation is computed whole"),
        choice(
            Self::High,
            "high",
            "The fastest settings near the exact picture: a PSNR of 33 dB in the measurement of the model's profile",
        ),
        choice(Self::Fast, "fast", "The same with 30 dB"),
    ];
}

impl Choices for Placement {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Throughput, "throughput", "On one device: most pictures a minute"),
        choice(Self::Latency, "latency", "On two devices if a second one is free: the shortest time for a picture"),
    ];
}

impl Choices for PreviewMethod {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::None, "none", "No previews"),
        choice(Self::Linear, "linear", "A linear map of the latents: an eighth of the size, at almost no cost"),
        choice(Self::Decoder, "decoder", "The tiny decoder if the model has one, else the full one"),
    ];
}

/// The format of previews.
impl Choices for ImageFormat {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Jpeg, "jpeg", "Quality 85"),
        choice(Self::Png, "png", "Without loss"),
        choice(Self::Webp, "webp", "Without loss"),
    ];
}

/// How an image gets the size of the picture.
impl Choices for ResizeMode {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Crop, "crop", "Scaled to cover it, the rest cut off"),
        choice(Self::Pad, "pad", "Scaled to fit into it, its outermost pixels repeated"),
        choice(Self::Stretch, "stretch", "Scaled to its width and height"),
    ];
}

/// How a second pass enlarges.
impl Choices for Upscaler {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Lanczos, "lanczos", "The pixels"),
        choice(Self::LatentBilinear, "latent-bilinear", "The latents: faster, with softer edges"),
    ];
}

impl Choices for Priority {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Low, "low", "A quarter of the share of a normal job"),
        choice(Self::Normal, "normal", "The default"),
        choice(Self::High, "high", "Four times the share of a normal job"),
    ];
}

impl Choices for JobState {
    const CHOICES: &'static [Choice<Self>] = &[
        choice(Self::Queued, "queued", ""),
        choice(Self::Running, "running", ""),
        choice(Self::Completed, "completed", ""),
        choice(Self::Failed, "failed", ""),
        choice(Self::Cancelled, "cancelled", ""),
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use sakuga_client::proto::generation::v1::{CreateJobRequest, ListJobsRequest};
    use sakuga_client::proto::json;

    use super::*;

    /// Values that have no choice of their own, with what sets them.
    const OTHERWISE: [(&str, &str); 4] = [
        ("QUALITY_CUSTOM", "--step-cache"),
        ("PREPROCESSOR_CANNY", "--control NETWORK=FILE,preprocess=canny"),
        ("STRICTNESS_LENIENT", "a command without --strict"),
        ("STRICTNESS_STRICT", "--strict"),
    ];
    /// Of typed prompts, which the command line reads from files.
    const NO_OPTION: [&str; 1] = ["GENDER"];

    /// The number and the name of each choice, by the prefix of the names in the proto.
    fn choices() -> BTreeMap<&'static str, BTreeSet<(i32, String)>> {
        fn of<E: Choices + Into<i32>>(prefix: &'static str) -> (&'static str, BTreeSet<(i32, String)>) {
            let name = |choice: &Choice<E>| choice.name.replace('-', "_").to_uppercase();
            let numbered = E::CHOICES.iter().map(|choice| (choice.value.into(), format!("{prefix}_{}", name(choice))));
            (prefix, numbered.collect())
        }
        BTreeMap::from([
            of::<Solver>("SOLVER"),
            of::<NoiseSchedule>("NOISE_SCHEDULE"),
            of::<Quality>("QUALITY"),
            of::<PreviewMethod>("PREVIEW_METHOD"),
            of::<ImageFormat>("IMAGE_FORMAT"),
            of::<ResizeMode>("RESIZE_MODE"),
            of::<Upscaler>("UPSCALER"),
            of::<JobState>("JOB_STATE"),
            of::<Placement>("PLACEMENT"),
            of::<Priority>("PRIORITY"),
        ])
    }

    #[test]
    fn every_enum_of_a_request_is_written_as_the_proto_names_it() {
        let mut messages = vec![
            json::descriptor::<CreateJobRequest>().expect("it is described"),
            json::descriptor::<ListJobsRequest>().expect("it is described"),
        ];
        let (mut seen, mut described) = (BTreeSet::new(), BTreeMap::new());
        while let Some(message) = messages.pop() {
            if !seen.insert(message.full_name().to_owned()) {
                continue;
            }
            for field in message.fields() {
                messages.extend(field.kind().as_message().cloned());
                let Some(values) = field.kind().as_enum().cloned() else { continue };
                let default = values.default_value().name().to_owned();
                let prefix = default.strip_suffix("_UNSPECIFIED").expect("the first value is unspecified").to_owned();
                let set = values.values().filter(|value| value.number() != 0);
                let set = set.map(|value| (value.number(), value.name().to_owned()));
                described.insert(prefix, set.collect::<BTreeSet<_>>());
            }
        }
        described.retain(|prefix, values| {
            values.retain(|(_, name)| !OTHERWISE.iter().any(|(otherwise, _)| name == otherwise));
            !values.is_empty() && !NO_OPTION.contains(&prefix.as_str())
        });
        let written: BTreeMap<String, _> =
            choices().into_iter().map(|(prefix, values)| (prefix.to_owned(), values)).collect();
        assert_eq!(written, described);
    }

    #[test]
    fn names_and_aliases_are_read() {
        let solver = |text: &str| Choice::<Solver>::from_str(text, true).map(|choice| choice.value);
        assert_eq!(solver("EULER_A"), Ok(Solver::EulerAncestral));
        assert_eq!(solver("unipc"), Ok(Solver::Unipc));
        assert!(solver("heun").is_err());
        assert_eq!((name(Solver::Rk4), name(Solver::Unspecified)), (Some("rk4"), None));
    }
}
