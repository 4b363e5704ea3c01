//! `sakuga validate`: every finding in a prompt, without a server.

use std::path::PathBuf;

use clap::Args;
use sakuga_client::proto::text::one_line;
use serde_json::{Value, json};

use super::check::{self, CheckArguments, Checker, Kind, Outcome};
use super::exit::{self, Exit};
use super::failure::Failure;
use super::generate::{PassTexts, SceneFile};
use super::input::{self, Input};
use super::output;
use super::render;
use super::request_file;
use super::scene_text;
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

For FILE.toml, a scene as `sakuga generate` draws it, the object is {\"valid\": bool, \"texts\": [TEXT...]}: each prompt and \
negative prompt of its two tables is such an object as above, with its \"name\".

A prompt without any text is not valid; `<prompt></prompt>` draws a picture without a prompt.

An input that cannot be read at all gives one diagnostic with the code `unreadable-input`, and exit code 2.";

/// Check a prompt without a server
///
/// Prints every finding with its line of the text, and a fix where there is one. Reads the usual forms of prompts: bare XML
/// blocks, `<prompt>`, `<img>`, `<image>`, `<document>`, braces, JSON, a caption after the XML, plain tags, with or without
/// a system prompt before it.
#[derive(Debug, Args)]
#[command(after_long_help = format!("{AFTER_HELP}\n\n{}", exit::MANUAL))]
pub(crate) struct ValidateArguments {
    /// The prompt; `-` for stdin, and FILE.toml for a scene of two models
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
    let ended = match scene_text::is_named(&arguments.file) {
        true => check_scene(arguments, terminal),
        false => check_prompt(arguments, terminal),
    };
    match ended {
        Err(failure) if arguments.json && failure.exit() != Exit::Unwritable => {
            output::print_json(&unreadable(&failure))?;
            Ok(failure.exit())
        }
        ended => ended,
    }
}

fn check_prompt(arguments: &ValidateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut checker = Checker::new(&arguments.check)?;
    if let Some(folder) = &arguments.model {
        checker = checker.for_model(folder)?;
    }
    let input = input::read_prompt(&arguments.file, "validate")?;
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

/// Checks the prompts of both tables, as `generate` does.
fn check_scene(arguments: &ValidateArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    for (option, is_given) in [("--negative", arguments.negative), ("--model", arguments.model.is_some())] {
        if is_given {
            let text =
                format!("{option} is for a file with one prompt, and {} is a scene", output::shown(&arguments.file));
            return Err(Failure::new(Exit::Unreadable, text).with_help(format!("leave {option} out")));
        }
    }
    let checker = Checker::new(&arguments.check)?;
    let scene = SceneFile::read(&arguments.file)?;
    let mut checked = Vec::new();
    for PassTexts { prompt, negative } in [&scene.first_texts, &scene.scene_texts] {
        let outcome = checker.check(Kind::Prompt, prompt);
        check::one_negative((prompt, &outcome), negative.as_ref())?;
        checked.push((prompt, outcome));
        checked.extend(negative.as_ref().map(|input| (input, checker.check(Kind::Negative, input))));
    }
    let is_valid = checked.iter().all(|(_, outcome)| outcome.is_valid);
    if arguments.json {
        let texts: Vec<Value> = checked
            .iter()
            .map(|(input, outcome)| {
                let mut text = to_json(outcome);
                text["name"] = json!(input.name);
                text
            })
            .collect();
        output::print_json(&json!({ "valid": is_valid, "texts": texts }))?;
    } else {
        let reports = checked.iter().map(|(input, outcome)| report(input, outcome, terminal));
        output::print(reports.collect::<String>())?;
    }
    Ok(if is_valid { Exit::Ok } else { Exit::Invalid })
}

fn to_json(outcome: &Outcome) -> Value {
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

fn unreadable(failure: &Failure) -> Value {
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
