//! The thoughts of a reasoning model, and the marks between its messages.

use std::borrow::Cow;
use std::ops::Range;

use super::{Opening, Stop, markup};
use crate::rules::envelope_removed;
use crate::source::Change;

/// Elements that hold thoughts, in lower case.
const NAMES: &[&str] = &[
    "think",
    "thinking",
    "thinks",
    "thought",
    "thoughts",
    "reasoning",
    "reason",
    "reflection",
    "scratchpad",
    "analysis",
    "plan",
    "planning",
    "inner_monologue",
    "redacted_thinking",
    "chain_of_thought",
    "internal",
    "explanation",
    "notes",
    "commentary",
];

/// Other marks around thoughts.
const PAIRS: &[(&str, &str)] = &[
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<seed:think>", "</seed:think>"),
    ("<|thinking|>", "<|/thinking|>"),
];

/// Most thoughts that are removed from one text.
const MOST: usize = 16;

/// What begins the answer proper in formats that mark their messages.
const ANSWERS: &[&str] = &[
    "<|channel|>final<|message|>",
    "<|begin_of_solution|>",
    "<|START_RESPONSE|>",
    "[/INST]",
    "<start_of_turn>model",
    "<|im_start|>assistant",
    "<|start_header_id|>assistant<|end_header_id|>",
    "<|assistant|>",
    "<|Assistant|>",
    "<｜Assistant｜>",
    "<|CHATBOT_TOKEN|>",
    "<|im_assistant|>",
];

/// What begins the next question behind an answer.
const QUESTIONS: &[&str] = &[
    "<|im_start|>user",
    "<|start_header_id|>user",
    "<|user|>",
    "<|User|>",
    "<｜User｜>",
    "<|USER_TOKEN|>",
    "<start_of_turn>user",
    "[INST]",
];

/// Other marks between messages.
const MARKS: &[&str] = &["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<s>", "</s>", "[INST]", "[/INST]"];

impl Opening<'_, '_> {
    /// Removes thoughts; ones without an end are an error, since nobody knows where the prompt begins.
    pub(super) fn remove_thoughts(&mut self) -> Result<(), Stop> {
        let left = self.left();
        // Nearly every text has none.
        let has_mark = ["[THINK]", "◁", "<|", "<｜", "<seed:", "[/INST]", "<start_of_turn>"]
            .iter()
            .any(|mark| left.contains(mark))
            || has_outer_mark(left);
        if !has_mark && !has_name(left) {
            return Ok(());
        }
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let answers = ANSWERS.iter().filter_map(|mark| left.rfind(mark).map(|at| at + mark.len()));
        // Inside an element such a mark is text.
        let is_answer = |answer: &usize| has_content(&left[*answer..]) && markup::open_elements(&left[..*answer]) == 0;
        if let Some(answer) = answers.filter(is_answer).max() {
            ranges.push(0..answer);
        } else if let Some(second) = second_message(left) {
            let second = self.window.start + second.start..self.window.start + second.end;
            self.report(envelope_removed::several_prompts(second));
            return Err(Stop);
        }
        let mut at = ranges.last().map_or(0, |range| range.end);
        while ranges.len() < MOST {
            match next(left, at) {
                None => break,
                Some(Found::Whole(range)) => {
                    at = range.end;
                    ranges.push(range);
                }
                Some(Found::End(end)) => {
                    ranges.clear();
                    ranges.push(0..end);
                    at = end;
                }
                Some(Found::Start(open)) => {
                    let start = self.window.start;
                    self.report(envelope_removed::endless_thoughts(start + open.start..start + open.end));
                    return Err(Stop);
                }
            }
        }
        let question = ranges.first().and_then(|answer| {
            let begins = QUESTIONS.iter().filter_map(|mark| left[at..].find(mark));
            begins.min().map(|offset| at + offset).filter(|_| answer.start == 0)
        });
        let end = question.unwrap_or(left.len());
        if end < left.len() {
            ranges.push(end..left.len());
        }
        let mut marks = special_tokens(&left[..end], at);
        marks.extend(outer_marks(&left[..end], at));
        marks.sort_by_key(|mark| mark.start);
        let start = self.window.start;
        let shift = |range: &Range<usize>| start + range.start..start + range.end;
        let (thoughts, marks): (Vec<_>, Vec<_>) =
            (ranges.iter().map(shift).collect(), marks.iter().map(shift).collect());
        for range in &thoughts {
            self.report(envelope_removed::thoughts(range.clone(), &self.source.text[range.clone()]));
        }
        for range in &marks {
            self.report(envelope_removed::special_token(range.clone(), &self.source.text[range.clone()]));
        }
        let changes: Vec<Change> = thoughts.into_iter().chain(marks).map(|range| (range, Cow::Borrowed(""))).collect();
        if !changes.is_empty() {
            self.replace(&changes);
        }
        Ok(())
    }
}

enum Found {
    /// Thoughts from their start tag to their end tag.
    Whole(Range<usize>),
    /// An end tag whose start tag the model's template has swallowed; its end.
    End(usize),
    /// A start tag without an end tag.
    Start(Range<usize>),
}

/// Whether a tag of thoughts may stand in a text.
fn has_name(text: &str) -> bool {
    text.match_indices('<').any(|(at, _)| thought_tag(&text[at..]).is_some())
}

/// The name in a start or end tag of thoughts at the beginning of a text, whether it is an end tag, and its length.
fn thought_tag(text: &str) -> Option<(&str, bool, usize)> {
    let inside = text.strip_prefix('<')?;
    let (inside, is_end) = match inside.strip_prefix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let name = markup::name_at(inside);
    let is_thought = NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
    let close = is_thought.then(|| inside.find(['>', '<']))?.filter(|close| inside[*close..].starts_with('>'))?;
    let is_single = inside[..close].ends_with('/');
    (!is_single).then(|| (name, is_end, text.len() - inside.len() + close + 1))
}

fn next(text: &str, from: usize) -> Option<Found> {
    let element = text[from..].match_indices('<').find_map(|(offset, _)| {
        let at = from + offset;
        thought_tag(&text[at..]).map(|(name, is_end, length)| (at, name, is_end, length))
    });
    let pair = PAIRS.iter().filter_map(|(open, close)| text[from..].find(open).map(|at| (from + at, *open, *close)));
    let pair = pair.min_by_key(|(at, ..)| *at);
    match (element, pair) {
        (element, Some((at, open, close))) if element.is_none_or(|(start, ..)| at <= start) => {
            Some(match text[at..].find(close) {
                Some(offset) => Found::Whole(at..at + offset + close.len()),
                None => Found::Start(at..at + open.len()),
            })
        }
        (Some((_, _, true, length)), _) if from == 0 => {
            let (at, ..) = element?;
            Some(Found::End(at + length))
        }
        (Some((at, name, false, length)), _) => {
            let ends = text[at + length..].match_indices("</").map(|(offset, _)| at + length + offset);
            let end = ends.filter_map(|end| {
                let (closing, is_end, length) = thought_tag(&text[end..])?;
                (is_end && closing.eq_ignore_ascii_case(name)).then_some(end + length)
            });
            Some(match end.min() {
                Some(end) => Found::Whole(at..end),
                None => Found::Start(at..at + length),
            })
        }
        _ => None,
    }
}

/// Whether something but marks stands in an answer.
fn has_content(answer: &str) -> bool {
    let mut at = 0;
    let mut is_found = false;
    for token in special_tokens(answer, 0) {
        is_found |= answer[at..token.start].contains(char::is_alphanumeric);
        at = token.end;
    }
    is_found || answer[at..].contains(char::is_alphanumeric)
}

/// The second of several messages that are no answers: which one is the prompt only a person knows.
fn second_message(text: &str) -> Option<Range<usize>> {
    let is_message = |token: &Range<usize>| {
        let token = text[token.clone()].to_ascii_lowercase();
        ["user", "system", "human"].iter().any(|role| token.contains(role))
    };
    let mut messages = special_tokens(text, 0).into_iter().filter(is_message);
    let first = messages.next()?;
    let second = messages.next()?;
    has_content(&text[first.end..second.start]).then_some(second).filter(|second| has_content(&text[second.end..]))
}

/// Marks such as `<|im_end|>` from an offset on.
fn special_tokens(text: &str, from: usize) -> Vec<Range<usize>> {
    const LONGEST: usize = 48;
    let mut tokens = Vec::new();
    let mut at = from;
    while let Some(offset) = text[at..].match_indices('<').map(|(offset, _)| offset).find(|offset| {
        let behind = &text[at + offset + 1..];
        behind.starts_with('|') || behind.starts_with('｜')
    }) {
        let start = at + offset;
        let (open, close) = if text[start..].starts_with("<|") { ("<|", "|>") } else { ("<｜", "｜>") };
        let inside = start + open.len();
        let near = &text[inside..text.floor_char_boundary(start + LONGEST).max(inside)];
        let end = near.find(close).map(|length| inside + length + close.len());
        match end.filter(|end| !text[start..*end].contains(['\n', ' '])) {
            Some(mut end) => {
                // The role of the message follows.
                if text[start..end].contains("start") {
                    let role = text[end..].bytes().take_while(u8::is_ascii_alphabetic).count();
                    let is_role = ["assistant", "user", "system", "model"].contains(&&text[end..end + role]);
                    end += if is_role { role } else { 0 };
                }
                tokens.push(start..end);
                at = end;
            }
            None => at = inside,
        }
    }
    tokens
}

fn has_outer_mark(text: &str) -> bool {
    let text = text.trim();
    MARKS.iter().any(|mark| text.starts_with(mark) || text.ends_with(mark))
}

/// Marks such as `</s>` at the two ends of a text, from an offset on; elsewhere they may be markup.
fn outer_marks(text: &str, from: usize) -> Vec<Range<usize>> {
    let mut marks = Vec::new();
    let (mut start, mut end) = (from, text.len());
    loop {
        let left = &text[start..end];
        let (blank, kept) = (left.len() - left.trim_start().len(), left.trim_end().len());
        if let Some(mark) = MARKS.iter().find(|mark| left.trim_start().starts_with(**mark)) {
            marks.push(start + blank..start + blank + mark.len());
            start += blank + mark.len();
        } else if let Some(mark) = MARKS.iter().find(|mark| left[..kept].ends_with(**mark)) {
            marks.push(start + kept - mark.len()..start + kept);
            end = start + kept - mark.len();
        } else {
            return marks;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_at_the_ends_are_found() {
        assert_eq!(outer_marks("<s> <caption>a</caption></s>\n", 0), [0..3, 24..28]);
        assert!(outer_marks("a<s>b", 0).is_empty());
        assert_eq!(outer_marks("<s><s></s>", 0), [0..3, 3..6, 6..10]);
    }

    #[test]
    fn thoughts_are_found_with_and_without_their_start() {
        let text = "<think>maybe <character_1></think><caption>x</caption>";
        assert!(matches!(next(text, 0), Some(Found::Whole(range)) if &text[range.end..] == "<caption>x</caption>"));
        assert!(matches!(next("so</think>x", 0), Some(Found::End(10))));
        assert!(matches!(next("<Thinking>x", 0), Some(Found::Start(range)) if range == (0..10)));
        assert!(matches!(next("[THINK]a[/THINK]b", 0), Some(Found::Whole(range)) if range == (0..16)));
        assert!(next("<caption>I think</caption>", 0).is_none());
    }

    #[test]
    fn special_tokens_are_short_and_in_one_piece() {
        assert_eq!(special_tokens("a<|im_end|>b", 0).first(), Some(&(1..11)));
        assert!(special_tokens("<| a b |> |_|", 0).is_empty());
    }
}
