//! `bad-encoding`: bytes and characters that no XML may hold.

use std::ops::Range;

use crate::findings::{Finding, remove, replace};
use crate::rule::rule;

rule! {
    /// A prompt is UTF-8 without NUL and without control characters other than tab and line break. Text that was saved
    /// in another encoding has to be converted; a control character is usually the rest of a copy from a terminal.
    "bad-encoding", Error;
    bad: "<caption>A girl.\u{8}</caption>";
    good: "<caption>A girl.</caption>";
}

/// Bytes that are not UTF-8; they are read as U+FFFD.
pub(crate) fn not_utf8(span: Range<usize>) -> Finding {
    let message = format!("the text is not UTF-8 from byte {} on", span.start);
    Finding::new(&RULE, span, message).help("save the file as UTF-8")
}

/// A character that XML forbids.
pub(crate) fn control(span: Range<usize>, character: char) -> Finding {
    let message = format!("the character U+{:04X} may not stand in a prompt", u32::from(character));
    Finding::new(&RULE, span.clone(), message).fix("remove it", [remove(span)])
}

/// An XML declaration that names another encoding than the one that was used to read it.
pub(crate) fn declared(span: Range<usize>, encoding: &str) -> Finding {
    let message = format!("the declaration says `{encoding}`, but a prompt is read as UTF-8");
    Finding::new(&RULE, span.clone(), message)
        .into_warning()
        .fix("declare UTF-8", [replace(span, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")])
}
