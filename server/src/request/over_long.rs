//! The finding that an encoder would cut a text: exact, where the prompt language can only estimate.

use sakuga_schema::{Diagnostic, Fix, Position, Severity};

use crate::engine::TokenCount;

/// The prompt language's name for it; its reference documents the rule.
const CODE: &str = "over-long";
/// Most characters of the lost text that are shown.
const SHOWN_CHARS_MAX: usize = 40;

/// One finding for each encoder that would cut the text at `path`.
pub fn findings(path: &str, counts: &[TokenCount]) -> Vec<Diagnostic> {
    counts.iter().filter(|count| count.is_truncated()).map(|count| finding(path, count)).collect()
}

fn finding(path: &str, count: &TokenCount) -> Diagnostic {
    let TokenCount { encoder, tokens, limit, first_lost } = count;
    let mut message = format!("{encoder} reads {limit} tokens and the text has {tokens}");
    if let Some(lost) = first_lost {
        let shown: String = lost.chars().take(SHOWN_CHARS_MAX).collect();
        message.push_str(&format!("; it ends before `{}`", shown.trim()));
    }
    let start = Position { line: 1, column: 1 };
    let description = "shorten it, beginning with what matters least".into();
    Diagnostic {
        code: CODE,
        severity: Severity::Warning,
        message,
        span: 0..0,
        start,
        end: start,
        path: path.to_owned(),
        fix: Some(Fix { description, edits: Vec::new() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_language_knows_the_code() {
        assert!(sakuga_schema::rules::all().iter().any(|rule| rule.code == CODE));
    }

    #[test]
    fn only_what_is_cut_is_told() {
        let count = |tokens, lost: Option<&str>| TokenCount {
            encoder: "gemma3",
            tokens,
            limit: 4,
            first_lost: lost.map(str::to_owned),
        };
        assert!(findings("", &[count(4, None)]).is_empty());
        let found = findings("negative", &[count(4, None), count(9, Some(" the end "))]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].code), ("negative", "over-long"));
        assert_eq!(found[0].message, "gemma3 reads 4 tokens and the text has 9; it ends before `the end`");
    }
}
