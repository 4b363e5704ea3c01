//! Letters and digits of full width, and of the mathematical alphabets.

use std::ops::Range;

use super::Pattern;
use crate::plain_form::plain_form;

/// `１girl`, `ｌｏｎｇ＿ｈａｉｒ`. In a sentence of Chinese or Japanese such digits and letters are usual.
pub(super) fn wide(piece: &str, is_tag: bool, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    // Digits and letters that have a plain form, and `＿`.
    let is_wide = |character: char| {
        let plain = plain_form(character);
        plain != character
            && (plain.is_ascii_alphanumeric() || plain == '_')
            && !matches!(character, '⁰'..='₉' | '²' | '³' | '¹' | '①'..='⑨' | 'Ⓐ'..='ⓩ')
    };
    let mut previous = None;
    let is_mixed = piece.chars().any(|character| {
        let last = previous.replace(character);
        last.is_some_and(|last: char| {
            is_wide(last) && character.is_ascii_alphanumeric() || last.is_ascii_alphanumeric() && is_wide(character)
        })
    });
    const FEWEST: usize = 3;
    let letters =
        || piece.chars().filter(|character| is_wide(*character) && plain_form(*character).is_ascii_alphabetic());
    let is_all =
        piece.chars().all(|character| is_wide(character) || character.is_whitespace()) && letters().count() >= FEWEST;
    if is_mixed || is_all || (is_tag && piece.chars().any(is_wide)) {
        add(0..piece.len(), Pattern::Wide, Some(piece.chars().map(plain_form).collect()));
    }
}
