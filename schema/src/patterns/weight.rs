//! Weights: `(tag:1.2)`, `((tag))`, `1.3::tag::`, `tag++`.

use std::ops::Range;

use super::{Pattern, matching};
use crate::plain_form::plain_form;

/// `(x:1.2)`, `((x))`, `[x]`, `x:1.2`, `1.2::x::`, `x::2`, `(x)1.2`, `x++`.
pub(super) fn weights(piece: &str, is_tag: bool, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let whole = 0..piece.len();
    if narrowed(piece, is_tag, add) {
        return;
    }
    if let Some((number, rest)) = piece.split_once("::") {
        let (inside, behind) = rest.split_once("::").unwrap_or((rest, ""));
        if is_number(number) && inside.contains(char::is_alphabetic) && behind.trim().is_empty() {
            return add_weight(whole, number, inside.trim(), add);
        }
        if is_number(rest) && number.contains(char::is_alphabetic) {
            return add_weight(whole, rest, number.trim(), add);
        }
    }
    let stem = piece.trim_end_matches(['+', '-']);
    // One mark is enough behind brackets: `(blue hair)+`.
    let least = if stem.starts_with('(') && stem.ends_with(')') { 1 } else { 2 };
    let is_raised = piece.len() - stem.len() >= least
        && stem.chars().filter(|letter| letter.is_alphanumeric()).count() > 1
        && stem.ends_with(|last: char| last.is_alphanumeric() || last == ')');
    let scaled = piece
        .rsplit_once(')')
        .filter(|(stem, number)| stem.starts_with('(') && number.contains('.') && is_number(number));
    if is_raised || scaled.is_some() {
        let marks = if is_raised { &piece[stem.len()..] } else { "" };
        let stem = if is_raised { stem } else { scaled.map_or(piece, |(stem, _)| stem) };
        let plain = stem.strip_prefix('(').map_or(stem, |stem| stem.trim_end_matches(')'));
        if plain.contains(char::is_alphabetic) {
            return add_weight(whole, scaled.map_or(marks, |(_, number)| number), plain, add);
        }
    }
    let is_short = is_tag || piece.split_whitespace().count() <= 6;
    // In `a (b:1.2)` the weight is that of a part.
    let is_part = piece.find('(').is_none_or(|open| piece[..open].ends_with(' ') || open == 0);
    let whole_plain = is_short.then(|| unweighted(piece)).flatten();
    if let Some(plain) = whole_plain.filter(|plain| is_closed(plain, '(', ')') || !is_part) {
        let number = piece.trim_end_matches([')', ']']).rsplit_once(':').map_or("", |(_, number)| number);
        return add_weight(whole, number, plain, add);
    }
    // A weight inside a sentence or after another word.
    let mut from = 0;
    while let Some(open) = piece[from..].find('(').map(|offset| from + offset) {
        let Some(close) = matching(piece, open, b'(', b')') else { return };
        if let Some((plain, number)) = weighted(&piece[open..=close]) {
            add_weight(open..close + 1, number, plain, add);
            from = close + 1;
        } else {
            from = open + 1;
        }
    }
}

/// A piece with its brackets, colons and digits as ASCII has them.
struct Narrow {
    text: String,
    /// Where each byte of `text` stands in the piece, and the length of the piece.
    places: Vec<usize>,
}

impl Narrow {
    /// `None` if that changes nothing, or the piece has no number.
    fn of(piece: &str) -> Option<Self> {
        let is_angled = piece.starts_with('<') && piece.ends_with('>');
        let narrowed = |character: char| match character {
            '（' | '〔' | '【' | '〖' | '［' | '｛' | '〈' | '《' | '＜' => '(',
            '）' | '〕' | '】' | '〗' | '］' | '｝' | '〉' | '》' | '＞' => ')',
            '<' if is_angled => '(',
            '>' if is_angled => ')',
            '：' | '﹕' | '∶' => ':',
            '．' => '.',
            '－' | '−' => '-',
            '０'..='９' => plain_form(character),
            other => other,
        };
        if !is_angled && piece.is_ascii() {
            return None;
        }
        let (mut text, mut places) = (String::with_capacity(piece.len()), Vec::with_capacity(piece.len() + 1));
        for (at, character) in piece.char_indices() {
            let narrow = narrowed(character);
            text.push(narrow);
            places.extend((0..narrow.len_utf8()).map(|byte| at + byte));
        }
        places.push(piece.len());
        (text != piece && text.contains(|digit: char| digit.is_ascii_digit())).then_some(Self { text, places })
    }

    /// Where a part of the text stands in the piece.
    fn place(&self, part: Range<usize>) -> Range<usize> {
        self.places[part.start]..self.places[part.end]
    }

    /// Where a part of the text stands in it.
    fn offset(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.text.as_ptr() as usize;
        start..start + part.len()
    }
}

/// Weights in brackets, colons and digits of other keyboards: `（蓝发：１．２）`, `【hat:1.2】`, `<hat:1.2>`. Returns whether there is
/// one.
fn narrowed(piece: &str, is_tag: bool, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) -> bool {
    let Some(narrow) = Narrow::of(piece) else { return false };
    let text = narrow.text.as_str();
    let number_of = |text: &str| {
        text.trim_end_matches([')', ']']).rsplit_once(':').map_or(0..0, |(_, number)| narrow.offset(number))
    };
    let is_short = is_tag || text.split_whitespace().count() <= 6;
    // Quotes and titles without a number are words: `「蓝发」`.
    let whole = unweighted(text).filter(|plain| is_short && !plain.contains(':') && !number_of(text).is_empty());
    if let Some(plain) = whole {
        let plain = narrow.offset(plain);
        add_weight(0..piece.len(), &text[number_of(text)], &piece[narrow.place(plain)], add);
        return true;
    }
    let mut is_found = false;
    let mut from = 0;
    while let Some(open) = text[from..].find('(').map(|offset| from + offset) {
        let Some(close) = matching(text, open, b'(', b')') else { break };
        let Some((plain, number)) = weighted(&text[open..=close]) else {
            from = open + 1;
            continue;
        };
        let plain = narrow.offset(plain);
        add_weight(narrow.place(open..close + 1), number, &piece[narrow.place(plain)], add);
        (is_found, from) = (true, close + 1);
    }
    is_found
}

/// What stands before the number of a weight: `blue hair:1.2`.
pub(super) fn without_number(text: &str) -> Option<&str> {
    let (plain, number) = text.rsplit_once(':')?;
    (is_weight(&number.replace(',', "."), true) && plain.contains(char::is_alphabetic)).then(|| plain.trim_end())
}

/// Adds a weight with what it weighs, which is written instead if its parentheses are whole.
fn add_weight(
    span: Range<usize>,
    number: &str,
    plain: &str,
    add: &mut impl FnMut(Range<usize>, Pattern, Option<String>),
) {
    // Drawn without its number, it would be the opposite of what was meant.
    if is_against(number) {
        return add(span, Pattern::Against, None);
    }
    add(span, Pattern::Weight, is_balanced(plain).then(|| plain.to_owned()));
}

/// Whether a weight asks for less of a thing: a number of zero or less, or the marks `--`.
fn is_against(number: &str) -> bool {
    let number = number.trim();
    let is_marks = !number.is_empty() && number.bytes().all(|byte| byte == b'-');
    is_marks || number.replace(',', ".").parse::<f32>().is_ok_and(|number| number <= 0.0)
}

/// Whether every bracket of a text has its other half.
fn is_balanced(text: &str) -> bool {
    is_closed(text, '(', ')') && is_closed(text, '[', ']')
}

/// Whether every bracket of one kind has its other half.
fn is_closed(text: &str, open: char, close: char) -> bool {
    let mut depth = 0_usize;
    for character in text.chars() {
        match character {
            _ if character == open => depth += 1,
            _ if character == close && depth == 0 => return false,
            _ if character == close => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

/// A list of tags in parentheses that has one weight: `(a, b:1.2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WeightedGroup {
    /// Where it ends.
    pub(crate) end: usize,
    /// The tags inside.
    pub(crate) inside: Range<usize>,
    /// Whether its weight asks for less of them.
    pub(crate) is_against: bool,
}

/// The group with one weight that begins a text.
pub(crate) fn weighted_group(text: &str) -> Option<WeightedGroup> {
    let close = text.starts_with('(').then(|| matching(text, 0, b'(', b')'))??;
    let (plain, number) = weighted(&text[..=close])?;
    let start = text.find(plain)?;
    let group = WeightedGroup { end: close + 1, inside: start..start + plain.len(), is_against: is_against(number) };
    text[..close].contains(',').then_some(group)
}

/// The text inside `(text:1.2)`, with any number of parentheses around, and the number.
fn weighted(text: &str) -> Option<(&str, &str)> {
    if text.ends_with("\\)") {
        return None;
    }
    let inside = text.trim_matches(['(', ')']);
    let (plain, number) = inside.rsplit_once(':')?;
    (is_weight(&number.replace(',', "."), true) && plain.contains(char::is_alphabetic)).then(|| (plain.trim(), number))
}

pub(super) fn is_number(text: &str) -> bool {
    let digits = text.trim().trim_start_matches('-');
    !digits.is_empty()
        && digits.len() <= 8
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().any(|byte| byte.is_ascii_digit())
}

/// The tag without its weight, if it has one.
fn unweighted(tag: &str) -> Option<&str> {
    let last = *tag.as_bytes().last()?;
    let may_have_one = matches!(last, b')' | b']' | b'0'..=b'9') || tag.starts_with(['(', '[']);
    if !may_have_one {
        return None;
    }
    let opened = tag.trim_start_matches(['(', '[']);
    let openings = tag.len() - opened.len();
    let (stem, closings) = without_closings(opened);
    let (plain, has_number) = match stem.rsplit_once(':') {
        Some((plain, number)) if is_weight(number, closings > 0) && plain.chars().any(char::is_alphabetic) => {
            (plain.trim_end(), true)
        }
        _ => (stem, false),
    };
    if has_number {
        return Some(plain);
    }
    // `((tag))` and `[tag]` are weights as well; `(tag)` and `tag_(series)` are not.
    let is_emphasis = openings > 0 && closings == openings && (openings > 1 || tag.starts_with('['));
    (is_emphasis && stem.contains(char::is_alphabetic) && !stem.ends_with('\\')).then_some(stem)
}

/// The text without the brackets at its end, and how many there were; an escaped one stays.
fn without_closings(text: &str) -> (&str, usize) {
    let mut stem = text;
    let mut count = 0;
    while let Some(shorter) = stem.strip_suffix([')', ']']).filter(|shorter| !shorter.ends_with('\\')) {
        stem = shorter;
        count += 1;
    }
    (stem, count)
}

/// Whether a text is `1.2` or, inside brackets, `2`.
fn is_weight(text: &str, is_bracketed: bool) -> bool {
    let text = text.trim();
    let text = text.strip_prefix('-').filter(|_| is_bracketed).unwrap_or(text);
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    digits > 0 && digits + points == text.len() && points <= 1 && (points == 1 || is_bracketed) && text.len() <= 6
}

/// The length from `at`, where the first `::` of a text stands, to the end of the group with one weight, as NovelAI
/// writes it: `1.2::blue hair, red eyes::`. 0 if there is no group.
pub(super) fn numbered_group(text: &str, at: usize) -> usize {
    const FAR: usize = 1000;
    const MARK: &str = "::";
    let inside = &text[at + MARK.len()..];
    let near = &inside[..inside.floor_char_boundary(FAR)];
    let is_numbered = is_number(text[..at].trim_start());
    let close = near.find(MARK).filter(|close| is_numbered && !near[..*close].contains('\n'));
    close.map_or(0, |close| MARK.len() + close + MARK.len())
}

/// `red_eyes::`, the last tag of a group that began in another one. What the group weighs only its first tag says.
pub(super) fn end_of_group(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    if piece.strip_suffix("::").is_some_and(|stem| stem.contains(char::is_alphabetic)) {
        add(0..piece.len(), Pattern::Weight, None);
    }
}

/// `(blue hair)++` inside a sentence.
pub(super) fn raised(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    const MOST: usize = 16;
    for (open, _) in piece.match_indices('(').take(MOST) {
        let is_start = piece[..open].chars().next_back().is_none_or(char::is_whitespace);
        let Some(close) = matching(piece, open, b'(', b')').filter(|_| is_start) else { continue };
        let behind = &piece[close + 1..];
        let marks = behind.len() - behind.trim_start_matches(['+', '-']).len();
        let is_end = behind[marks..].chars().next().is_none_or(char::is_whitespace);
        let inside = &piece[open + 1..close];
        if (1..=4).contains(&marks) && is_end && inside.contains(char::is_alphabetic) {
            add_weight(open..close + 1 + marks, &behind[..marks], inside, add);
        }
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
    fn weights_are_found_with_what_they_weigh() {
        for (tag, part, plain) in [("ink (wash:1.2)", "(wash:1.2)", "wash"), ("(a:1.2) b", "(a:1.2)", "a")] {
            assert_eq!(patterns(tag, true), [(part.to_owned(), Pattern::Weight, Some(plain.to_owned()))], "{tag}");
        }
        for (tag, plain) in [
            ("(long_hair:1.2)", "long_hair"),
            ("long_hair:1.2", "long_hair"),
            ("((long_hair))", "long_hair"),
            ("[long_hair]", "long_hair"),
            ("((smile:2))", "smile"),
            ("blue_eyes:1.1)", "blue_eyes"),
            ("(rem_\\(re:zero\\):1.2)", "rem_\\(re:zero\\)"),
            ("{{ahoge}}", "ahoge"),
            ("{ahoge}", "ahoge"),
            ("1.3::ponytail::", "ponytail"),
            ("hat::2", "hat"),
            ("(hat)1.3", "hat"),
            ("hat++", "hat"),
            ("（蓝发：1.2）", "蓝发"),
            ("蓝发：1.3", "蓝发"),
            ("（蓝发：１．２）", "蓝发"),
            ("(blue hair:１.２)", "blue hair"),
            ("【blue hair:1.2】", "blue hair"),
            ("〔蓝发：1.2〕", "蓝发"),
            ("《蓝发：1.2》", "蓝发"),
            ("｛hat：1.2｝", "hat"),
            ("<blue hair:1.2>", "blue hair"),
            ("{blue hair:1.2}", "blue hair"),
        ] {
            assert_eq!(patterns(tag, true), [(tag.to_owned(), Pattern::Weight, Some(plain.to_owned()))], "{tag}");
        }
    }

    #[test]
    fn a_weight_that_cannot_be_left_out_has_no_fix() {
        for (tag, pattern) in [
            ("-1::hat::", Pattern::Against),
            ("-1::hat", Pattern::Against),
            ("(bad hands:-1)", Pattern::Against),
            ("(hat:0)", Pattern::Against),
            ("hat--", Pattern::Against),
            ("(hat)-", Pattern::Against),
            ("x_(y:1.2)", Pattern::Weight),
            ("[a, b] - [c]", Pattern::Weight),
        ] {
            assert_eq!(patterns(tag, true), [(tag.to_owned(), pattern, None)], "{tag}");
        }
    }

    #[test]
    fn one_weight_can_hold_for_several_tags() {
        assert_eq!(
            patterns("(blue hair, red eyes:1.3), smile", false),
            [("(blue hair, red eyes:1.3)".to_owned(), Pattern::Weight, Some("blue hair, red eyes".to_owned()))]
        );
        let group = |end, inside, is_against| Some(WeightedGroup { end, inside, is_against });
        assert_eq!(weighted_group("(a, (b):1.2), c"), group(12, 1..7, false));
        assert_eq!(weighted_group("(a:1,2)"), group(7, 1..2, false));
        assert_eq!(weighted_group("(a, b:-1), c"), group(9, 1..5, true));
        assert_eq!(weighted_group("(a:-1,5)"), group(8, 1..2, true));
        assert_eq!(weighted_group("(a, b:0)"), group(8, 1..5, true));
        assert_eq!([weighted_group("(a, b)"), weighted_group("(a:1.2)"), weighted_group("a")], [None, None, None]);
    }
}
