//! The licences of every crate in a program, as one text.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use spdx::Expression;

use crate::graph::{Graph, Package};

/// Beginnings of the names of files that hold a licence or a notice, in capitals.
const NAMES: &[&str] = &["COPYING", "COPYRIGHT", "LICENCE", "LICENSE", "NOTICE", "UNLICENSE"];

const RULE: &str = "--------------------------------------------------------------------------------";

/// A list of the crates with their licences, then each different licence text once, with the crates that it comes with.
///
/// A crate without a file for its licence gets the standard texts of those that it names.
///
/// # Errors
///
/// A crate's folder cannot be read, or its licence is not in SPDX's list.
pub(crate) fn render(graph: &Graph) -> anyhow::Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut list = String::new();
    let foreign = graph.packages().iter().filter(|package| !package.is_ours());
    for package in foreign {
        let title = format!("{} {}", package.name, package.version);
        // Writing to a string cannot fail.
        let _ = writeln!(list, "{title}: {}", package.licence.as_deref().unwrap_or("its own text, below"));
        if let Some(repository) = &package.repository {
            let _ = writeln!(list, "    {repository}");
        }
        for text in of(package)? {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let mut page = format!("{} contains these crates, under these licences:\n\n{list}", graph.root().name);
    for (text, packages) in texts {
        let _ = write!(page, "\n{RULE}\n{}\n{RULE}\n\n{text}\n", packages.join(", "));
    }
    Ok(page)
}

/// The licence that a crate's manifest states, if it states one. Older manifests write `/` for `OR`.
///
/// # Errors
///
/// It is not an SPDX expression.
pub(crate) fn expression(package: &Package) -> anyhow::Result<Option<Expression>> {
    let Some(stated) = &package.licence else { return Ok(None) };
    let canonical = Expression::canonicalize(stated).ok().flatten();
    let expression = Expression::parse(canonical.as_deref().unwrap_or(stated));
    let problem = || format!("the licence of {} is `{stated}`, which is not an SPDX expression", package.name);
    expression.map(Some).with_context(problem)
}

/// The licence texts of a crate.
fn of(package: &Package) -> anyhow::Result<Vec<String>> {
    let own = files(&package.folder)?;
    if !own.is_empty() {
        return Ok(own);
    }
    let expression = expression(package)?.with_context(|| format!("{} comes without a licence", package.name))?;
    let ids = expression.requirements().filter_map(|requirement| requirement.req.license.id());
    let texts: Vec<String> = ids.map(|id| normalise(id.text())).collect();
    ensure!(!texts.is_empty(), "no text is known for the licence `{expression}` of {}", package.name);
    Ok(texts)
}

/// The licence files of a folder, in the order of their names.
fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.insert(name, normalise(&String::from_utf8_lossy(&content)));
        }
    }
    Ok(found.into_values().collect())
}

/// The text without differences that only spaces and line ends make.
fn normalise(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, licence: &str) -> Package {
        Package {
            name: "a".into(),
            version: "1.0.0".into(),
            licence: (!licence.is_empty()).then(|| licence.to_owned()),
            repository: None,
            folder: folder.to_owned(),
            checksum: Some("ab".into()),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn files_come_before_standard_texts() {
        let folder = tempfile::tempdir().unwrap();
        let texts = of(&package(folder.path(), "MIT/Apache-2.0")).unwrap();
        assert_eq!(texts.len(), 2);
        assert!(texts.iter().any(|text| text.contains("Permission is hereby granted")));
        assert!(texts.iter().any(|text| text.contains("Apache License")));
        assert!(of(&package(folder.path(), "")).unwrap_err().to_string().contains("comes without a licence"));
        fs::write(folder.path().join("License.md"), "\nMine \r\n").unwrap();
        fs::write(folder.path().join("readme"), "no").unwrap();
        assert_eq!(of(&package(folder.path(), "MIT")).unwrap(), ["Mine"]);
        assert_eq!(of(&package(folder.path(), "")).unwrap(), ["Mine"]);
    }

    #[test]
    fn an_unknown_licence_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = of(&package(folder.path(), "Mine-1.0")).unwrap_err();
        assert!(error.to_string().contains("`Mine-1.0`"), "{error:#}");
    }
}
