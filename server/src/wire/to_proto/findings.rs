//! Findings about prompts, cut to fit into a message.

use prost::Message as _;
use sakuga_proto::prompt::v1 as prompt;
use sakuga_schema::Diagnostic;

use crate::limits::Limits;

/// The prompt language's name for the finding that others are left out.
const CODE: &str = "too-many-findings";

/// The findings, the first ones first. Those that do not fit are counted in one that takes their place.
pub(crate) fn diagnostics(found: &[Diagnostic]) -> Vec<prompt::Diagnostic> {
    let mut bytes = 0;
    let mut fitting = Vec::new();
    for finding in found {
        let message = prompt::Diagnostic::from(finding);
        bytes += message.encoded_len() + 8;
        if bytes > Limits::FINDINGS_BYTES_MAX {
            break;
        }
        fitting.push(message);
    }
    let left_out = &found[fitting.len()..];
    let Some(first) = left_out.first() else { return fitting };
    let severity = left_out.iter().map(|finding| finding.severity).max().unwrap_or(first.severity);
    let rest = Diagnostic {
        code: CODE,
        severity,
        message: format!("{} more findings are left out: together they are too large", left_out.len()),
        path: String::new(),
        fix: None,
        ..first.clone()
    };
    fitting.push((&rest).into());
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_that_do_not_fit_are_counted() {
        assert!(sakuga_schema::rules::all().iter().any(|rule| rule.code == CODE));
        let options = sakuga_schema::CheckOptions::default();
        let checked = sakuga_schema::check("<caption>A girl", &options);
        let mut one = checked.diagnostics.first().expect("it is not closed").clone();
        assert_eq!(diagnostics(std::slice::from_ref(&one)).len(), 1);
        one.message = "x".repeat(10_000);
        let sent = diagnostics(&vec![one; 1000]);
        assert!(sent.len() > 50 && sent.len() < 200, "{}", sent.len());
        let last = sent.last().expect("findings");
        assert_eq!((last.code.as_str(), last.message.contains(&format!("{} more", 1001 - sent.len()))), (CODE, true));
        assert!(sent.iter().map(prost::Message::encoded_len).sum::<usize>() <= Limits::FINDINGS_BYTES_MAX);
    }
}
