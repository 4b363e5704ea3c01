//! Literate cases: prose, a prompt and its expected findings, next to each other in `tests/cases/*.md`.
//!
//! A case is a heading, a fence with the prompt, and fences with what is expected (a longer fence may hold shorter ones):
//!
//! - ```` ```prompt ````, ```` ```prompt strict ````, ```` ```negative ````: the text, without its last line break;
//! - ```` ```diagnostics ````: one line a finding, `line:column severity code path`, and `nothing` for none;
//! - ```` ```canonical ````: the canonical XML (optional);
//! - ```` ```fixed ````: the text after all fixes with edits that do not overlap (optional);
//! - ```` ```system ````: the system prompt (optional);
//! - ```` ```envelope ````: the envelope (optional);
//! - ```` ```split ````: the text of the negative prompt that stood inside the prompt (optional).
//!
//! `SAKUGA_UPDATE_CASES=1 cargo test -p sakuga-schema --test diagnostics_cases` writes the present outcomes.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use sakuga_schema::{CheckOptions, Diagnostic, Edit, Fix, Strictness, check, check_negative};

#[test]
fn every_case_is_as_it_is_written() {
    let is_update = std::env::var_os("SAKUGA_UPDATE_CASES").is_some();
    let mut failures = String::new();
    let mut count = 0;
    for path in case_files() {
        let written = fs::read_to_string(&path).expect("it can be read");
        let actual = with_actual_outcomes(&written, &mut count);
        if actual == written {
            continue;
        }
        if is_update {
            fs::write(&path, &actual).expect("it can be written");
        } else {
            let _ = writeln!(failures, "{}:\n{}", path.display(), first_difference(&written, &actual));
        }
    }
    assert!(failures.is_empty(), "{failures}\nSAKUGA_UPDATE_CASES=1 writes what is said now");
    assert!(count >= 40, "only {count} cases were found");
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files
}

/// The file with every expectation replaced by what is the case.
fn with_actual_outcomes(written: &str, count: &mut usize) -> String {
    let mut actual = String::with_capacity(written.len());
    let mut outcome = None;
    let mut lines = written.lines();
    while let Some(line) = lines.next() {
        actual.push_str(line);
        actual.push('\n');
        let info = line.trim_start_matches('`');
        let fence = &line[..line.len() - info.len()];
        if fence.len() < 3 || info.is_empty() {
            continue;
        }
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != fence).collect();
        let body = body.join("\n");
        match info {
            "prompt" | "prompt strict" | "negative" | "negative strict" => {
                *count += 1;
                outcome = Some(Outcome::of(info, &body));
                push_line(&mut actual, &body);
            }
            "diagnostics" | "canonical" | "fixed" | "system" | "envelope" | "split" => {
                let outcome: &Outcome = outcome.as_ref().expect("a prompt comes first");
                push_line(&mut actual, outcome.expectation(info));
            }
            _ => push_line(&mut actual, &body),
        }
        actual.push_str(fence);
        actual.push('\n');
    }
    actual
}

fn push_line(text: &mut String, body: &str) {
    text.push_str(body);
    if !body.is_empty() {
        text.push('\n');
    }
}

struct Outcome {
    diagnostics: String,
    canonical: String,
    fixed: String,
    system: String,
    envelope: String,
    split: String,
}

impl Outcome {
    fn of(info: &str, text: &str) -> Outcome {
        let strictness = if info.ends_with("strict") { Strictness::Strict } else { Strictness::Lenient };
        let options = CheckOptions { strictness, ..CheckOptions::default() };
        let (diagnostics, canonical, system, envelope, split) = if info.starts_with("negative") {
            let checked = check_negative(text, &options);
            let canonical = checked.negative.map(|negative| negative.to_xml());
            (checked.diagnostics, canonical, checked.system_prompt, String::new(), None)
        } else {
            let checked = check(text, &options);
            let canonical = checked.prompt.map(|prompt| prompt.to_xml());
            let split = checked.negative.map(|negative| negative.to_model_text());
            (checked.diagnostics, canonical, checked.system_prompt, format!("{:?}", checked.envelope), split)
        };
        Outcome {
            fixed: apply_all(text, &diagnostics),
            diagnostics: render(&diagnostics),
            canonical: canonical.unwrap_or_else(|| "none".to_owned()).trim_end().to_owned(),
            system: system.unwrap_or_else(|| "none".to_owned()),
            envelope,
            split: split.unwrap_or_else(|| "none".to_owned()),
        }
    }

    fn expectation(&self, info: &str) -> &str {
        match info {
            "diagnostics" => &self.diagnostics,
            "canonical" => &self.canonical,
            "fixed" => &self.fixed,
            "system" => &self.system,
            "split" => &self.split,
            _ => &self.envelope,
        }
    }
}

fn render(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return "nothing".to_owned();
    }
    let lines = diagnostics.iter().map(|diagnostic| {
        let Diagnostic { start, severity, code, path, message, .. } = diagnostic;
        let place = if path.is_empty() { String::new() } else { format!(" {path}") };
        format!("{}:{} {severity} {code}{place}: {message}", start.line, start.column)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn apply_all(text: &str, diagnostics: &[Diagnostic]) -> String {
    let fixes = diagnostics.iter().filter_map(|diagnostic| diagnostic.fix.as_ref());
    let mut edits: Vec<Edit> = fixes.flat_map(|fix| fix.edits.clone()).collect();
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    edits.dedup();
    Fix { description: String::new(), edits }.apply(text)
}

fn first_difference(written: &str, actual: &str) -> String {
    let number = written.lines().zip(actual.lines()).take_while(|(left, right)| left == right).count();
    let around = |text: &str| {
        let start = number.saturating_sub(2);
        text.lines().skip(start).take(14).map(|line| format!("    {line}\n")).collect::<String>()
    };
    format!("  from line {}; written:\n{}  said:\n{}", number + 1, around(written), around(actual))
}
