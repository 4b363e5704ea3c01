//! Words around a prompt: labels such as `Negative prompt:`, and what a language model says before and after.

mod label;
mod talk;

pub(crate) use label::{
    Label, announces_writing, any_label, asks_for_less, bare_negative, heading, inline_negative, is_doubtful_name,
    is_everyday, is_measure, is_negative_name, is_positive_name, is_technical, orders_less, vague_negative,
};
pub(crate) use talk::{announces_another, is_announcement, is_greeting, is_sentence, is_talk, is_title};

/// Whether a text begins with some words, whatever their case.
pub(crate) fn starts_with(text: &str, words: &str) -> bool {
    let mut characters = text.chars().flat_map(char::to_lowercase);
    words.chars().all(|expected| characters.next() == Some(expected))
}
