//! `sakuga bench quality`: measures what the levels of quality cost on a model, and writes its profile.

mod prompts;
mod run;

use std::path::PathBuf;

use clap::Args;
use sakuga_bench::levels::{self, LEVELS};
use sakuga_client::proto::generation::v1::StepCache;
use sakuga_client::proto::text::count;

use super::progress::Progress;
use crate::cli::exit::{self, Exit};
use crate::cli::failure::Failure;
use crate::cli::generate::step_cache;
use crate::cli::output::{self, shown};
use crate::cli::server::{self, ServerArguments};
use crate::cli::terminal::Terminal;
use run::Found;

const AFTER_HELP: &str = "\
Each prompt is drawn exactly, and again with settings of the step cache: PSNR, MS-SSIM and FLIP compare the two pictures. First \
all settings are tried on a few prompts and sorted by the blocks that they compute. Then those that may be within the bounds are \
measured over all prompts, the fastest first, until one is: high needs a mean PSNR of 33 dB and may lose 0.3 % of the attributes, \
fast 30 dB and 1 %. Attributes are read by an oracle that knows the pictures of the embedded model alone, sakuga-chibi.

Put the profile into the folder of the model as quality_profile.json; the server reads it when it loads the model. It holds for \
this checkpoint, and for sizes, steps and solvers like those that were measured.";

/// Measure what the levels of quality cost on a model
///
/// Draws prompts exactly and with a step cache, compares the pictures, and writes the fastest settings within the bounds of each
/// level as the model's profile.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct QualityArguments {
    #[command(flatten)]
    server: ServerArguments,

    /// The model, as `sakuga info` lists it [default: the server's]
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,

    /// The profile
    #[arg(long, short, value_name = "FILE.json", default_value = "quality_profile.json")]
    out: PathBuf,

    /// Prompts that are compared; a profile for others needs at least 100
    #[arg(long, value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) pictures: u32,

    /// Prompts on which all settings are tried first
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) trials: u32,

    /// One prompt a line, instead of the built-in prompts
    #[arg(long, value_name = "FILE")]
    pub(super) prompts: Option<PathBuf>,

    /// Settings to try instead of the built-in ones, as for --step-cache of `sakuga generate`; can be repeated
    #[arg(long = "try", value_name = "SETTINGS", value_parser = step_cache::parse)]
    pub(super) settings: Vec<StepCache>,

    /// Number of steps from noise to picture [default: the model's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(super) steps: Option<u32>,

    /// Where prompts and noise start
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,

    /// Print the profile instead of a table
    #[arg(long)]
    json: bool,

    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &QualityArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    // Checked before the measurement, which may take an hour.
    output::check_writable(&arguments.out)?;
    let progress = Progress::new(arguments.quiet || arguments.json, terminal, u64::from(arguments.pictures));
    let found = server::runtime()?.block_on(async {
        let client = arguments.server.connect().await?;
        run::measure(&client, arguments, &progress).await
    });
    progress.close();
    let found = found?;
    let text =
        serde_json::to_string_pretty(&found.profile()).map_err(|error| Failure::unwritable(&arguments.out, error))?;
    output::write_file(&arguments.out, format!("{text}\n").as_bytes())?;
    if arguments.json {
        output::print_document(&text)?;
        return Ok(Exit::Ok);
    }
    output::print(format_args!("{}\nprofile  {}\n", table(&found, terminal), shown(&arguments.out)))?;
    Ok(Exit::Ok)
}

/// The settings that were measured over all prompts, and which became levels.
fn table(found: &Found, terminal: &Terminal) -> String {
    let mut text = format!("{}\n{}\n\n", found.conditions, count(found.tried.len(), "setting"));
    let mut rows = vec![["settings", "PSNR dB", "MS-SSIM", "FLIP", "right %", "computed"].map(str::to_owned)];
    for (cache, measured) in &found.measured {
        let binding = measured.binding_percent().map(|[exact, level]| format!("{level:.2} of {exact:.2}"));
        rows.push([
            levels::cache_text(cache),
            format!("{:.2}", measured.mean_psnr_db()),
            format!("{:.4}", levels::mean(&measured.ms_ssim)),
            format!("{:.4}", levels::mean(&measured.flip)),
            binding.unwrap_or_default(),
            format!("{:.1} %", 100.0 * measured.cost(cache, found.blocks)),
        ]);
    }
    for [settings, rest @ ..] in &rows {
        let width = if terminal.is_unicode { 72 } else { 70 };
        text.push_str(&format!(
            "{settings:<width$}{}\n",
            rest.iter().map(|cell| format!("{cell:>18}")).collect::<String>()
        ));
    }
    for (bounds, level) in LEVELS.iter().zip(&found.levels) {
        let settings = level
            .as_ref()
            .map_or("nothing within the bounds: exact".to_owned(), |(cache, _)| levels::cache_text(cache));
        text.push_str(&format!("\n{}: {settings}", bounds.level));
    }
    text.push('\n');
    text
}
