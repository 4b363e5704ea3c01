//! `sakuga validate`: every finding in a prompt, without a server.

use std::path::PathBuf;

use clap::Args;
use sakuga_client::proto::text::one_line;
use serde_json::json;

use super::check::{CheckArguments, Checker, Kind, Outcome};
use super::exit::{self, Exit};
use super::failure::Failure;
use super::input::{self, Input};
use super::output;
use super::render;
use super::request_file;
use super::terminal::{Stream, Terminal};

const AFTER_HELP: &str = "\
With --json one object is always printed:

  {\"valid\": bool, \"diagnostics\": [DIAGNOSTIC...], \"canonical\": string}

  DIAGNOSTIC = {\"code\", \"severity\": \"error\"|\"warning\"|\"advice\",
                \"message\", \"line\", \"column\", \"end_line\", \"end_column\",
                \"path\", \"fix\": FIX|null}
  FIX        = {\"description\", \"edits\": [{\"start\", \"end\", \"replacement\"}]}

Lines and columns count from 1, columns in characters; `end_column` is just past the end. Edits are byte ranges of the \
input, in order. `canonical` is the canonical XML of what could be read, and empty if nothing could.

Texts that were split off are added where there are any: \"negative\", the canonical XML of a negative prompt inside the \
prompt's text; \"system_prompt\" and \"negative_system_prompt\", those in front of the two. `sakuga generate` uses them.

An input that cannot be read at all gives one diagnostic with the code `unreadable-input`, and exit code 2.";

/// Check a prompt without a server
///
/// Prints every finding with its line of the text, and a fix where there is one. Reads the usual forms of prompts: bare XML
/// blocks, `<prompt>`, `<img>`, `<image>`, `<document>`, braces, JSON, a caption after the XML, plain tags, with or without
/// a system prompt before it.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct ValidateArguments {
    /// The prompt; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,

    /// The file holds a negative prompt
    #[arg(long)]
    negative: bool,

    /// Folder of the model that the prompt is for: with its `vocabulary.json`, tags that it was not trained with are named
    #[arg(long, value_name = "FOLDER", conflicts_with = "negative")]
    model: Option<PathBuf>,

    #[command(flatten)]
    check: CheckArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &ValidateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let prepared = Checker::new(&arguments.check)
        .and_then(|checker| match &arguments.model {
            Some(folder) => checker.for_model(folder),
            None => Ok(checker),
        })
        .and_then(|checker| Ok((checker, input::read_prompt(&arguments.file, "validate")?)));
    let (checker, input) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) if arguments.json => {
            output::print_json(&unreadable(&failure))?;
            return Ok(failure.exit());
        }
        Err(failure) => return Err(failure),
    };
    let kind = if arguments.negative { Kind::Negative } else { Kind::Prompt };
    let outcome = checker.check(kind, &input);
    if arguments.json {
        output::print_json(&to_json(&outcome))?;
    } else {
        output::print(report(&input, &outcome, terminal))?;
        if let Some(hint) = request_file::hint(&input) {
            output::say(format_args!("help: {}: {hint}", one_line(&input.name)));
        }
    }
    Ok(if outcome.is_valid { Exit::Ok } else { Exit::Invalid })
}

fn to_json(outcome: &Outcome) -> serde_json::Value {
    let mut object = json!({
        "valid": outcome.is_valid,
        "diagnostics": outcome.diagnostics,
        "canonical": outcome.canonical,
    });
    let split = [
        ("negative", &outcome.negative),
        ("system_prompt", &outcome.system_prompt),
        ("negative_system_prompt", &outcome.negative_system_prompt),
    ];
    for (name, text) in split {
        if let Some(text) = text {
            object[name] = json!(text);
        }
    }
    object
}

fn report(input: &Input, outcome: &Outcome, terminal: &Terminal) -> String {
    let findings = outcome.findings();
    let shown = render::findings(&input.name, &input.bytes, &findings, terminal, Stream::Stdout);
    let bold = terminal.style().bold();
    let verdict = if outcome.is_valid {
        format!("{}, {}", bold.green().apply_to("valid"), outcome.contents)
    } else {
        bold.red().apply_to("not valid").to_string()
    };
    format!("{shown}{}: {verdict}; {}\n", one_line(&input.name), render::tally(&findings))
}

fn unreadable(failure: &Failure) -> serde_json::Value {
    json!({
        "valid": false,
        "diagnostics": [{
            "code": "unreadable-input",
            "severity": "error",
            "message": failure.message(),
            "line": 1,
            "column": 1,
            "end_line": 1,
            "end_column": 1,
            "path": "",
            "fix": null,
        }],
        "canonical": "",
    })
}
