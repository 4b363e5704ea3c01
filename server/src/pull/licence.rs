//! The terms of a model, and whether they were accepted.

use std::fmt::{self, Display};

use sakuga_proto::text::count;

use super::error::shown;

/// The most lines of a licence's text that are shown.
const SHOWN_LINES: usize = 24;

/// What a source says about the terms of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licence {
    /// Its identifier or name.
    pub name: Option<String>,
    /// Where its text is.
    pub link: Option<String>,
    /// Its text, if the repository has it.
    pub text: Option<String>,
}

impl Licence {
    /// The name, or `not stated`.
    pub fn name(&self) -> String {
        self.name.as_deref().map_or_else(|| "not stated".to_owned(), shown)
    }
}

impl Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "licence: {}", shown(name))?,
            None => write!(f, "licence: the source states none; ask its author what is allowed")?,
        }
        if let Some(link) = &self.link {
            write!(f, " ({})", shown(link))?;
        }
        if let Some(text) = &self.text {
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().take(SHOWN_LINES) {
                write!(f, "\n  {}", shown(line))?;
            }
            if lines.len() > SHOWN_LINES {
                write!(f, "\n  … {}", count(lines.len() - SHOWN_LINES, "more line"))?;
            }
        }
        Ok(())
    }
}

/// What was decided about a licence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The person or the flag has accepted the terms.
    Accepted,
    /// The person has refused the terms.
    Refused,
    /// There was no terminal to ask on.
    NobodyAsked,
}
