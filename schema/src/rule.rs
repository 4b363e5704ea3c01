//! The documentation of a rule: its explanation, its severities and its examples.

use crate::diagnostic::Severity;
use crate::limits::Limits;

/// The documentation of a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleDoc {
    /// Stable kebab-case name.
    pub code: &'static str,
    /// The severity of its findings in a lenient check, where the fault could be repaired or need not be.
    pub severity: Severity,
    /// The severity of its findings in a strict check.
    pub strict_severity: Severity,
    /// The explanation, in Markdown.
    pub documentation: &'static str,
    /// A prompt without the fault.
    pub good: &'static str,
    /// A prompt with it.
    pub bad: &'static str,
    /// Every message of its findings with the severity in a lenient check; `…` stands for what differs from text to text.
    pub messages: &'static [(Severity, &'static str)],
    /// The limits under which the examples are checked; small ones where the default would need a long example.
    pub limits: Limits,
}

/// Declares the one `RULE` of a rule's file. The explanation is both its documentation and a part of its value.
macro_rules! rule {
    (
        $(#[doc = $line:literal])+
        $code:literal, $severity:ident $(, strict $strict:ident)?;
        bad: $bad:expr;
        good: $good:expr;
        $(limits: $limits:expr;)?
        messages: [$($level:ident $message:literal),+ $(,)?];
    ) => {
        $(#[doc = $line])+
        pub(crate) static RULE: $crate::rule::RuleDoc = $crate::rule::RuleDoc {
            code: $code,
            severity: $crate::diagnostic::Severity::$severity,
            strict_severity: $crate::rule::rule!(@or $($strict)? , $severity),
            documentation: concat!($($line, "\n"),+),
            good: $good,
            bad: $bad,
            messages: &[$(($crate::diagnostic::Severity::$level, $message)),+],
            limits: $crate::rule::rule!(@limits $($limits)?),
        };
    };
    (@or $strict:ident , $severity:ident) => { $crate::diagnostic::Severity::$strict };
    (@or , $severity:ident) => { $crate::diagnostic::Severity::$severity };
    (@limits $limits:expr) => { $limits };
    (@limits) => { $crate::limits::Limits::DEFAULT };
}

pub(crate) use rule;
