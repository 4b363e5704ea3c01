//! The arguments of `sakuga generate`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sakuga_client::proto::generation::v1 as wire;

use super::adapter;
use super::images::ImageArguments;
use super::sampling::SamplingArguments;
use super::variations::{ExpandArguments, ManyArguments};
use crate::cli::check::CheckArguments;
use crate::cli::choice::Choice;
use crate::cli::exit;
use crate::cli::server::ServerArguments;
use crate::cli::size::Size;

const AFTER_HELP: &str = "\
The prompt is checked on this machine first, as `sakuga validate` does.

Several pictures are written to OUT with -0, -1, ... before the extension. A picture appears under its name only when \
it is complete and its checksum is right. An existing regular file is replaced; a link, pipe or device is refused.

Ctrl-C cancels the job at its next step; only previews and events are written then. If the connection breaks or the \
server restarts, the program reconnects for up to a minute, and the job continues.

--init begins from an image, which --strength changes much or little; --mask and --mask-box draw a part of it again, \
--canvas draws around it, and --hires adds a second pass at a larger size:

    sakuga generate prompt.xml --init girl.png --strength 0.6 --out other.png
    sakuga generate prompt.xml --init girl.png --strength 1 --mask-box 60,20,130,90 --feather 8 --out hair.png
    sakuga generate prompt.xml --init girl.png --strength 1 --canvas 384x256 --out wide.png
    sakuga generate prompt.xml --hires 1.5 --hires-strength 0.5 --out large.png

The record of a picture has the SHA-256 of these images, not the images: give them again with --from.

FILE.toml draws a scene: one model draws the characters, and another one the scene over them. Files in it are relative to \
it, and keys are the settings of --matrix:

    [first]
    prompt-file = \"two_girls.xml\"
    model = \"newbie\"

    [scene]
    prompt = \"2girls, forest, sunlight\"
    model = \"sdxl\"
    strength = 0.4                        # share of the steps [default: 0.4]
    solver = \"dpm\"
    protect = [\"300,200,400,700\"]       # kept bit for bit; or protect-image = \"mask.png\", white is kept
    feather = 16

Both tables take negative or negative-file, adapters = [\"ink:0.8\"] and refiner = 0.8; [scene] also resize = \"crop\", and \
a size and a seed. A scene without a seed has one more than that of the first pass, and a scene without a size that of its \
pictures; --seed and --size change both passes then, also with --from. Other arguments change the first pass, but for \
--strength and --resize. `sakuga validate FILE.toml` checks the prompts.

--events writes each event as a line of protobuf JSON (sakuga.generation.v1.GenerateEvent) when it arrives. The bytes of \
previews and pictures are left out; `data` in the line holds their number and SHA-256.

--json prints one JSON object at the end. Its `status` is `completed`, `cancelled`, `failed`, or `invalid` with the \
diagnostics of `sakuga validate --json`.

--profile measures the operations of the networks: their time, their rate, and its share of the device's peak rate. With \
--json they are in `profiles`, each as protobuf JSON (sakuga.generation.v1.Profile).";

/// Draw pictures
///
/// Sends a prompt to a server, shows the progress, and writes the pictures as PNG files. Each file carries its request:
/// `sakuga show` prints it, and --from sends it again.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct GenerateArguments {
    /// The prompt; `-` for stdin, and FILE.toml for a scene of two models
    #[arg(value_name = "FILE", required_unless_present_any = ["from", "batch"])]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub server: ServerArguments,

    /// Where to write the picture; with --batch, --matrix and --expand=N the folder of the pictures
    #[arg(long, short, value_name = "PNG")]
    pub out: PathBuf,

    /// Send the request in this picture, or in a JSON file as `sakuga import` writes it; other arguments change parts of it
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// The negative prompt, as XML or plain tags; `-` for stdin
    #[arg(long, value_name = "FILE")]
    pub negative: Option<PathBuf>,

    /// Seed of the noise; -1, or without --seed: a random one
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = Seed::parse)]
    pub seed: Option<Seed>,

    /// Size in pixels, multiples of 16 [default: the model's]
    #[arg(long, value_name = "WxH", value_parser = Size::parse)]
    pub size: Option<Size>,

    /// Number of pictures, each from its own noise [default: 1]
    #[arg(long = "images", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,

    /// Draw only this picture of the batch, counted from 0, bit for bit as in the whole batch; can be repeated, or a list
    /// with commas
    #[arg(long = "image-index", value_name = "I", value_delimiter = ',')]
    pub image_indices: Vec<u32>,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// An adapter of the server, as `sakuga adapters` lists it, and factors on its effect on the denoiser and on the text
    /// encoders, -10 to 10 [default: 1, and the same]. Can be given several times, and then replaces those of --from
    #[arg(long = "adapter", value_name = "NAME[:SCALE[:TEXT_SCALE]]", value_parser = adapter::parse)]
    pub adapters: Vec<wire::Adapter>,

    /// Leave out the adapters of --from
    #[arg(long, conflicts_with = "adapters")]
    pub no_adapters: bool,

    /// Let the model's refiner compute the end of the schedule, from this share of its times on, 0 to 1 [default without F:
    /// 0.8]
    #[arg(long, value_name = "F", num_args = 0..=1, require_equals = true, default_missing_value = "0.8")]
    pub refiner: Option<f32>,

    /// System prompt of the text encoder; empty for none [default: the model's]
    #[arg(long, value_name = "TEXT")]
    pub system_prompt: Option<String>,

    /// System prompt of the text encoder before the negative prompt; empty for none [default: the one in front of the
    /// negative prompt, else the prompt's]
    #[arg(long, value_name = "TEXT")]
    pub negative_system_prompt: Option<String>,

    /// How long the job may take, waiting included: `90s`, `5min`
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,

    /// The job's share of the devices while jobs of others wait [default: normal]
    #[arg(long, value_enum, value_name = "PRIORITY")]
    pub priority: Option<Choice<wire::Priority>>,

    /// On how many devices of the server each picture is drawn [default: on two if one would not end before --timeout]
    #[arg(long, value_name = "PLACEMENT")]
    pub placement: Option<Choice<wire::Placement>>,

    #[command(flatten)]
    pub check: CheckArguments,

    #[command(flatten)]
    pub sampling: SamplingArguments,

    #[command(flatten)]
    pub expand: ExpandArguments,

    #[command(flatten)]
    pub many: ManyArguments,

    #[command(flatten)]
    pub images: ImageArguments,

    #[command(flatten)]
    pub previews: PreviewArguments,

    /// Write every event to this file, one line of JSON each
    #[arg(long, value_name = "FILE.jsonl", help_heading = "Output")]
    pub events: Option<PathBuf>,

    /// Measure the operations on the device and print a table at the end; the picture is the same
    #[arg(long, help_heading = "Output")]
    pub profile: bool,

    /// Print one JSON object to stdout when the job is over
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Show no progress and no warnings
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

/// Previews of the picture while it is drawn.
#[derive(Debug, Args)]
#[command(next_help_heading = "Previews")]
pub(crate) struct PreviewArguments {
    /// Method of previews [default: linear if the terminal or --preview-dir can take them, else none]
    #[arg(long, value_enum, value_name = "METHOD")]
    pub preview: Option<Choice<wire::PreviewMethod>>,

    /// Write previews into this directory, as image0_step012.jpg
    #[arg(long, value_name = "DIR")]
    pub preview_dir: Option<PathBuf>,

    /// File format of previews [default: jpeg]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub preview_format: Option<Choice<wire::ImageFormat>>,

    /// Largest edge of a preview, in pixels, 16 to 2048 [default: 512]
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(16..=2048))]
    pub preview_max_edge: Option<u32>,

    /// Number of steps between previews [default: 1]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u32).range(1..))]
    pub preview_every: Option<u32>,

    /// Show no pictures in the terminal, even if it can (kitty, iTerm2, sixel)
    #[arg(long)]
    pub no_inline: bool,
}

/// The seed on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seed {
    /// -1: the server chooses.
    Random,
    Fixed(u64),
}

impl Seed {
    /// Parses a whole number; -1 is a random seed, as in other programs.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "-1" => Ok(Self::Random),
            number => number.parse().map(Self::Fixed).map_err(|_| {
                format!(
                    "a seed is a whole number from 0 to {}; leave --seed out, or write -1, for a random one",
                    u64::MAX
                )
            }),
        }
    }
}

impl GenerateArguments {
    /// The priority of the job; unspecified without `--priority`.
    pub(crate) fn priority(&self) -> wire::Priority {
        self.priority.map_or(wire::Priority::Unspecified, |priority| priority.value)
    }

    /// The placement of the job; unspecified without `--placement`.
    pub(crate) fn placement(&self) -> wire::Placement {
        self.placement.map_or(wire::Placement::Unspecified, |placement| placement.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_number_or_random() {
        assert_eq!(Seed::parse("-1"), Ok(Seed::Random));
        assert_eq!(Seed::parse("18446744073709551615"), Ok(Seed::Fixed(u64::MAX)));
        for text in ["-2", "1.5", "x", "18446744073709551616"] {
            assert!(Seed::parse(text).unwrap_err().contains("leave --seed out"), "{text}");
        }
    }
}
