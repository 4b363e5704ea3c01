//! The strict check, the generated readers (the test oracle) and an independent XSD validator (lxml) give the same verdict.
//!
//! The interpreter is the one that `SAKUGA_PYTHON` names, else `python3`; without lxml the comparison is skipped, and
//! the output says so.

mod corpus;
mod tree;

#[path = "../oracle/mod.rs"]
mod oracle;
#[path = "../support/mod.rs"]
mod support;

use std::env;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use sakuga_schema::{CheckOptions, Strictness, check};

/// How many documents are compared.
const DOCUMENTS: usize = 8_000;

#[test]
fn strict_verdicts_are_those_of_the_xsd() {
    let Some(python) = python_with_lxml() else {
        return;
    };
    let documents = corpus::documents(DOCUMENTS, 0x5AC0_6A00);
    let verdicts = xsd_verdicts(&python, &documents);

    let options = CheckOptions { strictness: Strictness::Strict, ..CheckOptions::default() };
    let mut disagreements = Vec::new();
    let (mut valid, mut malformed) = (0, 0);
    for (document, (kind, reason)) in documents.iter().zip(&verdicts) {
        let is_valid = kind == "valid";
        valid += usize::from(is_valid);
        malformed += usize::from(kind == "malformed");
        let checked = check(document, &options);
        if checked.is_valid() != is_valid {
            let said: Vec<_> = checked.diagnostics.iter().map(|diagnostic| diagnostic.to_line()).collect();
            disagreements.push(format!("lxml: {kind} {reason}\ncheck: {said:#?}\n{document}"));
        }
        let read = oracle::read_prompt(document);
        match (is_valid, read) {
            (true, Ok(prompt)) if checked.prompt.as_ref() == Some(&prompt) => {}
            (true, Ok(prompt)) => {
                disagreements.push(format!("read as {prompt:#?}\nchecked as {:#?}\n{document}", checked.prompt));
            }
            (true, Err(error)) => disagreements.push(format!("lxml: valid\nreader: {error}\n{document}")),
            (false, Ok(_)) if kind != "malformed" => {
                disagreements.push(format!("lxml: {kind} {reason}\nreader: accepted\n{document}"));
            }
            // quick-xml is a little more tolerant about well-formedness than XML is.
            (false, _) => {}
        }
    }
    println!("{} documents: {valid} valid, {malformed} not well-formed", documents.len());
    let shown: Vec<_> = disagreements.iter().take(10).map(String::as_str).collect();
    assert!(
        disagreements.is_empty(),
        "{} of {} documents are judged differently; the first:\n\n{}",
        disagreements.len(),
        documents.len(),
        shown.join("\n\n")
    );
    let least = documents.len() * 3 / 10;
    assert!(valid >= least && documents.len() - valid >= least, "only {valid} of {} are valid", documents.len());
}

/// The interpreter to run, if it can import lxml.
fn python_with_lxml() -> Option<String> {
    let named = env::var("SAKUGA_PYTHON").ok();
    let python = named.clone().unwrap_or_else(|| "python3".to_owned());
    let imports = Command::new(&python).args(["-c", "import lxml.etree"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(named.is_none(), "SAKUGA_PYTHON names `{python}`, which cannot import lxml");
    println!("skipped: `{python}` cannot import lxml; set SAKUGA_PYTHON to an interpreter that can");
    None
}

/// (verdict, reason) of each document.
fn xsd_verdicts(python: &str, documents: &[String]) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let list = folder.path().join("documents.jsonl");
    let mut writer = BufWriter::new(File::create(&list).expect("it can be made"));
    for document in documents {
        serde_json::to_writer(&mut writer, document).expect("it can be written");
        writeln!(writer).expect("it can be written");
    }
    writer.flush().expect("it can be written");

    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(crate_root.join("tests/xsd_verdict.py"))
        .arg(crate_root.join("prompt.xsd"))
        .arg(&list)
        .env("PYTHONIOENCODING", "utf-8")
        .output()
        .expect("the interpreter ran before");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let verdicts: Vec<_> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| line.split_once('\t').unwrap_or((line, "")))
        .map(|(kind, reason)| (kind.to_owned(), reason.to_owned()))
        .collect();
    assert_eq!(verdicts.len(), documents.len());
    verdicts
}
