//! The commands, their common arguments, and the way from a command to its exit code.

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, Parser, Subcommand};

mod bench;
mod check;
mod compose;
mod event_log;
mod excerpt;
mod exit;
mod failure;
mod fmt;
mod generate;
mod highlight;
mod info;
mod inline;
mod input;
mod jobs;
mod operations;
mod output;
mod preview;
mod profile;
mod progress;
mod render;
mod schema;
mod server;
mod session;
mod show;
mod summary;
mod terminal;
mod top;
mod units;
mod validate;

use exit::Exit;
use failure::Failure;
use terminal::Terminal;

/// Pictures from typed prompts: check a prompt, have it drawn, look at what drew a picture.
///
/// `validate`, `fmt`, `show`, `schema` and `completions` work on this machine alone; `generate`, `jobs`,
/// `top`, `info` and `bench` ask a server.
#[derive(Debug, Parser)]
#[command(name = "sakuga", version, max_term_width = 110, after_long_help = exit::MANUAL)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// When to use colours. `auto` also looks at NO_COLOR and CLICOLOR_FORCE.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value = "auto", display_order = 900)]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    Validate(validate::ValidateArguments),
    Fmt(fmt::FmtArguments),
    Generate(Box<generate::GenerateArguments>),
    Show(show::ShowArguments),
    Info(info::InfoArguments),
    Jobs(jobs::JobsArguments),
    Top(top::TopArguments),
    Bench(Box<bench::BenchArguments>),
    Schema(schema::SchemaArguments),
    /// Print a completion script for a shell
    ///
    /// For example: `sakuga completions bash > ~/.local/share/bash-completion/completions/sakuga`
    #[command(after_long_help = exit::MANUAL)]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with code 0. Nobody is left to tell if the terminal is gone.
            let _ = error.print();
            return if error.exit_code() == 0 { Exit::Ok.into() } else { Exit::Unreadable.into() };
        }
    };
    let terminal = Terminal::new(arguments.color);
    match arguments.command.run(&terminal) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(&terminal);
            failure.exit().into()
        }
    }
}

impl Command {
    fn run(self, terminal: &Terminal) -> Result<Exit, Failure> {
        match self {
            Self::Validate(arguments) => validate::run(&arguments, terminal),
            Self::Fmt(arguments) => fmt::run(&arguments, terminal),
            Self::Generate(arguments) => generate::run(&arguments, terminal),
            Self::Show(arguments) => show::run(&arguments, terminal),
            Self::Info(arguments) => info::run(&arguments, terminal),
            Self::Jobs(arguments) => jobs::run(&arguments, terminal),
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
