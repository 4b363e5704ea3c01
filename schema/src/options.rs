//! How a prompt is to be checked.

use std::collections::BTreeMap;

use crate::limits::Limits;
use crate::vocabulary::Vocabulary;

/// How strictly text is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// What can be repaired without loss is repaired and reported as a warning.
    #[default]
    Lenient,
    /// What the XSD refuses is an error.
    Strict,
}

/// How strict a check is, and what it knows of the model.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckOptions<'a> {
    /// How strictly text is read.
    pub strictness: Strictness,
    /// How much is read.
    pub limits: Limits,
    /// The tags to compare with; `None` takes the built-in ones.
    pub vocabulary: Option<&'a Vocabulary>,
    /// The tags that the model of the prompt was trained with, by element, for the advice `unknown-to-model`. `None`: not known.
    pub model_tags: Option<&'a BTreeMap<String, Vec<String>>>,
}
