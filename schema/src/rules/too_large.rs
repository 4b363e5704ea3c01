//! `too-large`: more text than a prompt can be.

use crate::findings::Finding;
use crate::limits::Limits;
use crate::rule::rule;

rule! {
    /// The text is longer than the limit and is refused unread. The encoders read a few hundred tokens, about 2 KiB;
    /// the limit is 64 KiB unless the server says otherwise.
    "too-large", Error;
    bad: "<caption>A girl stands in the rain, under a broken umbrella, and laughs.</caption>";
    good: "<caption>A girl laughs.</caption>";
    limits: Limits { max_bytes: 64, ..Limits::DEFAULT };
    messages: [
        Error "the text has … bytes; at most … are read",
    ];
}

/// The text as a whole; its span is empty, so that nobody has to look at it.
pub(crate) fn finding(length: usize, limit: usize) -> Finding {
    Finding::new(&RULE, 0..0, format!("the text has {length} bytes; at most {limit} are read"))
        .help("shorten it: the encoders read a few hundred tokens")
}
