//! Invariants of every text, for the property tests and the fuzz target.

use sakuga_schema::{CheckOptions, Diagnostic, Position, Severity, Strictness, check, check_negative};

/// Both ways to read.
pub(crate) const BOTH: [Strictness; 2] = [Strictness::Lenient, Strictness::Strict];

/// Checks a text both ways, as a prompt and as a negative prompt.
#[track_caller]
pub(crate) fn holds_for(text: &str) {
    for strictness in BOTH {
        let options = CheckOptions { strictness, ..CheckOptions::default() };
        let checked = check(text, &options);
        places_are_sound(text, &checked.diagnostics);
        if let (true, Some(prompt)) = (checked.is_valid(), &checked.prompt) {
            let canonical = prompt.to_xml();
            let again = check(&canonical, &CheckOptions { strictness: Strictness::Strict, ..options });
            let errors: Vec<_> = again.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
            assert!(errors.is_empty(), "{text:?}\n{canonical}\n{errors:#?}");
            assert_eq!(again.prompt.as_ref(), Some(prompt), "{text:?}\n{canonical}");
        }
        let negative = check_negative(text, &options);
        places_are_sound(text, &negative.diagnostics);
        if let (true, Some(prompt)) = (negative.is_valid(), &negative.negative) {
            let canonical = prompt.to_xml();
            let again = check_negative(&canonical, &CheckOptions { strictness: Strictness::Strict, ..options });
            assert_eq!(again.negative.as_ref(), Some(prompt), "{text:?}\n{canonical}\n{:#?}", again.diagnostics);
        }
    }
}

/// Places lie in the text and in its order, edits fit, and the fixed text can be checked too.
#[track_caller]
pub(crate) fn places_are_sound(text: &str, diagnostics: &[Diagnostic]) {
    let mut last = 0;
    for diagnostic in diagnostics {
        let span = diagnostic.span.clone();
        assert!(text.get(span.clone()).is_some(), "{text:?}: {diagnostic:#?}");
        assert_eq!(diagnostic.start, Position::of(text, span.start), "{text:?}: {diagnostic:#?}");
        assert_eq!(diagnostic.end, Position::of(text, span.end), "{text:?}: {diagnostic:#?}");
        assert!(last <= span.start, "{text:?}: not in order: {diagnostics:#?}");
        last = span.start;
        let Some(fix) = &diagnostic.fix else { continue };
        let mut end = 0;
        for edit in &fix.edits {
            assert!(text.get(edit.span.clone()).is_some(), "{text:?}: {diagnostic:#?}");
            assert!(end <= edit.span.start, "{text:?}: edits overlap: {diagnostic:#?}");
            end = edit.span.end;
        }
        let grown: usize = fix.edits.iter().map(|edit| edit.replacement.len()).sum();
        let shrunk: usize = fix.edits.iter().map(|edit| edit.span.len()).sum();
        assert_eq!(fix.apply(text).len(), text.len() + grown - shrunk, "{text:?}: {diagnostic:#?}");
    }
}
