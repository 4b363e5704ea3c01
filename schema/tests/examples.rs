//! The example prompts are valid, say nothing odd, and are written canonically.

mod oracle;

use std::fs;
use std::path::{Path, PathBuf};

use sakuga_schema::{CheckOptions, Strictness, check, check_negative};

fn examples() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .map(|path| (path.clone(), fs::read_to_string(path).expect("it can be read")))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    files
}

fn is_negative(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == "negative")
}

#[test]
fn every_example_is_canonical() {
    for (path, text) in examples() {
        let canonical = if is_negative(&path) {
            oracle::read_negative(&text).map(|negative| negative.to_xml())
        } else {
            oracle::read_prompt(&text).map(|prompt| prompt.to_xml())
        };
        assert_eq!(canonical.as_ref(), Ok(&text), "{}", path.display());
    }
}

#[test]
fn nothing_is_to_be_said_about_an_example() {
    let options = CheckOptions { strictness: Strictness::Strict, ..CheckOptions::default() };
    let mut said = Vec::new();
    for (path, text) in examples() {
        let (is_read, diagnostics) = if is_negative(&path) {
            let checked = check_negative(&text, &options);
            (checked.negative == oracle::read_negative(&text).ok(), checked.diagnostics)
        } else {
            let checked = check(&text, &options);
            (checked.prompt == oracle::read_prompt(&text).ok(), checked.diagnostics)
        };
        assert!(is_read, "{}", path.display());
        let name = path.file_name().unwrap_or_default().display();
        said.extend(diagnostics.iter().map(|diagnostic| format!("{name}:{}", diagnostic.to_line())));
    }
    assert!(said.is_empty(), "{said:#?}");
}
