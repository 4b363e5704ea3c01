//! The rules of buf's STANDARD set over `proto/sakuga`, and that everything has a comment.
//!
//! The rules are stated anew here, under the names that buf's documentation gives them, so that the lint needs neither
//! buf nor protoc. Left out are the two that cannot apply: PROTOVALIDATE, and the options of the languages of which
//! PACKAGE_SAME_OPTIONS is the sum. `bad.rs` has a text for each rule that it must catch.

mod api;
mod bad;
mod case;
mod comments;
mod elements;
mod files;
mod services;

use std::path::Path;

use protox::file::{ChainFileResolver, DescriptorSetFileResolver, GoogleFileResolver, IncludeFileResolver};
use sakuga_tests::repository;

use api::Api;

/// One rule.
pub struct Rule {
    /// As buf calls it; ours follow its manner.
    pub name: &'static str,
    /// Every place that breaks it.
    pub check: fn(&Api) -> Vec<Finding>,
}

/// One place that breaks a rule.
#[derive(Debug)]
pub struct Finding {
    /// A file, or the full name of what is in it.
    pub place: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl Finding {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

/// Every rule.
fn rules() -> impl Iterator<Item = &'static Rule> {
    [files::RULES, elements::RULES, services::RULES, comments::RULES].into_iter().flatten()
}

/// Every finding, one line each.
fn lint(api: &Api) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in rules() {
        for Finding { place, message } in (rule.check)(api) {
            lines.push(format!("{}: {place}: {message}", rule.name));
        }
    }
    lines
}

#[test]
fn the_protos_keep_every_rule() {
    let root = repository().join("proto");
    let names = proto_files(&root);
    assert!(names.len() >= 8, "the API has more files than {names:?}");
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(root.clone()));
    resolver.add(GoogleFileResolver::new());
    // google/rpc/status.proto: the committed descriptors carry it.
    let committed = std::fs::read(root.join("src/gen/descriptor.bin")).expect("the committed descriptors can be read");
    resolver.add(DescriptorSetFileResolver::decode(&*committed).expect("the committed descriptors decode"));
    let findings = lint(&Api::compile(resolver, &names));
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// The protos under `root/sakuga`, as import names, sorted.
fn proto_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.join("sakuga")];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("proto folder can be read") {
            let path = entry.expect("proto folder can be read").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                let name = path.strip_prefix(root).expect("under root").to_str().expect("UTF-8 name");
                found.push(name.replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}
