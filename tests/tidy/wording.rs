//! Words and phrases that no text here uses: each has a plainer one, which the list gives.
//!
//! All of a file is read: comments, names, messages and documents. A phrase counts also where a line break parts it.

use std::collections::BTreeMap;

use crate::assert_none;
use crate::tree;

/// What is refused, and what to write instead.
const REFUSED: &[(&str, &str)] = &[
    ("an own", "its own"),
    ("anew", "again"),
    ("as may be", "at the limit of"),
    ("are none", "there are no …, or: not"),
    ("at hand", "available"),
    ("beside", "next to, or: and"),
    ("give up", "cancel, or: stop"),
    ("given up", "cancelled, or: dropped"),
    ("given_up", "cancelled"),
    ("gives up", "cancels, or: stops"),
    ("goes on", "continues"),
    ("heed", "observe, or: respect"),
    ("heeded", "observed, or: respected"),
    ("heeds", "observes, or: respects"),
    ("is none", "there is no …, or: is not"),
    ("keep_house", "retention_loop"),
    ("keeper", "hooks, or: store"),
    ("lawful", "valid"),
    ("let in", "admitted"),
    ("lets in", "admits"),
    ("lonely", "unwatched"),
    ("made again", "recreated, or: rebuilt"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("scribe", "encoder"),
    ("shelf", "store"),
    ("small letters", "lowercase letters"),
    ("tell of", "describe"),
    ("tells of", "describes"),
    ("told", "notified, instructed, distinguished, or: given"),
    ("treatment", "options"),
    ("unlawful", "invalid"),
    ("very bits", "bit-identical"),
    ("was let go", "was released"),
    ("whichever", "the one that"),
    ("whoever", "callers that, or: anyone who"),
];

/// How many may still stand in the files of a top folder. Each number may only shrink, and is to end at 0; a folder that
/// is not listed has 0.
const REMAINING: &[(&str, usize)] = &[];

/// Lines that keep a refused word: a hidden alias, so that command lines of earlier releases are valid.
const KEPT: &[(&str, &str)] = &[("client/src/cli/bench/mod.rs", "alias = \"beside\"")];

/// Endings of the names of files that people write.
const TEXTS: &[&str] = &[
    ".cu", ".cuh", ".go", ".java", ".md", ".mjs", ".proto", ".py", ".rs", ".service", ".toml", ".ts", ".tsx", ".xsd",
    ".yaml", ".yml",
];

/// What is generated, quoted, or names the words to refuse them.
const LEFT_OUT: &[&str] = &[
    "client/go/asset/",
    "client/go/generation/",
    "client/go/model/",
    "client/go/prompt/",
    "client/go/system/",
    "client/python/src/sakuga/asset/",
    "client/python/src/sakuga/generation/",
    "client/python/src/sakuga/model/",
    "client/python/src/sakuga/prompt/",
    "client/python/src/sakuga/system/",
    "client/typescript/src/gen/",
    "proto/src/gen/",
    "proto/google/",
    "tests/tidy/wording.rs",
];

/// A place that uses a refused word, for a person to read.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    line: usize,
    refused: &'static str,
    instead: &'static str,
}

/// Every use of a refused word or phrase. `there is none` is plain English.
fn uses(text: &str) -> Vec<Use> {
    let words = words(text);
    let mut found = Vec::new();
    for &(refused, instead) in REFUSED {
        let phrase: Vec<&str> = refused.split(' ').collect();
        for (at, window) in words.windows(phrase.len()).enumerate() {
            let same = window.iter().zip(&phrase).all(|(word, refused)| word.text == *refused);
            let preceded_by_there = at.checked_sub(1).is_some_and(|before| words[before].text == "there");
            if same && window[1..].iter().all(|word| word.joined) && !(preceded_by_there && phrase.ends_with(&["none"]))
            {
                found.push(Use { line: window[0].line, refused, instead });
            }
        }
    }
    found.sort_by_key(|one| one.line);
    found
}

/// A word of a text.
struct Word {
    text: String,
    line: usize,
    /// Whether only spaces, line breaks and marks of comments part it from the word before.
    joined: bool,
}

/// The words of a text in lowercase letters. Letters, digits and `_` make a word; a name is also split at its `_`.
fn words(text: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start().trim_start_matches(['/', '!', '#', '*', '>']);
        let mut joined = true;
        let mut rest = line;
        while let Some(start) = rest.find(|character: char| character.is_alphanumeric() || character == '_') {
            joined &= rest[..start].chars().all(char::is_whitespace);
            let after = &rest[start..];
            let end =
                after.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(after.len());
            let name = after[..end].to_lowercase();
            let parts = name.split('_').filter(|part| !part.is_empty() && *part != name);
            let parts: Vec<Word> =
                parts.map(|part| Word { text: part.to_owned(), line: number + 1, joined: false }).collect();
            words.extend(parts);
            words.push(Word { text: name, line: number + 1, joined });
            joined = true;
            rest = &after[end..];
        }
        if rest.chars().any(|character| !character.is_whitespace())
            && let Some(last) = words.last()
            && last.line == number + 1
        {
            // What ends a line parts it from the next: an empty word stands for it.
            words.push(Word { text: String::new(), line: number + 1, joined: false });
        }
    }
    words
}

/// The folder of a path below the root, or `.`.
fn top(path: &str) -> &str {
    path.split_once('/').map_or(".", |(folder, _)| folder)
}

/// The uses of each folder that has more than it may have.
fn beyond<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>, remaining: &[(&str, usize)]) -> Vec<String> {
    let mut by_folder: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, text) in texts {
        // Python compares with `is None`.
        let is_code = |one: &Use| path.ends_with(".py") && one.refused.ends_with(" none");
        let is_kept = |one: &Use| {
            let line = text.lines().nth(one.line - 1).unwrap_or_default();
            KEPT.iter().any(|(file, part)| path == *file && line.contains(part))
        };
        let found = uses(text).into_iter().filter(|one| !is_code(one) && !is_kept(one));
        let lines = found.map(|one| format!("{path}:{}: `{}`: write {}", one.line, one.refused, one.instead));
        by_folder.entry(top(path)).or_default().extend(lines);
    }
    let mut findings = Vec::new();
    for (folder, lines) in by_folder {
        let allowed = remaining.iter().find(|(listed, _)| *listed == folder).map_or(0, |(_, count)| *count);
        if lines.len() > allowed {
            findings.push(format!("{folder}: {} refused words, {allowed} allowed:", lines.len()));
            findings.extend(lines);
        } else if lines.len() < allowed {
            println!("{folder}: {} refused words, {allowed} allowed: lower the number in REMAINING", lines.len());
        }
    }
    findings
}

#[test]
fn refused_words_only_disappear() {
    let Some(files) = tree::files() else { return };
    let written = files.iter().filter(|file| {
        TEXTS.iter().any(|ending| file.path.ends_with(ending))
            && !LEFT_OUT.iter().any(|left| file.path.starts_with(left))
    });
    let texts = written.filter_map(|file| Some((file.path.as_str(), file.text()?)));
    assert_none(&beyond(texts, REMAINING));
}

#[test]
fn words_phrases_and_names_are_found_with_their_lines() {
    let text =
        "//! Whoever is let\n//! in first.\nfn told_apart() {}\n/// TOLD; there is none,\n/// so it is\n/// none.";
    let found: Vec<(usize, &str)> = uses(text).into_iter().map(|one| (one.line, one.refused)).collect();
    assert_eq!(found, [(1, "let in"), (1, "whoever"), (3, "told"), (4, "told"), (5, "is none")]);
}

#[test]
fn other_words_are_left_alone() {
    let text = "if x.is_none() { is(none) }\n// It is. None follows; outlet in use; retold besides.\n// let\n\n// x\nlet y = \"is\", none;";
    assert_eq!(uses(text), []);
}

#[test]
fn a_hidden_alias_keeps_its_word() {
    let line = "#[arg(long, alias = \"beside\")]";
    assert!(beyond([("client/src/cli/bench/mod.rs", line)].into_iter(), &[]).is_empty());
    assert_eq!(beyond([("client/src/cli/bench/other.rs", line)].into_iter(), &[]).len(), 2);
}

#[test]
fn a_folder_may_have_what_remains_and_no_more() {
    let texts = [("a/b.md", "told"), ("a/c.rs", "// whoever"), ("README.md", "mend")];
    assert!(beyond(texts.into_iter(), &[("a", 2), (".", 1)]).is_empty());
    let findings = beyond(texts.into_iter(), &[("a", 1), (".", 1)]);
    let expected = [
        "a: 2 refused words, 1 allowed:",
        "a/b.md:1: `told`: write notified, instructed, distinguished, or: given",
        "a/c.rs:1: `whoever`: write callers that, or: anyone who",
    ];
    assert_eq!(findings, expected);
    assert_eq!(beyond(texts.into_iter(), &[("a", 2)]).len(), 2);
}
