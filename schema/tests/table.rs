//! Short texts as people and programs write them, with their findings and their readings, in `tests/table.txt`.
//!
//! Each case is a text and what is expected of it, one line each:
//!
//! - `: text` a prompt, or `: text` behind `~` for a negative prompt; `\n`, `\r`, `\t`, `\\`, `\xFF` and `\u{200B}` are
//!   escapes;
//! - `1:1 warning separator; …` the findings, or `nothing`;
//! - `> XML` the canonical form, or `invalid`;
//! - `- text` the negative prompt inside it, `$ text` a system prompt and `% text` that of the negative prompt, if any;
//! - `= XML` what `sakuga fmt --fix` writes, if that is another text.
//!
//! `SAKUGA_UPDATE_CASES=1 cargo test -p sakuga-schema --test table` writes the present outcomes.

mod support;

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use sakuga_schema::{
    CheckOptions, Diagnostic, NegativePrompt, Prompt, apply_fixes, check_bytes, check_negative, settle,
};
use support::unescaped;

/// The longest time that a check of such a text takes, many times what it takes on an idle machine.
const TIME_MAX: Duration = Duration::from_millis(50);

#[test]
fn every_text_is_read_as_it_is_written_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table.txt");
    let written = std::fs::read_to_string(&path).expect("it can be read");
    let texts: Vec<&str> = written.lines().filter(|line| line.starts_with([':', '~'])).collect();
    let actual: Vec<String> = texts.iter().map(|line| outcome(line)).collect();
    let actual = actual.join("\n");
    if std::env::var_os("SAKUGA_UPDATE_CASES").is_some() {
        std::fs::write(&path, &actual).expect("it can be written");
        return;
    }
    let expected: Vec<&str> = written.split("\n\n").map(str::trim_end).collect();
    let actual: Vec<&str> = actual.split("\n\n").map(str::trim_end).collect();
    for (expected, actual) in expected.iter().zip(&actual) {
        assert_eq!(expected, actual, "SAKUGA_UPDATE_CASES=1 writes what is said now");
    }
    assert_eq!(expected.len(), actual.len());
    assert!(texts.len() >= 150, "{} texts", texts.len());
}

#[test]
fn each_check_is_quick_and_fixing_twice_is_fixing_once() {
    let written = include_str!("table.txt");
    for line in written.lines().filter(|line| line.starts_with([':', '~'])) {
        let text = unescaped(&line[2..]);
        let is_negative = line.starts_with('~');
        let fastest = (0..3).map(|_| {
            let clock = Instant::now();
            read(&text, is_negative);
            clock.elapsed()
        });
        let fastest = fastest.min().unwrap_or_default();
        assert!(fastest < TIME_MAX, "{fastest:?}: {line}");
        if let Some(once) = formatted(&text, is_negative) {
            assert_eq!(formatted(once.as_bytes(), is_negative).as_ref(), Some(&once), "{line}");
        }
    }
}

/// The result of a check.
struct Read {
    diagnostics: Vec<Diagnostic>,
    /// The canonical form, if the text is valid.
    canonical: Option<String>,
    negative: Option<String>,
    system_prompt: Option<String>,
    negative_system_prompt: Option<String>,
}

fn read(bytes: &[u8], is_negative: bool) -> Read {
    let options = CheckOptions::default();
    if let (true, Ok(text)) = (is_negative, std::str::from_utf8(bytes)) {
        let checked = check_negative(text, &options);
        let canonical = checked.is_valid().then(|| checked.negative.as_ref().map(NegativePrompt::to_xml)).flatten();
        let (negative, negative_system_prompt) = (None, None);
        return Read {
            diagnostics: checked.diagnostics,
            canonical,
            negative,
            system_prompt: checked.system_prompt,
            negative_system_prompt,
        };
    }
    let checked = check_bytes(bytes, &options);
    Read {
        canonical: checked.is_valid().then(|| checked.prompt.as_ref().map(Prompt::to_xml)).flatten(),
        diagnostics: checked.diagnostics,
        negative: checked.negative.map(|negative| negative.to_model_text()),
        system_prompt: checked.system_prompt,
        negative_system_prompt: checked.negative_system_prompt,
    }
}

/// What `sakuga fmt --fix` writes; `None` if the text is not valid then.
fn formatted(bytes: &[u8], is_negative: bool) -> Option<String> {
    let find = |text: &str| {
        let read = read(text.as_bytes(), is_negative);
        (read.diagnostics, read.canonical)
    };
    let text = std::str::from_utf8(bytes).ok()?;
    let fixed = apply_fixes(text, |text| find(text).0, |_| {});
    find(&fixed).1.map(|canonical| settle(canonical, find))
}

/// The lines of a case.
fn outcome(line: &str) -> String {
    let (kind, text) = line.split_at(2);
    let (bytes, is_negative) = (unescaped(text), kind.starts_with('~'));
    let read = read(&bytes, is_negative);
    let findings: Vec<String> = read
        .diagnostics
        .iter()
        .map(|found| {
            let path = if found.path.is_empty() { String::new() } else { format!(" {}", found.path) };
            format!("{}:{} {} {}{path}", found.start.line, found.start.column, found.severity, found.code)
        })
        .collect();
    let findings = if findings.is_empty() { "nothing".to_owned() } else { findings.join("; ") };
    let mut lines = format!("{line}\n{findings}\n");
    let mut add = |mark: char, text: &str| {
        let text = escaped(text.trim_end());
        let _ = writeln!(lines, "{mark} {text}");
    };
    add('>', read.canonical.as_deref().unwrap_or("invalid"));
    let others = [('-', &read.negative), ('$', &read.system_prompt), ('%', &read.negative_system_prompt)];
    for (mark, text) in others {
        if let Some(text) = text {
            add(mark, text);
        }
    }
    let formatted = formatted(&bytes, is_negative);
    if formatted.is_some() && formatted != read.canonical {
        add('=', formatted.as_deref().unwrap_or_default());
    }
    lines
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\\' => escaped.push_str("\\\\"),
            _ if character.is_control() => {
                let _ = write!(escaped, "\\u{{{:X}}}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped
}
