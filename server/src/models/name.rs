//! Names that models are given.

/// Bytes of the name that a model is given.
pub(crate) const MODEL_NAME_BYTES_MAX: usize = 64;

/// Whether a text has the letters of a name: letters, digits, `.`, `_` and `-`, the first a letter or a digit.
pub(crate) fn has_name_letters(text: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.chars().all(is_allowed)
}

/// Whether a text may be the name that a model is given.
#[cfg(feature = "burn")]
pub(crate) fn is_model_name(text: &str) -> bool {
    has_name_letters(text) && text.len() <= MODEL_NAME_BYTES_MAX
}
