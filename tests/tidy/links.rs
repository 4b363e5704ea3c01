//! Links between the documents lead somewhere, and the README stays an overview.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree;

/// Compared byte for byte with a report whose pictures lie in a temporary folder.
const GOLDEN: &str = "/golden/";

const README_LINES_MAX: usize = 150;

/// The targets of a text's links, with their lines; links within code are left out.
fn links(markdown: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(markdown) {
        let mut rest = line.as_str();
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, next)) = after.split_once(')') else { break };
            found.push((number, target.to_owned()));
            rest = next;
        }
    }
    found
}

/// The lines outside of fenced blocks, numbered from 1, without what stands between backticks.
fn prose(markdown: &str) -> Vec<(usize, String)> {
    let mut within = false;
    let mut lines = Vec::new();
    for (index, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            within = !within;
        } else if !within {
            lines.push((index + 1, line.split('`').step_by(2).collect()));
        }
    }
    lines
}

/// The anchors of a text's headings, as GitHub makes them.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let mut found = BTreeSet::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let heading = line.trim_start_matches('#');
        if !fenced && heading.len() < line.len() && heading.starts_with(' ') {
            let kept = heading.trim().chars().filter(|one| one.is_alphanumeric() || "-_ ".contains(*one));
            found.insert(kept.map(|one| if one == ' ' { '-' } else { one.to_ascii_lowercase() }).collect());
        }
    }
    found
}

/// The path that a link in a file of the repository leads to; `None` if it leaves the repository.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Links of a document that lead nowhere. `text_of` gives the text of a file, an empty one for a folder or an image.
fn broken(path: &str, markdown: &str, text_of: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, link) in links(markdown) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
        let found = match target {
            "" => Some(markdown.to_owned()),
            target => resolve(path, target).and_then(|file| text_of(&file)),
        };
        match found {
            None => findings.push(format!("{path}:{line}: there is no {target}")),
            Some(text) if !anchor.is_empty() && !anchors(&text).contains(anchor) => {
                findings.push(format!("{path}:{line}: {link} names no heading"));
            }
            Some(_) => {}
        }
    }
    findings
}

/// Endings of the names of source files, which documents name between backticks.
const SOURCES: &[&str] = &[".cu", ".proto", ".py", ".rs", ".ts", ".tsx", ".xsd"];

/// Source files that a document names between backticks and that `exists` does not find. It gets the end of a path.
fn unknown_sources(path: &str, markdown: &str, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    let mut fenced = false;
    for (index, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let named = line.split('`').skip(1).step_by(2).filter(|_| !fenced);
        let is_source = |named: &&str| {
            let is_path = named.chars().all(|one| one.is_ascii_alphanumeric() || "_-./".contains(one));
            is_path && SOURCES.iter().any(|ending| named.len() > ending.len() && named.ends_with(ending))
        };
        for named in named.filter(is_source).filter(|named| !exists(named.trim_start_matches("../"))) {
            findings.push(format!("{path}:{}: there is no {named}", index + 1));
        }
    }
    findings
}

/// Documentation of modules that names files, and the folders in which those are.
const ROUTES: &[(&str, &[&str])] = &[
    ("server/src/lib.rs", &["server/src"]),
    ("model/src/families/mod.rs", &["model", "model/src", "model/src/families", "model/src/families/sdxl"]),
];

/// Files and folders in backticks in the documentation of a module that `exists` finds in none of the folders. A name in
/// capitals stands for any.
fn missing(path: &str, source: &str, folders: &[&str], exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    let documentation = source.lines().enumerate().filter_map(|(index, line)| Some((index, line.strip_prefix("//!")?)));
    for (index, line) in documentation {
        for named in line.split('`').skip(1).step_by(2) {
            let is_path = named.ends_with(".rs") || named.ends_with('/');
            if is_path && !named.contains("NAME") {
                let named = named.trim_end_matches('/');
                if !folders.iter().any(|folder| exists(&format!("{folder}/{named}"))) {
                    findings.push(format!("{path}:{}: there is no {named}", index + 1));
                }
            }
        }
    }
    findings
}

/// Commands that install something in other versions than those that were tested.
fn unlocked(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for part in line.split("cargo install").skip(1) {
            let command = part.split(['&', ';', '|', '#', '`', '"']).next().unwrap_or_default();
            if !command.trim().is_empty() && !command.contains("--locked") {
                findings.push(format!("{path}:{}: cargo install without --locked", index + 1));
            }
        }
    }
    findings
}

#[test]
fn every_link_leads_somewhere() {
    let Some(files) = tree::files() else { return };
    let text_of = |path: &str| {
        if let Some(file) = files.iter().find(|file| file.path == path) {
            return Some(file.text().unwrap_or_default().to_owned());
        }
        files.iter().any(|file| file.path.starts_with(&format!("{path}/"))).then(String::new)
    };
    let documents = files.iter().filter(|file| file.path.ends_with(".md") && !file.path.contains(GOLDEN));
    let findings = documents.flat_map(|file| broken(&file.path, file.text().expect("a document is text"), &text_of));
    assert_none(&findings.collect::<Vec<_>>());
}

#[test]
fn the_source_files_that_documents_name_exist() {
    let Some(files) = tree::files() else { return };
    let exists = |named: &str| {
        files
            .iter()
            .any(|file| file.path.strip_suffix(named).is_some_and(|before| before.is_empty() || before.ends_with('/')))
    };
    // The changelog names files of earlier releases.
    let documents = files.iter().filter(|file| {
        file.path.ends_with(".md") && !file.path.contains(GOLDEN) && file.path != ".github/CHANGELOG.md"
    });
    let findings =
        documents.flat_map(|file| unknown_sources(&file.path, file.text().expect("a document is text"), &exists));
    assert_none(&findings.collect::<Vec<_>>());
}

#[test]
fn a_source_file_that_a_document_invents_is_found() {
    let markdown = "`src/a.rs` [`../b.proto`](x) `*.ts` `.rs` `cargo run a.rs`\n```\n`c.rs`\n```\nuse `gone.py`";
    let exists = |named: &str| matches!(named, "src/a.rs" | "b.proto");
    assert_eq!(unknown_sources("d.md", markdown, &exists), ["d.md:5: there is no gone.py"]);
}

#[test]
fn the_files_on_the_routes_exist() {
    let Some(files) = tree::files() else { return };
    let exists = |path: &str| files.iter().any(|file| file.path == path || file.path.starts_with(&format!("{path}/")));
    let findings = ROUTES.iter().flat_map(|(path, folders)| {
        let source = sakuga_tidy::read(path);
        assert!(source.contains(".rs`"), "{path} names files");
        missing(path, &source, folders, &exists)
    });
    assert_none(&findings.collect::<Vec<_>>());
}

#[test]
fn a_file_that_is_not_on_the_route_is_found() {
    let source = "//! `a.rs` and `b/` and `x::y` and `families/NAME/mod.rs`\n//! `gone.rs`\n/// `other.rs`";
    let exists = |path: &str| matches!(path, "src/a.rs" | "tests/b");
    assert_eq!(missing("m.rs", source, &["src", "tests"], &exists), ["m.rs:2: there is no gone.rs"]);
}

#[test]
fn installations_are_locked() {
    let Some(files) = tree::files() else { return };
    let texts = files.iter().filter(|file| {
        [".md", ".yml", ".toml", ".rs", ".py", "Containerfile"].iter().any(|ending| file.path.ends_with(ending))
            && file.path != "tests/tidy/links.rs"
    });
    let findings = texts.flat_map(|file| unlocked(&file.path, file.text().unwrap_or_default()));
    assert_none(&findings.collect::<Vec<_>>());
}

#[test]
fn the_readme_is_an_overview() {
    let lines = sakuga_tidy::read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines, {README_LINES_MAX} allowed");
}

#[test]
fn broken_links_and_anchors_are_found() {
    let markdown =
        "# Top\n[a](b.md) `[x](gone.md)` [c](../d#two-words) [e](#top)\n```\n[f](gone.md)\n```\n![g](https://x/gone)";
    let text_of = |path: &str| match path {
        "docs/b.md" => Some("text".to_owned()),
        "d" => Some("## Two words!\n".to_owned()),
        _ => None,
    };
    assert!(broken("docs/a.md", markdown, &text_of).is_empty());
    let bad = "[a](gone.md)\n[b](b.md#one)\n[c](../../out.md) [d](#none)";
    let expected = [
        "docs/a.md:1: there is no gone.md",
        "docs/a.md:2: b.md#one names no heading",
        "docs/a.md:3: there is no ../../out.md",
        "docs/a.md:3: #none names no heading",
    ];
    assert_eq!(broken("docs/a.md", bad, &text_of), expected);
}

#[test]
fn an_installation_without_a_lock_is_found() {
    assert!(unlocked("a", "cargo install --locked --path a && cargo install --path b --locked # x").is_empty());
    let findings = unlocked("a", "so\ncargo install --locked x && cargo install y");
    assert_eq!(findings, ["a:2: cargo install without --locked"]);
}
