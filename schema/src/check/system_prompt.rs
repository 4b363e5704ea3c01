//! The check of a system prompt that is given apart from the prompt.

use super::{encoding, report_forbidden};
use crate::checked::CheckedSystemPrompt;
use crate::findings::{Findings, WriteBack};
use crate::invisible;
use crate::options::CheckOptions;
use crate::position::PositionMap;
use crate::rules::invisible_character;
use crate::source::Source;

/// Checks the characters of a system prompt that is given apart from the prompt, by the rules `bad-encoding` and
/// `invisible-character`, as those of a prompt are. Its words are free.
pub fn check_system_prompt(text: &str, options: &CheckOptions<'_>) -> CheckedSystemPrompt {
    let mut findings = Findings::new(options.strictness, &options.limits);
    encoding::check(text, &mut findings);
    report_forbidden(text, &mut findings);
    let changes = invisible::changes(text, 0);
    invisible_character::findings(text, &changes).for_each(|finding| findings.push(finding));
    let mut source = Source::new(text);
    if !findings.is_strict() && !changes.is_empty() {
        source.replace(&changes);
    }
    let diagnostics = findings.finish(text, &PositionMap::default(), WriteBack::Verbatim);
    CheckedSystemPrompt { text: source.text.into_owned(), diagnostics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Severity;
    use crate::options::Strictness;

    fn check(text: &str, strictness: Strictness) -> (String, Vec<(&'static str, Severity)>) {
        let checked = check_system_prompt(text, &CheckOptions { strictness, ..CheckOptions::default() });
        let found = checked.diagnostics.iter().map(|finding| (finding.code, finding.severity)).collect();
        (checked.text, found)
    }

    #[test]
    fn control_characters_are_errors_and_invisible_ones_are_left_out() {
        let (error, warning) = (("bad-encoding", Severity::Error), ("invisible-character", Severity::Warning));
        for strictness in [Strictness::Lenient, Strictness::Strict] {
            assert_eq!(check("a\u{0}b\u{1b}c", strictness).1, [error, error]);
            for text in ["You draw well. <Prompt Start> ", "1 < 2 & 3\n\t\u{732b}", "👩\u{200d}👧", ""] {
                assert_eq!(check(text, strictness), (text.to_owned(), Vec::new()));
            }
        }
        let written = "You \u{202e}draw\u{200b}\u{200b}.";
        assert_eq!(check(written, Strictness::Lenient), ("You draw.".to_owned(), vec![warning, warning]));
        assert_eq!(check(written, Strictness::Strict), (written.to_owned(), vec![warning, warning]));
    }
}
