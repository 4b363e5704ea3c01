//! The rules: one file each, with its explanation, its good and its bad example.

use crate::diagnostic::Severity;

/// What is said about a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleDoc {
    /// Stable kebab-case name.
    pub code: &'static str,
    /// The severity of its findings in a lenient check; a strict check may raise it.
    pub severity: Severity,
    /// The explanation, in Markdown.
    pub documentation: &'static str,
    /// A prompt without the fault.
    pub good: &'static str,
    /// A prompt with it.
    pub bad: &'static str,
}

/// Every rule, in the order of its code.
pub fn all() -> &'static [RuleDoc] {
    &[]
}
