//! [`Shown`]: the findings that a command with many requests has printed.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::cli::output::say;
use crate::cli::render::Finding;
use crate::cli::units;

/// The most findings that are printed; further ones are counted.
const SHOWN_MAX: usize = 40;

/// Prints each finding once, at the first row that has it: rows of a batch are often alike.
#[derive(Debug, Default)]
pub(crate) struct Shown(RefCell<Seen>);

#[derive(Debug, Default)]
struct Seen {
    kinds: BTreeSet<(String, String)>,
    /// How many were not printed.
    left_out: usize,
}

impl Shown {
    /// Those of a text that were not printed yet, to be printed now.
    pub(crate) fn new_of(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut seen = self.0.borrow_mut();
        let mut new = Vec::new();
        for finding in findings {
            if seen.kinds.len() < SHOWN_MAX && seen.kinds.insert(finding.kind()) {
                new.push(finding);
            } else {
                seen.left_out += 1;
            }
        }
        new
    }

    /// Says how many findings were not printed.
    pub(crate) fn close(&self) {
        let left_out = self.0.borrow().left_out;
        if left_out > 0 {
            let findings = units::count(left_out, "further finding");
            say(format_args!(
                "{findings} of these prompts, most like those above; `sakuga validate` shows those of a prompt"
            ));
        }
    }
}
