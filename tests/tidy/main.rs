//! Invariants of the tree: who may depend on whom, what a source file may hold, and what no file may name.
//!
//! Each is a checker, tested on an example that breaks it, and then run over the repository.

mod commands;
mod cycles;
mod dependencies;
mod links;
mod metadata;
mod sources;
mod text;
mod tree;
mod wording;

/// Fails with every finding, one a line.
#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
