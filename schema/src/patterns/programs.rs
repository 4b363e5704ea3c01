//! What ComfyUI and extensions of other programs read inside a text: comments and regions.

use std::ops::Range;

use super::{Instruction, Pattern, matching};

/// `/* rain */` and `// rain`, which ComfyUI leaves out.
pub(super) fn comments(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let mut from = 0;
    while let Some(open) = piece[from..].find("/*").map(|offset| from + offset) {
        let end = piece[open + 2..].find("*/").map_or(piece.len(), |length| open + 2 + length + 2);
        add(open..end, Pattern::Instruction(Instruction::Comment), Some(String::new()));
        from = end;
    }
    // `://` belongs to an address, and `//_//` is a face.
    let is_comment = |at: &usize| {
        piece[..*at].chars().next_back().is_none_or(char::is_whitespace)
            && piece[at + 2..].trim_start().starts_with(char::is_alphanumeric)
    };
    if let Some(at) = piece.match_indices("//").map(|(at, _)| at).find(is_comment) {
        add(at..piece.len(), Pattern::Instruction(Instruction::Comment), Some(String::new()));
    }
}

/// `MASK(0 0.5)` and the like, which extensions read as parts of the picture.
pub(super) fn regions(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    const NAMES: &[&str] =
        &["MASK", "IMASK", "MASKW", "AREA", "COUPLE", "FILL", "FEATHER", "SHIFT", "STYLE", "NOISE", "ATTN", "REGION"];
    for (open, _) in piece.match_indices('(') {
        let start = piece[..open].trim_end_matches(|letter: char| letter.is_ascii_uppercase()).len();
        if NAMES.contains(&&piece[start..open]) {
            let end = matching(piece, open, b'(', b')').map_or(piece.len(), |close| close + 1);
            add(start..end, Pattern::Instruction(Instruction::Keyword), None);
        }
    }
}
