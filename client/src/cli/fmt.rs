//! `sakuga fmt`: the canonical form of a prompt.

use std::path::PathBuf;

use clap::Args;
use sakuga_client::proto::text::{lines, one_line};
use sakuga_schema::Severity;

use super::check::{CheckArguments, Checker, Kind, Outcome};
use super::exit::{self, Exit};
use super::failure::Failure;
use super::input;
use super::output::{self, say};
use super::render::{self, Finding};
use super::terminal::{Stream, Terminal};

/// Write a prompt in its canonical form
///
/// Prints bare XML blocks: characters in order, then general_tags, then caption; every field on its line, tags
/// separated by a comma and a space, `<` and `&` escaped. What `validate` only warns about is repaired on the way
/// (aliases, envelopes, misplaced fields), and each repair is reported on stderr. The form has no system prompt: one in the
/// file is reported as well, and left out.
#[derive(Debug, Args)]
#[command(after_long_help = exit::MANUAL)]
pub(crate) struct FmtArguments {
    /// The prompt; `-` for stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Write nothing; exit with 1 if the file is not in canonical form
    #[arg(long, conflicts_with = "write")]
    check: bool,

    /// Write the result back to the file instead of to stdout
    #[arg(long)]
    write: bool,

    /// Also apply the fixes of errors and warnings that need no decision
    #[arg(long)]
    fix: bool,

    /// The file holds a negative prompt
    #[arg(long)]
    negative: bool,

    #[command(flatten)]
    reading: CheckArguments,
}

/// Runs the command.
pub(crate) fn run(arguments: &FmtArguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let checker = Checker::new(&arguments.reading)?;
    let kind = if arguments.negative { Kind::Negative } else { Kind::Prompt };
    let input = input::read_prompt(&arguments.file, "fmt")?;
    if arguments.write && input.path.is_none() {
        return Err(Failure::new(Exit::Unreadable, "stdin cannot be written back")
            .with_help("leave out --write; the result goes to stdout"));
    }
    let fixed = if arguments.fix { apply_fixes(&checker, kind, &input.bytes) } else { input.bytes.clone() };
    let mut outcome = checker.check_bytes(kind, &fixed);
    if arguments.fix && outcome.is_valid {
        outcome.canonical = sakuga_schema::settle(outcome.canonical, |text| {
            let outcome = checker.check_bytes(kind, text.as_bytes());
            (outcome.diagnostics, outcome.is_valid.then_some(outcome.canonical))
        });
    }
    report(&input.name, &fixed, kind, &outcome, terminal);
    let name = one_line(&input.name);
    if !outcome.is_valid {
        let proposal = if arguments.fix { "" } else { "; --fix applies the fixes that need no decision" };
        say(format_args!("{name}: not valid, nothing was written{proposal}"));
        return Ok(Exit::Invalid);
    }
    if outcome.negative.is_some() && arguments.write {
        return Err(Failure::new(
            Exit::Invalid,
            format!("{name}: the file holds a negative prompt as well, which the canonical form has no place for"),
        )
        .with_help("move the negative prompt to its own file, and give it to `sakuga generate` with --negative"));
    }
    let is_canonical = input.bytes == outcome.canonical.as_bytes();
    if arguments.check {
        let verdict = if is_canonical { "in canonical form" } else { "not in canonical form" };
        say(format_args!("{name}: {verdict}"));
        return Ok(if is_canonical { Exit::Ok } else { Exit::Invalid });
    }
    match &input.path {
        Some(_) if arguments.write && is_canonical => {}
        Some(path) if arguments.write => output::write_file(path, outcome.canonical.as_bytes())?,
        _ => output::print_document(&outcome.canonical)?,
    }
    Ok(Exit::Ok)
}

/// The text with every applicable fix of an error or warning applied, each reported on stderr.
fn apply_fixes(checker: &Checker, kind: Kind, original: &[u8]) -> Vec<u8> {
    let Ok(original) = std::str::from_utf8(original) else { return original.to_vec() };
    let find = |text: &str| checker.check_bytes(kind, text.as_bytes()).diagnostics;
    sakuga_schema::apply_fixes(original, find, |diagnostic| {
        say(format_args!("fixed {}", one_line(&diagnostic.to_line())));
    })
    .into_bytes()
}

/// Reports the findings, and the texts that the canonical form has no place for.
fn report(name: &str, bytes: &[u8], kind: Kind, outcome: &Outcome, terminal: &Terminal) {
    let findings: Vec<Finding> =
        outcome.findings().into_iter().filter(|finding| finding.severity() > Severity::Advice).collect();
    let shown = render::findings(name, bytes, &findings, terminal, Stream::Stderr);
    if !shown.is_empty() {
        say(shown.trim_end());
    }
    if let Some(negative) = &outcome.negative {
        say(format_args!(
            "note: the negative prompt is not a part of the canonical form; write it to its own file and give it to \
             `sakuga generate` with --negative:\n{}",
            lines(negative.trim_end())
        ));
    }
    let (own, of_inner) = match kind {
        Kind::Prompt => (&outcome.system_prompt, &outcome.negative_system_prompt),
        Kind::Negative => (&None, &outcome.system_prompt),
    };
    for (text, option) in [(own, "--system-prompt"), (of_inner, "--negative-system-prompt")] {
        if let Some(text) = text {
            say(format_args!(
                "note: the canonical form has no system prompt; pass it to `sakuga generate` with {option} '{} '",
                one_line(text)
            ));
        }
    }
}
