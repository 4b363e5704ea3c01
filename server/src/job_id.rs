//! [`JobId`].

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

/// Identifies a job: a UUID of version 7, so ids sort by creation time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct JobId(Arc<str>);

impl JobId {
    /// A new id: a UUID of version 7, so ids sort by the time of creation.
    pub(crate) fn new() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The id with this text from the store, which is not checked.
    pub(crate) fn named(text: &str) -> Self {
        Self(text.into())
    }

    /// The id that a client wrote, in capitals or not; `None` if the text is not a UUID with hyphens.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The parser accepts other lengths for forms without hyphens, with braces and with a prefix.
        let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36)?;
        Some(Self(uuid.to_string().into()))
    }

    /// When an id was made, in milliseconds since 1970, if the text is one with a time.
    pub(crate) fn milliseconds(text: &str) -> Option<i64> {
        let (seconds, nanos) = Uuid::try_parse(text).ok()?.get_timestamp()?.to_unix();
        i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_add(i64::from(nanos / 1_000_000))
    }

    /// The id as text, in lower case.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_capitals_too_and_other_texts_are_refused() {
        let id = JobId::new();
        assert_eq!(JobId::parse(id.as_str()), Some(id.clone()));
        assert_eq!(JobId::parse(&id.as_str().to_uppercase()), Some(id.clone()));
        let simple = id.as_str().replace('-', "");
        for text in ["", "my-request", "0", &simple, &format!("{{{id}}}"), &format!("urn:uuid:{id}"), &format!("{id} ")]
        {
            assert_eq!(JobId::parse(text), None, "{text}");
        }
    }
}
