//! `invisible-character`: characters that nobody sees and the encoders read.

use std::ops::Range;

use crate::findings::{Finding, replace};
use crate::rule::rule;
use crate::source::Change;

rule! {
    /// Text copied from web pages and chats holds zero-width spaces, soft hyphens, marks of writing direction and
    /// spaces of odd widths. Nobody sees them, and to the encoders they make a tag another tag. A lenient check leaves
    /// them out and reads odd spaces as plain ones; a strict check only reports them. Joiners inside emoji and inside
    /// scripts that need them stay.
    "invisible-character", Warning;
    bad: "<caption>A girl\u{200B} laughs.</caption>";
    good: "<caption>A girl laughs.</caption>";
    messages: [
        Warning "the invisible character U+… is …",
    ];
}

/// A finding for each run of invisible characters in a text, from the changes that are made to read it.
pub(crate) fn findings<'c>(text: &'c str, changes: &'c [Change]) -> impl Iterator<Item = Finding> + 'c {
    changes.chunk_by(|left, right| left.0.end == right.0.start).map(|run| {
        let span = run[0].0.start..run[run.len() - 1].0.end;
        let character = text[span.start..].chars().next().unwrap_or_default();
        let replacement: String = run.iter().map(|(_, replacement)| replacement.as_ref()).collect();
        finding(span, character, run.len(), replacement)
    })
}

/// A run of `count` invisible characters that begins with `character`; `replacement` is what it is read as.
pub(crate) fn finding(span: Range<usize>, character: char, count: usize, replacement: String) -> Finding {
    let name = name(character).map(|name| format!(" ({name})")).unwrap_or_default();
    let more = match count {
        1 => String::new(),
        _ => format!(" and {} more invisible characters", count - 1),
    };
    let (read, fix) = match replacement.trim_matches(' ').is_empty() {
        true if replacement.is_empty() => ("left out", "remove it"),
        true => ("read as a plain space", "write a plain space"),
        false => ("read as a line break", "write a line break"),
    };
    let message = format!("the invisible character U+{:04X}{name}{more} is {read}", u32::from(character));
    Finding::new(&RULE, span.clone(), message).fix(fix, [replace(span, replacement)])
}

fn name(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{A0}' => "no-break space",
        '\u{AD}' => "soft hyphen",
        '\u{200B}' => "zero-width space",
        '\u{200C}' => "zero-width non-joiner",
        '\u{200D}' => "zero-width joiner",
        '\u{200E}' | '\u{200F}' | '\u{61C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => {
            "mark of writing direction"
        }
        '\u{2060}' => "word joiner",
        '\u{3000}' => "ideographic space",
        '\u{FEFF}' => "byte order mark",
        '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{1680}' => "space of another width",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "line separator",
        '\u{E0000}'..='\u{E007F}' => "tag character",
        _ => return None,
    })
}
