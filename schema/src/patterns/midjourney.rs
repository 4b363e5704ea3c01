//! What Midjourney reads inside a text: parameters such as `--ar 3:2`, and parts with weights such as `fox::2 snow::1`.

use std::ops::Range;

use super::weight::is_number;
use super::{Instruction, Pattern};

/// Parameters that ask for less. What follows them must not be drawn.
const WITHOUT: &[&str] = &["no", "neg", "negative", "negative-prompt", "negative_prompt", "uc", "not"];

/// Parameters of Midjourney. Editors write `—` for `--`, which is a parameter only before one of these.
const NAMES: &[&str] = &[
    "ar",
    "aspect",
    "v",
    "version",
    "niji",
    "style",
    "stylize",
    "s",
    "chaos",
    "c",
    "weird",
    "w",
    "quality",
    "q",
    "seed",
    "iw",
    "tile",
    "sref",
    "sw",
    "cref",
    "cw",
    "oref",
    "ow",
    "stop",
    "repeat",
    "r",
    "raw",
    "fast",
    "relax",
    "turbo",
    "draft",
    "personalize",
    "profile",
    "p",
    "hd",
    "upbeta",
    "uplight",
    "test",
    "testp",
    "video",
    "exp",
    "no",
];

/// `--ar 3:2`, `—v 6`, `--no hat`.
pub(super) fn parameters(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    let mut open: Option<usize> = None;
    let mut at = 0;
    for word in piece.split_inclusive(char::is_whitespace) {
        let start = at;
        at += word.len();
        let word = word.trim_end();
        let Some(name) = name(word) else { continue };
        if let Some(open) = open.take() {
            add(open..start, Pattern::Instruction(Instruction::Parameter), Some(String::new()));
        }
        match WITHOUT.contains(&name) {
            true => add(start..start + word.len(), Pattern::Without, None),
            // What follows `--prompt` is the prompt.
            false if name.contains("prompt") => {
                add(start..start + word.len(), Pattern::Instruction(Instruction::Parameter), None);
            }
            false => open = Some(start),
        }
    }
    if let Some(open) = open {
        add(open..piece.len(), Pattern::Instruction(Instruction::Parameter), Some(String::new()));
    }
}

/// The name of a parameter.
fn name(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--").filter(|name| name.starts_with(|first: char| first.is_ascii_alphabetic()));
    let is_known = |name: &&str| NAMES.contains(name);
    name.or_else(|| word.strip_prefix(['—', '–']).filter(is_known))
}

/// `fox::2 snow::1`, and `cat:: dog`, which are parts of their own.
pub(super) fn parts(piece: &str, add: &mut impl FnMut(Range<usize>, Pattern, Option<String>)) {
    // Each look goes back to the last part.
    const MOST: usize = 64;
    const LONGEST_WEIGHT: usize = 12;
    let mut start = 0;
    for (at, mark) in piece.match_indices("::").take(MOST) {
        let before = &piece[start.min(at)..at];
        let behind = &piece[at + mark.len()..];
        let near = &behind[..behind.floor_char_boundary(LONGEST_WEIGHT)];
        let word = &near[..near.find(char::is_whitespace).unwrap_or(near.len())];
        let is_part = (word.is_empty() || is_number(word)) && before.contains(char::is_alphabetic);
        // `1.2::a, b::` is a weight that began before.
        if at < start || !is_part || (word.is_empty() && behind.trim().is_empty()) {
            continue;
        }
        let end = at + mark.len() + word.len();
        let begin = start + before.len() - before.trim_start().len();
        start = end;
        let separator = if piece[end..].trim().is_empty() { "" } else { "," };
        let is_less =
            word.starts_with('-') || (!word.is_empty() && word.bytes().all(|byte| matches!(byte, b'0' | b'.')));
        match () {
            () if is_less => add(begin..end, Pattern::Against, None),
            () if word.is_empty() => {
                add(at..end, Pattern::Instruction(Instruction::Keyword), Some(separator.to_owned()));
            }
            () => add(begin..end, Pattern::Weight, Some(format!("{}{separator}", before.trim()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan;
    use super::*;

    fn found(text: &str) -> Vec<(&str, Pattern, Option<String>)> {
        scan(text, false).into_iter().map(|found| (&text[found.span], found.pattern, found.plain)).collect()
    }

    #[test]
    fn parameters_are_found_behind_long_dashes_too() {
        let parameter = Pattern::Instruction(Instruction::Parameter);
        for text in ["a fox --ar 3:2", "a fox —ar 3:2", "a fox –ar 3:2"] {
            let at = text.find(['-', '—', '–']).unwrap_or(0);
            assert_eq!(found(text), [(&text[at..], parameter, Some(String::new()))], "{text}");
        }
        assert_eq!(found("a fox --no hat"), [("--no", Pattern::Without, None)]);
        for text in ["a fox — a red one", "a fox —red", "a girl – no"] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn parts_are_found_with_their_weights() {
        let weight = |text: &str| Some(text.to_owned());
        assert_eq!(
            found("a red fox::2 snow::1"),
            [("a red fox::2", Pattern::Weight, weight("a red fox,")), ("snow::1", Pattern::Weight, weight("snow"))]
        );
        assert_eq!(
            found("hot::2 dog::-1"),
            [("hot::2", Pattern::Weight, weight("hot,")), ("dog::-1", Pattern::Against, None)]
        );
        assert_eq!(found("cat:: dog"), [("::", Pattern::Instruction(Instruction::Keyword), weight(","))]);
        for text in ["std::vector", "::", "7::7"] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
