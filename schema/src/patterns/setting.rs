//! Settings of other programs in brackets inside a text: `(seed: 1234)`, `[steps: 28, cfg: 5]`.

use std::ops::Range;

use super::{Instruction, Pattern, matching};
use crate::settings::setting_in_text;

/// The brackets with which a text begins, if they hold nothing but settings. A weight has no name of a setting.
pub(super) fn group(text: &str) -> Option<&str> {
    let close = match text.as_bytes().first()? {
        b'(' => matching(text, 0, b'(', b')'),
        b'[' => matching(text, 0, b'[', b']'),
        _ => None,
    }?;
    let mut pieces = text[1..close].split([',', ';', '|']).map(str::trim).filter(|piece| !piece.is_empty()).peekable();
    pieces.peek()?;
    pieces.all(|piece| setting_in_text(piece).is_some()).then(|| &text[..=close])
}

/// The brackets of settings in a piece of a text.
pub(super) fn groups(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    const MOST: usize = 16;
    let mut end = 0;
    for (open, _) in piece.match_indices(['(', '[']).take(MOST) {
        let Some(group) = group(&piece[open..]).filter(|_| open >= end) else { continue };
        end = open + group.len();
        add(open..end, Pattern::Instruction(Instruction::Setting), Some(String::new()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    #[test]
    fn settings_in_brackets_are_no_weights() {
        let found =
            scan("1girl, blue hair (seed: 1234) (size: 832x1216), (steps: 28, sampler: Euler a), [cfg: 5.5]", false);
        let written: Vec<_> = found.iter().map(|found| (found.pattern, found.span.clone())).collect();
        let setting = Pattern::Instruction(Instruction::Setting);
        assert_eq!(written, [(setting, 17..29), (setting, 30..46), (setting, 48..77), (setting, 79..89)]);
        for text in ["(hat:1.2)", "(seed: poppy)", "()", "(a, steps: 28)", "(steps", "a"] {
            assert_eq!(group(text), None, "{text}");
        }
    }
}
