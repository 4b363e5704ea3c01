//! `mismatched-tag`: a start tag and an end tag that do not belong together.

use std::ops::Range;

use crate::findings::{Finding, excerpt, insert, remove, replace};
use crate::rule::rule;

rule! {
    /// Every start tag needs its end tag, with the same name and in the reverse order. A lenient check ends an element
    /// where the next one begins that cannot stand inside it, reads a misspelt end tag as the one that is due, and
    /// skips an end tag that ends nothing.
    "mismatched-tag", Warning, strict Error;
    bad: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair\n<clothing>dress</clothing>\n</character_1>\n";
    good: "<character_1>\n<n></n>\n<gender>1girl</gender>\n<appearance>long_hair</appearance>\n<clothing>dress</clothing>\n</character_1>\n";
    messages: [
        Warning "`<…>` is never closed",
        Warning "`</…>` stands where `</…>` is due",
        Warning "`</…>` ends nothing: no `<…>` is open here",
    ];
}

/// An element without end tag.
pub(crate) fn missing(open: Range<usize>, name: &str) -> Finding {
    Finding::new(&RULE, open, format!("`<{}>` is never closed", excerpt(name)))
}

/// The fix: end tags for this element, and for those around it that end at the same place.
pub(crate) fn with_end_tags(finding: Finding, end: usize, tags: &str) -> Finding {
    finding.fix(format!("add `{}`", excerpt(tags)), [insert(end, tags)])
}

/// An end tag that stands where another one is due.
pub(crate) fn misspelt(tag: Range<usize>, name: Range<usize>, word: &str, expected: &str) -> Finding {
    let (word, shown) = (excerpt(word), excerpt(expected));
    Finding::new(&RULE, tag, format!("`</{word}>` stands where `</{shown}>` is due"))
        .fix(format!("write `</{shown}>`"), [replace(name, expected)])
}

/// An end tag that ends nothing.
pub(crate) fn stray(tag: Range<usize>, word: &str) -> Finding {
    let word = excerpt(word);
    Finding::new(&RULE, tag.clone(), format!("`</{word}>` ends nothing: no `<{word}>` is open here"))
        .fix("remove it", [remove(tag)])
}
