//! The commands and their common arguments. Each command returns its exit code or a failure.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches as _, Parser, Subcommand};
use sakuga_client::proto::text::one_line;

mod adapters;
mod assets;
mod bench;
mod check;
mod choice;
mod clock;
mod devices;
mod estimate;
mod estimated_time;
mod event_log;
mod examples;
mod excerpt;
mod exit;
mod failure;
mod fmt;
mod generate;
mod highlight;
mod import;
mod info;
mod inline;
mod input;
mod jobs;
mod models;
mod output;
mod profile;
mod progress;
mod render;
mod replace;
mod request_file;
mod request_text;
mod scene_text;
mod schema;
mod server;
mod show;
mod size;
mod terminal;
mod top;
mod units;
mod validate;

use exit::Exit;
use failure::Failure;
use terminal::Terminal;

/// Pictures from structured prompts: check a prompt, draw it, show the request in a picture.
///
/// `validate`, `fmt`, `show`, `import`, `schema` and `completions` need no server; `generate`, `estimate`, `jobs`, `models`,
/// `devices`, `adapters`, `assets`, `top`, `info` and `bench` do.
#[derive(Debug, Parser)]
#[command(name = "sakuga", version, max_term_width = 110, after_long_help = exit::MANUAL)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// When to use colours; `auto` respects NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", display_order = 900)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::ValidateArguments),
    Fmt(fmt::FmtArguments),
    Generate(Box<generate::GenerateArguments>),
    Estimate(Box<estimate::EstimateArguments>),
    Show(show::ShowArguments),
    Import(import::ImportArguments),
    Info(info::InfoArguments),
    Jobs(jobs::JobsArguments),
    Models(models::ModelsArguments),
    Devices(devices::DevicesArguments),
    Adapters(adapters::AdaptersArguments),
    Assets(assets::AssetsArguments),
    Top(top::TopArguments),
    Bench(Box<bench::BenchArguments>),
    Schema(schema::SchemaArguments),
    /// Print a completion script for a shell
    #[command(after_long_help = exit::MANUAL)]
    Completions {
        /// The shell that reads the script
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the process was started with.
pub(crate) fn run() -> ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            if error.exit_code() != 0 {
                output::say(usage_message(&error).trim_end());
                return Exit::Unreadable.into();
            }
            // Help and version. A closed pipe is not an error.
            let _ = error.print();
            return Exit::Ok.into();
        }
    };
    let terminal = Terminal::new(arguments.color);
    output::set_colours(&terminal);
    match arguments.command.run(&terminal) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output::say_failure(&failure, &terminal);
            failure.exit().into()
        }
    }
}

/// Parses a command line, with examples in the help of each command.
fn parse(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Arguments, clap::Error> {
    let mut command = with_negative_numbers(examples::added(Arguments::command()));
    let mut matches = command.try_get_matches_from_mut(words)?;
    Arguments::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Options take a negative number as their value, so that the message is about the value: `--timeout -1`.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let takes_one = |argument: &clap::Arg| argument.get_action().takes_values() && !argument.is_positional();
    command
        .mut_args(|argument| if takes_one(&argument) { argument.allow_negative_numbers(true) } else { argument })
        .mut_subcommands(with_negative_numbers)
}

/// The message of an error on the command line. It repeats arguments, such as the name of a file, so it comes from parsing
/// them once more with everything invisible replaced.
fn usage_message(error: &clap::Error) -> String {
    let visible = std::env::args_os().map(|argument| one_line(&argument.to_string_lossy()));
    match parse(visible) {
        Err(visible) if visible.exit_code() != 0 => visible.render().to_string(),
        _ => one_line(&error.render().to_string()),
    }
}

impl Command {
    fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        match self {
            Self::Validate(arguments) => validate::run(&arguments, terminal),
            Self::Fmt(arguments) => fmt::run(&arguments, terminal),
            Self::Generate(arguments) => generate::run(&arguments, terminal),
            Self::Estimate(arguments) => estimate::run(&arguments, terminal),
            Self::Show(arguments) => show::run(&arguments, terminal),
            Self::Import(arguments) => import::run(&arguments, terminal),
            Self::Info(arguments) => info::run(&arguments, terminal),
            Self::Jobs(arguments) => jobs::run(&arguments, terminal),
            Self::Models(arguments) => models::run(&arguments),
            Self::Devices(arguments) => devices::run(&arguments),
            Self::Adapters(arguments) => adapters::run(&arguments),
            Self::Assets(arguments) => assets::run(&arguments),
            Self::Top(arguments) => top::run(&arguments, terminal),
            Self::Bench(arguments) => bench::run(&arguments, terminal),
            Self::Schema(arguments) => schema::run(&arguments),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Arguments::command(), "sakuga", &mut script);
                output::print_bytes(&script)?;
                Ok(Exit::Ok)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
