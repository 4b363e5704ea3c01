//! Texts that went through the wrong encoding.

use std::ops::Range;

use crate::findings::Findings;
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

/// Runs of characters that are the bytes of UTF-8, and what those bytes say.
fn runs(text: &str) -> impl Iterator<Item = (Range<usize>, String)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text[at..].find(|character| byte_of(character).is_some())?;
            let run = &text[start..];
            let length = run.find(|character| byte_of(character).is_none()).unwrap_or(run.len());
            at = start + length;
            let bytes: Vec<u8> = text[start..at].chars().filter_map(byte_of).collect();
            if let Some(meant) = meant(&bytes) {
                return Some((start..at, meant));
            }
        }
    })
}

/// What bytes say in UTF-8, if it is clear that they were meant so.
fn meant(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    // `É»` is French, `Ã©` is not.
    let is_clear = |character: char| matches!(character, '\u{A1}'..='\u{FF}' | '\u{2010}'..='\u{FFFC}' | '\u{10000}'..);
    text.chars().all(is_clear).then(|| text.to_owned())
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
        for (written, expected) in
            [("cafÃ©", "é"), ("è\u{93}\u{9d}", "蓝"), ("é\u{9d}’ã\u{81}„", "青い"), ("donâ€™t", "’")]
        {
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
