//! Texts that went through the wrong encoding.

use std::ops::Range;

use crate::findings::Findings;
use crate::invisible;
use crate::rules::bad_encoding;

/// Whether a text is UTF-16 that was taken for UTF-8: at least a third of its bytes are NUL.
pub(super) fn is_utf16(text: &str) -> bool {
    const LOOKED_AT: usize = 4096;
    let near = &text.as_bytes()[..text.len().min(LOOKED_AT)];
    near.len() > 3 && near.iter().filter(|byte| **byte == 0).count() * 3 >= near.len()
}

/// Reports UTF-8 that was read as Latin-1 or Windows-1252, and characters that were lost before.
pub(super) fn check(text: &str, findings: &mut Findings) {
    const LOST: char = '\u{FFFD}';
    const MOST: usize = 16;
    // Nearly every text ends here: the first bytes of U+0080 to U+00FF and of U+FFFD.
    if !text.bytes().any(|byte| matches!(byte, 0xC2 | 0xC3 | 0xEF)) {
        return;
    }
    let lost = text.matches(LOST).count();
    if let Some(at) = text.find(LOST) {
        findings.push(bad_encoding::replaced(at..at + LOST.len_utf8(), lost));
    }
    for (span, meant) in runs(text).take(MOST) {
        let written = &text[span.clone()];
        findings.push(bad_encoding::read_wrongly(span, written, &meant));
    }
}

/// Runs of characters that are the bytes of UTF-8, and what those bytes say. A run that is not UTF-8 is checked again
/// as it will be read: without invisible characters, and piece by piece between odd spaces.
fn runs(text: &str) -> impl Iterator<Item = (Range<usize>, String)> {
    byte_runs(text).flat_map(|run| {
        let whole = meant(text[run.clone()].chars());
        let pieces = if whole.is_some() { Vec::new() } else { pieces_as_read(text, run.clone()) };
        whole.map(|meant| (run, meant)).into_iter().chain(pieces)
    })
}

/// Runs of characters that stand for bytes, with the invisible characters between them.
fn byte_runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(|character| byte_of(character).is_some())?;
        let run = &text[start..];
        let length = run.find(|character| byte_of(character).is_none() && !is_left_out(character));
        let length = length.unwrap_or(run.len());
        at = start + length;
        let kept = run[..length].trim_end_matches(|character| byte_of(character).is_none());
        Some(start..start + kept.len())
    })
}

/// The pieces of a run between odd spaces that are UTF-8 without their invisible characters.
fn pieces_as_read(text: &str, run: Range<usize>) -> Vec<(Range<usize>, String)> {
    let pieces = text[run.clone()].split_inclusive(char::is_whitespace).scan(run.start, |at, piece| {
        let start = *at;
        *at += piece.len();
        Some((start, piece.trim_end()))
    });
    let pieces = pieces.map(|(start, piece)| {
        let meant = meant(piece.chars().filter(|character| !is_left_out(*character)));
        (start..start + piece.len(), meant)
    });
    pieces.filter_map(|(span, meant)| Some((span, meant?))).collect()
}

/// Whether a lenient check reads a text without this character.
fn is_left_out(character: char) -> bool {
    invisible::referenced(character) == Some("")
}

/// The characters' bytes decoded as UTF-8, if that was clearly their meaning.
fn meant(characters: impl Iterator<Item = char>) -> Option<String> {
    let text = String::from_utf8(characters.filter_map(byte_of).collect()).ok()?;
    // `É»` is French, `Ã©` is not.
    let is_clear = |character: char| matches!(character, '\u{A1}'..='\u{FF}' | '\u{2010}'..='\u{FFFC}' | '\u{10000}'..);
    (!text.is_empty() && text.chars().all(is_clear)).then_some(text)
}

/// The byte that a character stands for in Latin-1 or Windows-1252, beyond ASCII.
fn byte_of(character: char) -> Option<u8> {
    const WINDOWS: &str = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ";
    const BYTES: &[u8] = &[
        0x80, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8C, 0x8E, 0x91, 0x92, 0x93, 0x94, 0x95,
        0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9E, 0x9F,
    ];
    match u32::from(character) {
        code @ 0x80..=0xFF => u8::try_from(code).ok(),
        0x152..=0x2122 => WINDOWS.chars().position(|known| known == character).and_then(|at| BYTES.get(at).copied()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_wrongly_is_recognised() {
        for (written, expected) in [
            ("cafÃ©", "é"),
            ("Ã\u{A0}", "à"),
            ("è\u{93}\u{9d}", "蓝"),
            ("é\u{9d}’ã\u{81}„", "青い"),
            ("donâ€™t", "’"),
            // These become runs only when the odd space or the invisible character is read.
            ("Ã©\u{A0}x", "é"),
            ("“\u{A0}Ã©", "é"),
            ("Ã©\u{AD}", "é"),
            ("Ã\u{200B}©\u{200B}", "é"),
        ] {
            let found: Vec<String> = runs(written).map(|(_, meant)| meant).collect();
            assert_eq!(found, [expected], "{written}");
        }
        for text in ["café", "«CAFÉ»", "naïve", "Ünï", "“quoted”", "5 €", "蓝色", "…", "Ã", "Â"] {
            assert_eq!(runs(text).count(), 0, "{text}");
        }
    }

    #[test]
    fn utf16_is_recognised_by_its_nuls() {
        assert!(is_utf16("<\0c\0a\0p\0"));
        assert!(!is_utf16("<caption>a\0b</caption>") && !is_utf16(""));
    }
}
