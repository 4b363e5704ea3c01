//! Letters and digits that have a plain form: those of full width, in circles, raised or of the mathematical alphabets.

/// The ASCII character that a character stands for by its compatibility decomposition (Unicode, NFKC); other characters
/// as they are. Knows the forms that keyboards and generators of decorated text write.
pub(crate) fn plain_form(character: char) -> char {
    const LETTERS: u32 = 26;
    let code = u32::from(character);
    let shifted = |first: char, to: char| char::from_u32(code - u32::from(first) + u32::from(to)).unwrap_or(character);
    // The mathematical alphabets are 13 pairs of capital and lowercase letters, the digits five rows of ten.
    let letter = |index: u32| {
        let first = if (index / LETTERS).is_multiple_of(2) { 'A' } else { 'a' };
        char::from_u32(u32::from(first) + index % LETTERS).unwrap_or(character)
    };
    match character {
        '！'..='～' => shifted('！', '!'),
        '\u{3000}' => ' ',
        '\u{1D400}'..='\u{1D6A3}' => letter(code - 0x1D400),
        '\u{1D7CE}'..='\u{1D7FF}' => char::from_digit((code - 0x1D7CE) % 10, 10).unwrap_or(character),
        '①'..='⑨' => shifted('①', '1'),
        'Ⓐ'..='Ⓩ' => shifted('Ⓐ', 'A'),
        'ⓐ'..='ⓩ' => shifted('ⓐ', 'a'),
        '¹' => '1',
        '²' => '2',
        '³' => '3',
        '⁰' => '0',
        '⁴'..='⁹' => shifted('⁴', '4'),
        '₀'..='₉' => shifted('₀', '0'),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_form_is_that_of_nfkc() {
        for (text, plain) in [
            ("１ｇｉｒｌ", "1girl"),
            ("1ｇirl", "1girl"),
            ("𝟏𝐠𝐢𝐫𝐥", "1girl"),
            ("𝟣𝙶𝙸𝚁𝙻", "1GIRL"),
            ("①ⓖⓘⓡⓛ", "1girl"),
            ("¹girl", "1girl"),
            ("₁boy", "1boy"),
            ("１ｂｏｙ，　ｓｏｌｏ", "1boy, solo"),
            ("1gìrl 女", "1gìrl 女"),
        ] {
            assert_eq!(text.chars().map(plain_form).collect::<String>(), plain);
        }
    }
}
