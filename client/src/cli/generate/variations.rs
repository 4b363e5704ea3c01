//! The arguments of `sakuga generate` for several prompts and settings.

use std::path::PathBuf;

use clap::Args;

/// The most prompts that one command chooses.
const MAX_VARIATIONS: u32 = 1000;

/// Alternatives in prompts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Variations")]
pub(crate) struct ExpandArguments {
    /// Choose among the alternatives of the prompts: `{long|short} hair` and `__colours__`, a line of colours.txt in the
    /// folder of --wildcards. N prompts are drawn as N jobs, into the folder OUT
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_VARIATIONS))
    )]
    pub expand: Option<u32>,

    /// The folder with the files of wildcards, one alternative a line
    #[arg(long, value_name = "FOLDER", requires = "expand")]
    pub wildcards: Option<PathBuf>,

    /// Seed of the choices [default: --seed, or else a random one, which is printed]
    #[arg(long, value_name = "N", requires = "expand")]
    pub expand_seed: Option<u64>,
}

/// Several jobs of one command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Several jobs")]
pub(crate) struct ManyArguments {
    /// Draw each prompt of a folder (*.xml and *.txt), or each row of a CSV file, into the folder OUT. The columns are
    /// `prompt` or `file`, and optionally `name`, `negative` and any key of --matrix
    #[arg(long, value_name = "FOLDER|FILE.csv", conflicts_with_all = ["file", "matrix"])]
    pub batch: Option<PathBuf>,

    /// Draw one picture for each value, and a contact sheet, into the folder OUT. At most three, for columns, rows and
    /// blocks of the sheet. KEY is steps, guidance, shift, solver, seed, size or another setting, or `text:OLD` for texts in
    /// place of OLD in the prompt
    #[arg(long, value_name = "KEY=A,B,C")]
    pub matrix: Vec<String>,

    /// Jobs at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub jobs: u32,

    /// Stop at the first prompt that is not valid or cannot be drawn
    #[arg(long)]
    pub fail_fast: bool,
}

impl ManyArguments {
    /// Whether the command draws several jobs into a folder, where `expand` prompts are chosen.
    pub(crate) fn are_wanted(&self, expand: &ExpandArguments) -> bool {
        self.batch.is_some() || !self.matrix.is_empty() || expand.expand.is_some_and(|count| count > 1)
    }
}
