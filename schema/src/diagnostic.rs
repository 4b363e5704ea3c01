//! One finding about a prompt's text: code, severity, message, place, and how to fix it.

use std::fmt;
use std::ops::Range;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::position::Position;

/// One finding about a prompt's text.
///
/// Every position is one of the text that was handed in, also when the prompt stood inside an envelope such as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable kebab-case name of the rule, such as `unknown-element`; [`rules::all`](crate::rules::all) documents it.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// Byte range in the text; always on character boundaries. Empty for what is missing.
    pub span: Range<usize>,
    /// Where the span starts.
    pub start: Position,
    /// Where the span ends, exclusive.
    pub end: Position,
    /// Where in the prompt, such as `character_2/appearance`. Empty for the whole text.
    pub path: String,
    /// How to fix it, if something can be proposed.
    pub fix: Option<Fix>,
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing has to change.
    Advice,
    /// The prompt is accepted, perhaps after a repair, but something is probably not meant.
    Warning,
    /// The prompt is not valid.
    Error,
}

/// How to fix a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What to do, as a phrase in the imperative.
    pub description: String,
    /// The exact edits that do it, in the order of the text and without overlap. Empty if only a person can decide.
    pub edits: Vec<Edit>,
}

/// Replaces a byte range of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The bytes to replace; always on character boundaries. Empty to insert.
    pub span: Range<usize>,
    /// What stands there afterwards.
    pub replacement: String,
}

impl Severity {
    /// The severity in lower case, as JSON and terminals show it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Advice => "advice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Fix {
    /// The text with the edits applied.
    ///
    /// `text` has to be the text that was checked. Edits that do not fit another text are left out instead of
    /// panicking.
    pub fn apply(&self, text: &str) -> String {
        apply_edits(text, &self.edits)
    }
}

/// Applies edits that are in the order of the text; an edit that overlaps an earlier one or lies outside is left out.
pub(crate) fn apply_edits(text: &str, edits: &[Edit]) -> String {
    let mut fixed = String::with_capacity(text.len() + edits.iter().map(|edit| edit.replacement.len()).sum::<usize>());
    let mut copied = 0;
    for edit in edits {
        let Some(between) = text.get(copied..edit.span.start) else { continue };
        if text.get(edit.span.clone()).is_none() {
            continue;
        }
        fixed.push_str(between);
        fixed.push_str(&edit.replacement);
        copied = edit.span.end;
    }
    fixed.push_str(text.get(copied..).unwrap_or_default());
    fixed
}

impl Diagnostic {
    /// The finding on one line: `3:14: warning[unescaped-markup] general_tags/style: message`.
    pub fn to_line(&self) -> String {
        let place = if self.path.is_empty() { String::new() } else { format!(" {}", self.path) };
        format!("{}:{}: {}[{}]{place}: {}", self.start.line, self.start.column, self.severity, self.code, self.message)
    }
}

/// The shape that `sakuga validate --json` prints: `{"code", "severity", "message", "line", "column", "end_line",
/// "end_column", "path", "fix"}`.
impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Diagnostic", 9)?;
        object.serialize_field("code", self.code)?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("line", &self.start.line)?;
        object.serialize_field("column", &self.start.column)?;
        object.serialize_field("end_line", &self.end.line)?;
        object.serialize_field("end_column", &self.end.column)?;
        object.serialize_field("path", &self.path)?;
        object.serialize_field("fix", &self.fix)?;
        object.end()
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `{"description", "edits"}`.
impl Serialize for Fix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Fix", 2)?;
        object.serialize_field("description", &self.description)?;
        object.serialize_field("edits", &self.edits)?;
        object.end()
    }
}

/// `{"start", "end", "replacement"}`, the range in bytes.
impl Serialize for Edit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Edit", 3)?;
        object.serialize_field("start", &self.span.start)?;
        object.serialize_field("end", &self.span.end)?;
        object.serialize_field("replacement", &self.replacement)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(span: Range<usize>, replacement: &str) -> Edit {
        Edit { span, replacement: replacement.to_owned() }
    }

    #[test]
    fn edits_apply_from_left_to_right() {
        let fix = Fix { description: String::new(), edits: vec![edit(1..2, "&lt;"), edit(3..3, "!")] };
        assert_eq!(fix.apply("a<b"), "a&lt;b!");
    }

    #[test]
    fn edits_that_do_not_fit_are_left_out() {
        let fix = Fix { description: String::new(), edits: vec![edit(0..2, "x"), edit(1..3, "y"), edit(9..12, "z")] };
        assert_eq!(fix.apply("abcd"), "xcd");
        assert_eq!(Fix { description: String::new(), edits: vec![edit(1..2, "")] }.apply("é"), "é");
    }

    #[test]
    fn severities_are_ordered_by_weight() {
        assert!(Severity::Error > Severity::Warning && Severity::Warning > Severity::Advice);
    }
}
