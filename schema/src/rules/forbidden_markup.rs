//! `forbidden-markup`: document type definitions and entities.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove};
use crate::rule::rule;

rule! {
    /// A prompt needs no document type, and entity definitions are how small files become large ones and how parsers
    /// are made to open files. They are refused in every mode; nothing is expanded and nothing is fetched.
    "forbidden-markup", Error;
    bad: "<!DOCTYPE prompt [<!ENTITY hair \"long_hair\">]>\n<caption>A girl.</caption>\n";
    good: "<caption>A girl.</caption>\n";
    messages: [
        Error "`…` is refused: a prompt has no document type and defines no entities",
    ];
}

/// `<!DOCTYPE …>` and the like.
pub(crate) fn definition(span: Range<usize>, written: &str) -> Finding {
    let word = written.split([' ', '\t', '\n', '\r', '[', '>']).next().unwrap_or_default();
    Finding::new(
        &RULE,
        span.clone(),
        format!("`{}` is refused: a prompt has no document type and defines no entities", excerpt(word)),
    )
    .into_error()
    .fix("remove it, and write characters as themselves", [remove(span)])
}
