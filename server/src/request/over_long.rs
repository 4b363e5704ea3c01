//! The finding that an encoder would cut a text. It uses the model's tokenizers; the prompt checker can only estimate.

use sakuga_model_core::TokenCount;
use sakuga_schema::{Diagnostic, Fix, Position, Severity};

use super::cut;

/// The prompt language's name for it; its reference documents the rule.
const CODE: &str = "over-long";
/// Most characters of the lost text that are shown.
const SHOWN_CHARS_MAX: usize = 40;

/// One finding for each encoder that would cut the text at `path`. `sent` is that text as the client wrote it, `read` as
/// the encoders read it; the finding points at the first character that is lost, from there to the end.
pub(crate) fn findings(path: &str, sent: &str, read: &str, counts: &[TokenCount]) -> Vec<Diagnostic> {
    counts.iter().filter(|count| count.is_truncated()).map(|count| finding(path, sent, read, count)).collect()
}

fn finding(path: &str, sent: &str, read: &str, count: &TokenCount) -> Diagnostic {
    let TokenCount { encoder, tokens, limit, first_lost } = count;
    let mut message = format!("{encoder} reads {limit} tokens and the text has {tokens}");
    if let Some(lost) = first_lost {
        let shown: String = lost.chars().take(SHOWN_CHARS_MAX).collect();
        message.push_str(&format!("; it ends before `{}`", shown.trim()));
    }
    // Tokens are about equally long.
    let expected = read.len().saturating_mul(*limit as usize) / (*tokens).max(1) as usize;
    let place = first_lost.as_deref().and_then(|lost| cut::place(sent, read, lost, expected));
    let span = place.map_or(0..0, |at| at..sent.trim_end().len().max(at));
    let description = "shorten it, beginning with what matters least".into();
    Diagnostic {
        code: CODE,
        severity: Severity::Warning,
        message,
        start: Position::of(sent, span.start),
        end: Position::of(sent, span.end),
        span,
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
    fn only_what_is_cut_is_reported() {
        let count = |tokens, lost: Option<&str>| TokenCount {
            encoder: "main_encoder",
            tokens,
            limit: 4,
            first_lost: lost.map(str::to_owned),
        };
        let (sent, read) = ("<caption>To\n  the end </caption>\n", "To the end");
        assert!(findings("", sent, read, &[count(4, None)]).is_empty());
        let found = findings("negative", sent, read, &[count(4, None), count(9, Some("the end"))]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].code), ("negative", "over-long"));
        assert_eq!(found[0].message, "main_encoder reads 4 tokens and the text has 9; it ends before `the end`");
        assert_eq!((found[0].start, found[0].end), (Position { line: 2, column: 3 }, Position { line: 2, column: 21 }));
        assert_eq!(&sent[found[0].span.clone()], "the end </caption>");
    }

    #[test]
    fn a_place_that_is_not_known_is_the_beginning() {
        let count = TokenCount { encoder: "main_encoder", tokens: 9, limit: 4, first_lost: Some("elsewhere".into()) };
        let found = findings("", "A girl.", "A girl.", &[count]);
        assert_eq!((found[0].span.clone(), found[0].start), (0..0, Position::START));
    }
}
