//! The instruction that many tools put in front of the prompt.

use std::ops::Range;

use crate::names;

/// A system prompt in front of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemPrompt {
    /// Where it stands, without blanks at its ends; `<Prompt Start>` belongs to it.
    pub(crate) span: Range<usize>,
    /// Where the prompt begins.
    pub(crate) until: usize,
}

/// The words that end every system prompt of the model's training.
pub(super) const MARKER: &str = "<prompt start>";

/// Finds a system prompt that begins at `start` or after blanks.
///
/// Two things are one: text without markup up to `<Prompt Start>`, and text that addresses an assistant (`You are …`)
/// up to the first block or, without blocks, to the end of its sentence.
pub(crate) fn split(text: &str, start: usize) -> Option<SystemPrompt> {
    let begin = start + (text[start..].len() - text[start..].trim_start().len());
    let rest = &text[begin..];
    let bracket = rest.find('<');
    if let Some(at) = bracket {
        let marker = rest.get(at..at + MARKER.len());
        if marker.is_some_and(|marker| marker.eq_ignore_ascii_case(MARKER)) {
            return Some(up_to(text, begin, begin + at + MARKER.len()));
        }
    }
    if !starts_with(rest, "You are ") {
        return None;
    }
    if let Some(block) = first_block(rest) {
        return Some(up_to(text, begin, begin + block));
    }
    let sentence = rest.find(". ").or_else(|| rest.ends_with('.').then(|| rest.len() - 1))? + 1;
    starts_with(rest, "You are an assistant").then(|| up_to(text, begin, begin + sentence))
}

fn up_to(text: &str, begin: usize, end: usize) -> SystemPrompt {
    let until = text.len() - text[end..].trim_start().len();
    SystemPrompt { span: begin..begin + text[begin..end].trim_end().len(), until }
}

/// Where the first tag of a known name, or a JSON object, begins.
fn first_block(text: &str) -> Option<usize> {
    text.match_indices(['<', '{']).map(|(at, _)| at).find(|at| {
        let behind = &text[at + 1..];
        if text[*at..].starts_with('{') {
            return behind.trim_start().starts_with(['"', '<']);
        }
        let end = behind.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(0);
        let name = &behind[..end];
        names::kind(name).is_some() || name == "prompt" || name == "character"
    })
}

fn starts_with(text: &str, words: &str) -> bool {
    text.get(..words.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = split(text, 0).map(|found| (&text[found.span], &text[found.until..]));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_marker_ends_a_system_prompt() {
        check(
            "Draw well. <Prompt Start> <caption>x</caption>",
            Some(("Draw well. <Prompt Start>", "<caption>x</caption>")),
        );
        check("<Prompt Start>1girl", Some(("<Prompt Start>", "1girl")));
        check("You are an assistant. <Prompt Start>", Some(("You are an assistant. <Prompt Start>", "")));
        check("<caption>a <Prompt Start> b</caption>", None);
    }

    #[test]
    fn an_address_is_one_without_marker() {
        check("You are a painter.\n<img>x</img>", Some(("You are a painter.", "<img>x</img>")));
        check("You are a painter. {\"tags\": 1}", Some(("You are a painter.", "{\"tags\": 1}")));
        check(
            "You are an assistant designed to generate images. 1girl, solo",
            Some(("You are an assistant designed to generate images.", "1girl, solo")),
        );
        check("You are a princess. In a castle.", None);
        check("1girl, solo", None);
        check("", None);
    }
}
