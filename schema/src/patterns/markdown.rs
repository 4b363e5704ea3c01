//! Marks of Markdown inside a tag or a sentence.

use std::ops::Range;

use super::Pattern;

/// `**bold**`, `` `code` ``, `~~struck~~`, `# heading`, `*whole*`.
pub(super) fn markdown(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let has_word = |text: &str| text.contains(char::is_alphanumeric);
    for marks in ["***", "**", "~~", "```", "`"] {
        let mut from = 0;
        while let Some(open) = piece[from..].find(marks).map(|offset| from + offset) {
            let inside = &piece[open + marks.len()..];
            let Some(length) = inside.find(marks).filter(|length| has_word(&inside[..*length])) else { break };
            let close = open + marks.len() + length + marks.len();
            add(open..close, Pattern::Markdown, Some(inside[..length].trim().to_owned()));
            from = close;
        }
        // The other mark stands after the next comma: `**red scarf, snow**`.
        let is_edge = piece.starts_with(marks) || piece.ends_with(marks);
        let plain = piece.trim_matches(|mark: char| marks.contains(mark));
        if is_edge && marks.len() == 2 && has_word(plain) && !plain.contains(marks) {
            add(0..piece.len(), Pattern::Markdown, Some(plain.trim().to_owned()));
        }
    }
    let emphasis = piece.strip_prefix('*').and_then(|inside| inside.strip_suffix('*'));
    if let Some(inside) = emphasis.filter(|inside| inside.chars().filter(|letter| letter.is_alphabetic()).count() > 1) {
        add(0..piece.len(), Pattern::Markdown, Some(inside.trim().to_owned()));
    }
    let heading = piece.trim_start_matches('#');
    if heading.len() < piece.len() && heading.starts_with(' ') && has_word(heading) {
        add(0..piece.len(), Pattern::Markdown, Some(heading.trim().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    fn patterns(text: &str, is_tag: bool) -> Vec<(String, Pattern, Option<String>)> {
        scan(text, is_tag).into_iter().map(|found| (text[found.span].to_owned(), found.pattern, found.plain)).collect()
    }

    #[test]
    fn markdown_is_found() {
        for (tag, plain) in [
            ("**soft wash**", "soft wash"),
            ("`paper grain`", "paper grain"),
            ("~~hat~~", "hat"),
            ("*hat*", "hat"),
            ("# Style", "Style"),
            ("[fox](http://x.example)", "fox"),
            ("![fox](http://x.example)", "fox"),
        ] {
            assert_eq!(patterns(tag, true), [(tag.to_owned(), Pattern::Markdown, Some(plain.to_owned()))], "{tag}");
        }
    }
}
