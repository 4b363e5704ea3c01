//! `bad-encoding`: bytes and characters that no XML may hold.

use std::ops::Range;

use crate::findings::{Finding, excerpt, remove, replace};
use crate::rule::rule;

rule! {
    /// A prompt is UTF-8 without NUL and without control characters other than tab and line break. Text that was saved
    /// in another encoding has to be converted; a control character is usually the rest of a copy from a terminal.
    "bad-encoding", Error;
    bad: "<caption>A girl.\u{8}</caption>";
    good: "<caption>A girl.</caption>";
    messages: [
        Error "the text is UTF-…, not UTF-8",
        Error "the text is not UTF-8 from byte … on",
        Error "this is a PNG picture, not text",
        Error "the text is full of NUL: it looks like UTF-16 without its mark, not like UTF-8",
        Error "`…` is `…` in UTF-8, read as another encoding and saved again",
        Error "U+FFFD stands here…: what was there could not be read when the text was saved",
        Error "the character U+… may not stand in a prompt",
        Warning "the declaration says `…`, but a prompt is read as UTF-8",
    ];
}

/// Bytes that are not UTF-8; they are read as U+FFFD.
pub(crate) fn not_utf8(span: Range<usize>, bytes: &[u8]) -> Finding {
    if bytes.starts_with(b"\x89PNG") {
        return Finding::new(&RULE, span, "this is a PNG picture, not text")
            .help("`sakuga show` prints the request in it, and `sakuga generate --from` draws it again");
    }
    let message = match bytes {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => "the text is UTF-32, not UTF-8".to_owned(),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "the text is UTF-16, not UTF-8".to_owned(),
        _ => format!("the text is not UTF-8 from byte {} on", span.start),
    };
    Finding::new(&RULE, span, message).help("save the file as UTF-8")
}

/// A text with a NUL in every other byte.
pub(crate) fn utf16(span: Range<usize>) -> Finding {
    Finding::new(&RULE, span, "the text is full of NUL: it looks like UTF-16 without its mark, not like UTF-8")
        .help("save the file as UTF-8")
}

/// UTF-8 that was read as Latin-1 or Windows-1252 and written again; `meant` is what it was.
pub(crate) fn read_wrongly(span: Range<usize>, written: &str, meant: &str) -> Finding {
    let message =
        format!("`{}` is `{}` in UTF-8, read as another encoding and saved again", excerpt(written), excerpt(meant));
    Finding::new(&RULE, span.clone(), message).fix(format!("write `{}`", excerpt(meant)), [replace(span, meant)])
}

/// U+FFFD, which other programs write for what they cannot read.
pub(crate) fn replaced(span: Range<usize>, count: usize) -> Finding {
    let times = if count == 1 { String::new() } else { format!(", {count} times") };
    let message = format!("U+FFFD stands here{times}: what was there could not be read when the text was saved");
    Finding::new(&RULE, span, message).help("write the characters again, and save the file as UTF-8")
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
