//! `too-deep`: elements inside elements inside elements.

use std::ops::Range;

use crate::findings::Finding;
use crate::limits::Limits;
use crate::rule::rule;

rule! {
    /// A prompt has three levels: block, field, text. Nesting far beyond is refused before it costs anything.
    "too-deep", Error;
    bad: "<prompt><character_1><a><b><c></c></b></a></character_1></prompt>";
    good: "<prompt><character_1><n></n><gender>1girl</gender></character_1></prompt>";
    limits: Limits { max_depth: 3, ..Limits::DEFAULT };
    messages: [
        Error "nested more than … deep; what follows is not read",
    ];
}

/// The element at the limit, or the JSON value.
pub(crate) fn finding(span: Range<usize>, max_depth: usize) -> Finding {
    Finding::new(&RULE, span, format!("nested more than {max_depth} deep; what follows is not read"))
        .help("take the blocks out of what surrounds them")
}
