//! The commands in the documents exist.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use sakuga_tidy::repository;
use serde_json::Value;

use crate::assert_none;
use crate::metadata::metadata;
use crate::tree;

/// Subcommands of cargo itself that documents may name.
const CARGO: &[&str] = &["add", "bench", "build", "check", "clippy", "doc", "fmt", "fuzz", "install", "run", "test"];

/// What can be typed here.
struct Known {
    /// Names of packages, programs, tests, examples, benchmarks and features.
    names: BTreeSet<String>,
    /// Subcommands of `cargo xtask`.
    xtask: BTreeSet<String>,
    /// Subcommands of `sakuga`.
    sakuga: BTreeSet<String>,
    /// Whether a path exists in the repository.
    path_exists: fn(&str) -> bool,
}

/// The commands in the fenced blocks of a Markdown text, one string each; a line that ends in `\` continues on the next.
fn commands(markdown: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut within = false;
    let mut open = String::new();
    for line in markdown.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            within = !within && matches!(language.trim(), "sh" | "bash" | "shell" | "console");
            continue;
        }
        let line = line.trim();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if !within || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part, true));
        open.push_str(part);
        if !goes_on {
            found.push(std::mem::take(&mut open));
        }
    }
    found
}

/// What a command names and is not there.
fn missing(command: &str, known: &Known) -> Vec<String> {
    let command = command.split(" #").next().unwrap_or(command);
    let mut words = command.split_whitespace().skip_while(|word| {
        word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
    });
    let Some(program) = words.next() else { return Vec::new() };
    // `cargo +nightly` is cargo of another toolchain.
    let arguments: Vec<&str> = words.skip_while(|word| word.starts_with('+')).collect();
    let mut findings = Vec::new();
    let mut need = |known: bool, what: &str, name: &str| {
        if !known {
            findings.push(format!("`{command}`: there is no {what} `{name}`"));
        }
    };
    let first = arguments.iter().copied().find(|argument| !argument.starts_with('-'));
    match (program, first) {
        ("cargo", Some("xtask")) => {
            if let Some(&task) = arguments.get(1) {
                need(known.xtask.contains(task), "task", task);
            }
        }
        ("cargo", Some(subcommand)) => need(CARGO.contains(&subcommand), "subcommand of cargo", subcommand),
        ("sakuga", Some(subcommand)) => need(known.sakuga.contains(subcommand), "subcommand of sakuga", subcommand),
        _ => {}
    }
    if program == "cargo" {
        for pair in arguments.windows(2) {
            let names_one =
                ["-p", "--package", "--bin", "--test", "--example", "--bench", "--features"].contains(&pair[0]);
            if names_one {
                for name in pair[1].split(',') {
                    need(known.names.contains(name.rsplit('/').next().unwrap_or(name)), "target or feature", name);
                }
            }
        }
    }
    for argument in &arguments {
        let ours = ["proto/", "schema/", "server/", "client/", "model/", "tests/"];
        if ours.iter().any(|folder| argument.starts_with(folder)) {
            need((known.path_exists)(argument), "file", argument);
        }
    }
    findings
}

/// The variants of the enumeration `Command` as they are typed.
fn subcommands(source: &str) -> BTreeSet<String> {
    let stream: TokenStream = source.parse().expect("the source is Rust");
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut found = BTreeSet::new();
    for window in tokens.windows(3) {
        if let [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body)] = window
            && keyword == "enum"
            && name == "Command"
        {
            let body: Vec<TokenTree> = body.stream().into_iter().collect();
            for (index, token) in body.iter().enumerate() {
                // A variant stands first, after a comma, or after its attributes.
                let starts = index == 0
                    || matches!(&body[index - 1], TokenTree::Punct(comma) if comma.as_char() == ',')
                    || matches!(&body[index - 1], TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Bracket);
                if let TokenTree::Ident(variant) = token
                    && starts
                {
                    found.insert(kebab(&variant.to_string()));
                }
            }
        }
    }
    found
}

/// `TwoWords` as `two-words`.
fn kebab(pascal: &str) -> String {
    let mut text = String::new();
    for (index, character) in pascal.chars().enumerate() {
        if character.is_ascii_uppercase() && index > 0 {
            text.push('-');
        }
        text.push(character.to_ascii_lowercase());
    }
    text
}

/// Every name in the workspace that a cargo command can be given.
fn names(metadata: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        names.insert(package["name"].as_str().expect("a name").to_owned());
        names.extend(package["features"].as_object().expect("features").keys().cloned());
        for target in package["targets"].as_array().expect("targets") {
            names.insert(target["name"].as_str().expect("a name").to_owned());
        }
    }
    names
}

/// The subcommands of every `enum Command` in the files under a folder.
fn subcommands_under(folder: &str) -> BTreeSet<String> {
    let mut open = vec![repository().join(folder)];
    let mut found = BTreeSet::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("a source folder can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(subcommands(&std::fs::read_to_string(&path).expect("a source can be read")));
            }
        }
    }
    found
}

#[test]
fn the_commands_of_the_documents_exist() {
    let Some(files) = tree::files() else { return };
    let known = Known {
        names: names(&metadata()),
        xtask: subcommands_under("tests/xtask/src"),
        sakuga: subcommands_under("client/src"),
        path_exists: |path| repository().join(path).exists(),
    };
    assert!(known.xtask.contains("demo") && known.xtask.contains("test"), "{:?}", known.xtask);
    assert!(known.sakuga.contains("validate") && known.sakuga.contains("generate"), "{:?}", known.sakuga);
    let readme = commands(&sakuga_tidy::read("README.md"));
    for promised in ["cargo xtask demo", "cargo xtask test"] {
        assert!(readme.iter().any(|command| command.starts_with(promised)), "the README does not name {promised}");
    }
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let commands = commands(file.text().expect("a document is text"));
        let missing = commands.iter().flat_map(|command| missing(command, &known));
        findings.extend(missing.map(|finding| format!("{}: {finding}", file.path)));
    }
    assert_none(&findings);
}

#[test]
fn commands_are_read_from_fenced_blocks_alone() {
    let markdown = "cargo nothing\n```sh\n# why\ncargo xtask demo \\\n  --out x\n\n```\n```toml\ncargo = 1\n```\n```console\n$ sakuga fmt\n```";
    assert_eq!(commands(markdown), ["cargo xtask demo --out x", "sakuga fmt"]);
}

#[test]
fn what_is_not_there_is_found() {
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let known = Known {
        names: set(&["sakuga-model", "parity", "cuda"]),
        xtask: set(&["demo"]),
        sakuga: set(&["validate"]),
        path_exists: |path| path == "schema/a.xml",
    };
    let bad = [
        ("cargo xtask dance", "task `dance`"),
        ("cargo frobnicate", "subcommand of cargo `frobnicate`"),
        ("cargo test -p sakuga-modal", "target or feature `sakuga-modal`"),
        ("A_B=1 cargo test -p sakuga-model --test purity", "target or feature `purity`"),
        ("cargo build --features sakuga-server/rocm", "target or feature `sakuga-server/rocm`"),
        ("sakuga --color never", "subcommand of sakuga `never`"),
        ("sakuga validate schema/b.xml", "file `schema/b.xml`"),
    ];
    for (command, what) in bad {
        let findings = missing(command, &known);
        assert_eq!(findings.len(), 1, "{command}: {findings:?}");
        assert!(findings[0].ends_with(&format!("there is no {what}")), "{findings:?}");
    }
    let good =
        ["cargo xtask demo --out x", "X=1 cargo test -p sakuga-model --test parity --features sakuga-server/cuda"];
    for command in good.into_iter().chain(["sakuga validate schema/a.xml # why", "git clone x", "A=1"]) {
        assert_eq!(missing(command, &known), [""; 0], "{command}");
    }
}

#[test]
fn subcommands_are_the_variants() {
    let source = "enum Other { No } /// C\nenum Command { /// a\n Demo(demo::Options), #[command(name = \"x\")] TwoWords { a: u8 }, Last }";
    assert_eq!(subcommands(source).into_iter().collect::<Vec<_>>(), ["demo", "last", "two-words"]);
}
