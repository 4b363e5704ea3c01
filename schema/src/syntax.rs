//! From text to a spanned tree. Nothing fails here: every fault becomes a finding and reading continues.
//!
//! quick-xml reads the events ([`walk`]). In front of it stands [`scan`], because a prompt's `>_<` is not markup, and
//! after it the [`recovery`]: end tags that do not match, elements that are never closed, tags without `>`.

mod ends;
mod recovery;
mod scan;
mod walk;

use std::ops::Range;

use crate::findings::Findings;
use crate::tree::{Text, TextBuilder, Tree};
use walk::Walk;

/// Deepest nesting that is read, whatever the caller allows: what comes later walks the tree recursively.
const DEEPEST: usize = 128;

/// Reads `source` from the offset `from` on.
pub(crate) fn parse<'t>(source: &'t str, from: usize, max_depth: usize, findings: &mut Findings) -> Tree<'t> {
    let mut walk = Walk::new(source, from, max_depth.min(DEEPEST), findings);
    walk.run();
    walk.finish()
}

/// A range of the source that is text, whatever stands in it.
pub(crate) fn text(source: &str, span: Range<usize>) -> Option<Text<'_>> {
    let mut builder = TextBuilder::new(source);
    if !span.is_empty() {
        builder.verbatim(span);
    }
    builder.take()
}
