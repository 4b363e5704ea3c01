//! No module depends on itself through its siblings.
//!
//! For every library and program of the workspace, [`modules`] reads the tree of modules and the paths that each names,
//! [`graph`] turns them into edges between sibling modules and finds the cycles. A path that leads through a re-export
//! counts as an edge to the module that declares the item. A parent and its children may use each other, and code under
//! `#[cfg(test)]` may use anything.
//!
//! A failure names every cycle with the lines that make its edges.

mod graph;
mod modules;
mod tokens;

use std::collections::BTreeSet;
use std::path::Path;

use sakuga_tidy::repository;

use crate::assert_none;
use crate::metadata::{self, Target};
use graph::Cycle;
use modules::Tree;

/// The cycles of one library or program.
fn cycles_of(target: &Target) -> Vec<Cycle> {
    let root = repository();
    let read = |path: &Path| std::fs::read_to_string(root.join(path)).ok();
    let tree = Tree::read(&target.source, &read).unwrap_or_else(|error| panic!("{error}"));
    graph::cycles(&tree)
}

#[test]
fn no_module_depends_on_itself_through_its_siblings() {
    let mut findings = Vec::new();
    let targets = metadata::targets();
    let packages: BTreeSet<&str> = targets.iter().map(|target| target.package.as_str()).collect();
    assert!(packages.contains("sakuga-server") && packages.contains("sakuga-model"), "{packages:?}");
    for package in packages {
        let of_package = targets.iter().filter(|target| target.package == package);
        findings.extend(of_package.flat_map(cycles_of).map(|cycle| format!("{package}: {cycle}")));
    }
    assert_none(&findings);
}

/// A tree of modules from texts, the first of which is the root.
fn tree(files: &[(&str, &str)]) -> Tree {
    let read = |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
    Tree::read(Path::new(files[0].0), &read).unwrap()
}

#[test]
fn a_cycle_is_found_with_the_lines_of_its_edges() {
    let files = [
        ("src/lib.rs", "mod a;\npub mod b;\nmod c;"),
        ("src/a.rs", "fn f() {\n    crate::b::g(vec![super::c::C])\n}"),
        ("src/b/mod.rs", "mod inner;\npub use inner::g;"),
        ("src/b/inner.rs", "use crate::{c::C, a};\npub fn g() {}"),
        ("src/c.rs", "pub struct C;"),
    ];
    let cycles = graph::cycles(&tree(&files));
    assert_eq!(cycles.len(), 1);
    assert_eq!(cycles[0].modules, ["a", "b"]);
    let expected = "crate: 2 modules in a cycle: a, b\n  a -> b: src/a.rs:2\n  b -> a: src/b/inner.rs:1";
    assert_eq!(cycles[0].to_string(), expected);
}

#[test]
fn a_re_export_leads_to_the_module_that_declares_the_item() {
    let files = [
        ("lib.rs", "mod a;\nmod b;\npub use a::Thing;\nuse b::*;"),
        ("a.rs", "pub struct Thing;\nfn f() { super::other() }"),
        ("b.rs", "pub fn other(_: crate::Thing) {}"),
    ];
    assert_eq!(graph::cycles(&tree(&files))[0].modules, ["a", "b"]);
}

#[test]
fn siblings_within_a_module_and_inline_modules_are_seen() {
    let files = [("lib.rs", "mod outer { pub mod a { use super::b; }\n pub mod b { fn f() { super::a::g() } } }")];
    let cycles = graph::cycles(&tree(&files));
    assert_eq!((cycles[0].parent.as_str(), cycles[0].modules.len()), ("crate::outer", 2));
}

#[test]
fn parents_tests_comments_and_other_crates_make_no_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; use a::f; pub fn root() { f() }"),
        ("a.rs", "mod child; pub use child::f; pub(in crate::b) struct A; use std::c; #[cfg(test)] mod tests;"),
        ("a/child.rs", "use super::A; pub fn f() { crate::root() }\n// crate::b::g()\nconst T: &str = \"crate::b\";"),
        ("a/tests.rs", "use crate::b;"),
        ("b.rs", "use crate::a::A; #[cfg(test)] use crate::c; #[cfg(test)] mod tests { use crate::c::C; }"),
        ("c.rs", "use super::b; use b::*;"),
    ];
    assert!(graph::cycles(&tree(&files)).is_empty());
}

#[test]
fn a_missing_file_is_an_error() {
    let read = |path: &Path| (path == Path::new("lib.rs")).then(|| "mod a;".to_owned());
    let error = Tree::read(Path::new("lib.rs"), &read).unwrap_err();
    assert_eq!(error, "lib.rs:1: there is no file for `mod a`");
}
