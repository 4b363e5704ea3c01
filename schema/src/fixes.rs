//! Applies fixes to a text, round after round, until nothing is left to fix.

use crate::diagnostic::{Diagnostic, Edit, Fix, Severity};

/// Rounds at the most: applying one fix can reveal the next.
const ROUNDS_MAX: usize = 16;

/// Applies the fixes of all errors and warnings that have edits. Of two fixes of the same place the second waits for the
/// next round. `check` returns the findings of a text; `fixed` is called for each finding whose fix was applied.
pub fn apply_fixes(
    text: &str,
    mut check: impl FnMut(&str) -> Vec<Diagnostic>,
    mut fixed: impl FnMut(&Diagnostic),
) -> String {
    let mut text = text.to_owned();
    for _ in 0..ROUNDS_MAX {
        let diagnostics = check(&text);
        let (taken, edits) = compatible(&diagnostics);
        let changed = Fix { description: String::new(), edits }.apply(&text);
        if taken.is_empty() || changed == text {
            break;
        }
        taken.into_iter().for_each(&mut fixed);
        text = changed;
    }
    text
}

/// The canonical form with its own fixes applied, so that doing it again changes nothing. `check` returns the findings of a
/// text, and its canonical form if it is valid.
pub fn settle(mut canonical: String, check: impl Fn(&str) -> (Vec<Diagnostic>, Option<String>)) -> String {
    for _ in 0..ROUNDS_MAX {
        let fixed = apply_fixes(&canonical, |text| check(text).0, |_| {});
        match check(&fixed).1 {
            Some(settled) if settled != canonical => canonical = settled,
            _ => break,
        }
    }
    canonical
}

/// The findings whose edits do not touch those of an earlier one, and these edits in the order of the text.
fn compatible(diagnostics: &[Diagnostic]) -> (Vec<&Diagnostic>, Vec<Edit>) {
    let mut taken: Vec<&Diagnostic> = Vec::new();
    let mut edits: Vec<Edit> = Vec::new();
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.severity > Severity::Advice) {
        let proposed = diagnostic.fix.as_ref().map(|fix| fix.edits.as_slice()).unwrap_or_default();
        let is_free = |edit: &Edit| {
            edits.iter().all(|taken| edit.span.end < taken.span.start || taken.span.end < edit.span.start)
        };
        if !proposed.is_empty() && proposed.iter().all(is_free) {
            taken.push(diagnostic);
            edits.extend_from_slice(proposed);
        }
    }
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    (taken, edits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::options::CheckOptions;

    #[test]
    fn fixes_are_applied_until_none_is_left() {
        let text = "<general_tags><style>**ink** & (wash:1.2)</style></general_tags>";
        let mut applied = Vec::new();
        let fixed = apply_fixes(
            text,
            |text| check(text, &CheckOptions::default()).diagnostics,
            |diagnostic| applied.push(diagnostic.code),
        );
        assert_eq!(fixed, "<general_tags><style>ink &amp; wash</style></general_tags>");
        assert!(applied.contains(&"markdown") && applied.contains(&"weight-syntax"), "{applied:?}");
    }
}
