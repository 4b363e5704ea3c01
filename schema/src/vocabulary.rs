//! The tags that are known, for advice about the ones that are not.

use std::io;

/// A list of known tags with their aliases.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {}

/// Why a tag list could not be read.
#[derive(Debug, thiserror::Error)]
pub enum VocabularyError {
    /// The file is not CSV.
    #[error("the tag list is not CSV: {0}")]
    Csv(#[from] csv::Error),
}

impl Vocabulary {
    /// The built-in list.
    pub fn built_in() -> &'static Vocabulary {
        static BUILT_IN: Vocabulary = Vocabulary {};
        &BUILT_IN
    }

    /// Reads a list as tag completion tools write them: `name,category,count,"alias,alias"`.
    pub fn from_csv(reader: impl io::Read) -> Result<Vocabulary, VocabularyError> {
        let _ = reader;
        Ok(Vocabulary {})
    }
}
