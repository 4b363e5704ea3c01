//! Collects findings while a text is read, and turns them into diagnostics of the text that was handed in.

pub(crate) mod too_many;

use std::borrow::Cow;
use std::ops::Range;

use crate::diagnostic::{Diagnostic, Edit, Fix, Severity};
use crate::limits::Limits;
use crate::options::Strictness;
use crate::position::{Cursor, PositionMap};
use crate::rule::RuleDoc;

/// A finding whose positions are those of the text being read.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    rule: &'static RuleDoc,
    severity: Severity,
    message: String,
    span: Range<usize>,
    path: String,
    fix: Option<Fix>,
    /// Whether no fix of another finding may change its place.
    is_guarded: bool,
}

impl Finding {
    /// A finding of a rule, with the rule's severity.
    pub(crate) fn new(rule: &'static RuleDoc, span: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        Finding { rule, severity: rule.severity, message, span, path: String::new(), fix: None, is_guarded: false }
    }

    /// Says where in the prompt.
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Makes it an error: it could not be repaired without loss.
    pub(crate) fn into_error(mut self) -> Self {
        self.severity = Severity::Error;
        self
    }

    /// No fix of another finding may change its place: what it is about would be lost, and the text valid without it.
    pub(crate) fn guarded(mut self) -> Self {
        self.is_guarded = true;
        self
    }

    /// The same finding with the severity of a warning.
    pub(crate) fn into_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The finding with its places in the text that `map` leads to.
    pub(crate) fn mapped(mut self, map: &PositionMap, write_back: WriteBack) -> Self {
        self.span = map.origin(self.span);
        if let Some(fix) = &mut self.fix {
            write_back.apply(&mut fix.edits);
            for edit in &mut fix.edits {
                edit.span = map.origin(edit.span.clone());
            }
            fix.edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        }
        self
    }

    /// The same finding with the severity of advice.
    pub(crate) fn into_advice(mut self) -> Self {
        self.severity = Severity::Advice;
        self
    }

    /// Whether it says how to correct it.
    pub(crate) fn has_help(&self) -> bool {
        self.fix.is_some()
    }

    /// Adds edits to what is said already.
    pub(crate) fn with_edits(mut self, edits: impl Into<Vec<Edit>>) -> Self {
        if let Some(fix) = &mut self.fix {
            fix.edits = edits.into();
        }
        self
    }

    /// Says how a person can correct it.
    pub(crate) fn help(mut self, description: impl Into<String>) -> Self {
        self.fix = Some(Fix { description: description.into(), edits: Vec::new() });
        self
    }

    /// Says how to correct it and adds the edits that do.
    pub(crate) fn fix(mut self, description: impl Into<String>, edits: impl Into<Vec<Edit>>) -> Self {
        let mut edits = edits.into();
        edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
        self.fix = Some(Fix { description: description.into(), edits });
        self
    }
}

/// How a replacement is written into the text that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteBack {
    Verbatim,
    /// Inside a JSON string.
    Json,
    /// Not at all: the text was derived in a way that no edit leads back from.
    None,
}

impl WriteBack {
    fn apply(self, edits: &mut Vec<Edit>) {
        match self {
            WriteBack::Verbatim => {}
            WriteBack::Json => {
                for edit in edits {
                    let quoted = serde_json::Value::from(edit.replacement.as_str()).to_string();
                    edit.replacement = quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned();
                }
            }
            WriteBack::None => edits.clear(),
        }
    }
}

/// An edit that replaces `span`.
pub(crate) fn replace(span: Range<usize>, replacement: impl Into<String>) -> Edit {
    Edit { span, replacement: replacement.into() }
}

/// An edit that inserts at `offset`.
pub(crate) fn insert(offset: usize, text: impl Into<String>) -> Edit {
    replace(offset..offset, text)
}

/// An edit that removes `span`.
pub(crate) fn remove(span: Range<usize>) -> Edit {
    replace(span, "")
}

/// User text for a message: on one line, at most 40 characters.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    const MOST: usize = 40;
    let text = text.trim();
    let is_plain = text.len() <= MOST && !text.bytes().any(|byte| byte < b' ');
    if is_plain {
        return Cow::Borrowed(text);
    }
    let mut short: String =
        text.chars().take(MOST).map(|character| if character.is_control() { ' ' } else { character }).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    Cow::Owned(short)
}

/// The findings so far, within the limit.
pub(crate) struct Findings {
    found: Vec<Finding>,
    strictness: Strictness,
    most: usize,
    left_out: usize,
    left_out_severity: Severity,
    /// Prefix of the paths of findings: empty, or an element's name.
    prefix: &'static str,
}

impl Findings {
    pub(crate) fn new(strictness: Strictness, limits: &Limits) -> Self {
        let most = limits.max_diagnostics;
        Findings { found: Vec::new(), strictness, most, left_out: 0, left_out_severity: Severity::Advice, prefix: "" }
    }

    /// Whether what the XSD refuses is an error.
    pub(crate) fn is_strict(&self) -> bool {
        self.strictness == Strictness::Strict
    }

    /// Lets the path of every later finding begin with an element's name.
    pub(crate) fn set_prefix(&mut self, prefix: &'static str) {
        self.prefix = prefix;
    }

    /// Adds a finding; a strict check raises what the XSD refuses to an error.
    pub(crate) fn push(&mut self, mut finding: Finding) {
        if self.is_strict() && finding.rule.strict_severity == Severity::Error {
            finding.severity = Severity::Error;
        }
        if !self.prefix.is_empty() {
            finding.path = match finding.path.is_empty() {
                true => self.prefix.to_owned(),
                false => format!("{}/{}", self.prefix, finding.path),
            };
        }
        if self.found.len() >= self.most {
            self.left_out += 1;
            self.left_out_severity = self.left_out_severity.max(finding.severity);
            return;
        }
        self.found.push(finding);
    }

    /// A mark for [`Findings::rewind`].
    pub(crate) fn mark(&self) -> usize {
        self.found.len()
    }

    /// Removes the findings since the mark, but for those of the rules in `keep`.
    pub(crate) fn rewind(&mut self, mark: usize, keep: &[&'static RuleDoc]) {
        let withdrawn = self.found.split_off(mark.min(self.found.len()));
        self.found
            .extend(withdrawn.into_iter().filter(|finding| keep.iter().any(|rule| rule.code == finding.rule.code)));
        // The findings that did not fit came after those that are kept.
        self.left_out = 0;
        self.left_out_severity = Severity::Advice;
    }

    /// The diagnostics, in the order of the text. `map` leads from the text that was read to `original`, and
    /// `write_back` says how a replacement is written there.
    pub(crate) fn finish(mut self, original: &str, map: &PositionMap, write_back: WriteBack) -> Vec<Diagnostic> {
        for finding in &mut self.found {
            finding.span = on_boundaries(original, map.origin(finding.span.clone()));
        }
        // Only now: a JSON envelope may hold the caption before the tags.
        self.found.sort_by_key(|finding| finding.span.start);
        let guarded = self.found.iter().filter(|finding| finding.is_guarded).map(|finding| finding.span.clone());
        let guarded: Vec<Range<usize>> = guarded.collect();
        let touches_guarded =
            |edit: &Edit| guarded.iter().any(|span| edit.span.start < span.end && span.start < edit.span.end);
        let mut cursor = Cursor::new(original);
        let mut diagnostics = Vec::with_capacity(self.found.len() + 1);
        for finding in self.found {
            let span = finding.span;
            let start = cursor.seek(span.start);
            let end = cursor.clone().seek(span.end);
            let fix = finding.fix.map(|fix| {
                let mut edits = fix.edits;
                write_back.apply(&mut edits);
                for edit in &mut edits {
                    edit.span = on_boundaries(original, map.origin(edit.span.clone()));
                }
                edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
                // Places that were decoded as a whole can meet.
                let meet = edits.windows(2).any(|pair| pair[1].span.start < pair[0].span.end);
                if meet || edits.iter().any(touches_guarded) {
                    edits.clear();
                }
                Fix { description: fix.description, edits }
            });
            diagnostics.push(Diagnostic {
                code: finding.rule.code,
                severity: finding.severity,
                message: finding.message,
                span,
                start,
                end,
                path: finding.path,
                fix,
            });
        }
        if self.left_out > 0 {
            let end = cursor.seek(original.len());
            diagnostics.push(Diagnostic {
                code: too_many::RULE.code,
                severity: self.left_out_severity,
                message: too_many::message(self.left_out),
                span: original.len()..original.len(),
                start: end,
                end,
                path: String::new(),
                fix: None,
            });
        }
        diagnostics
    }
}

/// The range, widened to character boundaries and cut at the end of the text.
fn on_boundaries(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt(" red_eyes\n"), "red_eyes");
        assert_eq!(excerpt("red\neyes"), "red eyes");
        let long = "猫".repeat(50);
        assert_eq!(excerpt(&long).chars().count(), 41);
    }

    #[test]
    fn spans_end_on_characters() {
        assert_eq!(on_boundaries("a猫b", 2..3), 1..4);
        assert_eq!(on_boundaries("ab", 5..9), 2..2);
    }

    #[test]
    fn left_out_findings_are_counted_and_keep_their_severity() {
        let limits = Limits { max_diagnostics: 1, ..Limits::DEFAULT };
        let mut findings = Findings::new(Strictness::Lenient, &limits);
        let rule = &crate::rules::unescaped_markup::RULE;
        findings.push(Finding::new(rule, 0..1, "first"));
        findings.push(Finding::new(rule, 1..2, "second").into_error());
        findings.push(Finding::new(rule, 2..3, "third"));
        let diagnostics = findings.finish("abc", &PositionMap::default(), WriteBack::Verbatim);
        assert_eq!(diagnostics.len(), 2);
        assert_eq!(diagnostics[1].code, "too-many-findings");
        assert_eq!(diagnostics[1].severity, Severity::Error);
        assert!(diagnostics[1].message.contains('2'), "{}", diagnostics[1].message);
    }
}
