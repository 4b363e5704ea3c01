//! `sakuga import`: the settings of another program's picture as a request.

use std::path::PathBuf;

use clap::Args;
use sakuga_client::import::{self, Imported, LeftOut};
use sakuga_client::proto::json;
use sakuga_client::proto::text::one_line;

use super::exit::{self, Exit};
use super::failure::Failure;
use super::input;
use super::output::{self, say};
use super::terminal::Terminal;
use super::units;

/// Read the settings in another program's picture as a request
///
/// Understands AUTOMATIC1111 (and Forge, SD.Next), ComfyUI (both forms of its graphs), NovelAI and InvokeAI: their PNG files,
/// and their settings as text or JSON. Prints the request as protobuf JSON of sakuga.generation.v1.GenerateRequest, with tags
/// sorted into the elements of the grammar, and lists on stderr what a request has no place for. Another model draws it from
/// other noise: the picture will be a different one.
///
/// For example: `sakuga import old.png --out request.json && sakuga generate --from request.json --out new.png`
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct ImportArguments {
    /// A PNG file, or a file with the settings as text or JSON; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write the request to this file instead of stdout
    #[arg(long, value_name = "REQUEST.json")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(arguments: &ImportArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let (name, file) = input::open_to_read(&arguments.file)?;
    let imported = import::import_from(file).map_err(|error| Failure::unreadable(&arguments.file, error))?;
    let unreadable = |error: &dyn std::fmt::Display| Failure::unreadable(&arguments.file, error);
    let request = json::dynamic(&imported.request).map_err(|error| unreadable(&error))?;
    let request = serde_json::to_value(request).map_err(|error| unreadable(&error))?;
    match &arguments.out {
        Some(path) => {
            let text = serde_json::to_string_pretty(&request).map_err(|error| unreadable(&error))?;
            output::write_file(path, (text + "\n").as_bytes())?;
        }
        None => output::print_json(&request)?,
    }
    say(summary(&one_line(&name), &imported, terminal));
    Ok(Exit::Ok)
}

fn summary(name: &str, imported: &Imported, terminal: &Terminal) -> String {
    let program = imported.program.name();
    if imported.left_out.is_empty() {
        return format!("{name}: settings of {program}, all of them carried over");
    }
    let count = units::count(imported.left_out.len(), "setting");
    let mut lines = vec![format!("{name}: settings of {program}; {count} changed or not carried over:")];
    let bold = terminal.style().bold();
    let line = |LeftOut { name, value, reason }: &LeftOut| {
        format!("  {} {}: {reason}", bold.apply_to(one_line(name)), one_line(value))
    };
    lines.extend(imported.left_out.iter().map(line));
    lines.join("\n")
}
