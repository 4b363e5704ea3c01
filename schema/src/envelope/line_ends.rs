//! Line ends of Windows and of old Macs.

use std::borrow::Cow;

use super::Opening;
use crate::source::Change;

impl Opening<'_, '_> {
    /// Reads `\r\n` and a lone `\r` as `\n`, as XML does (XML 1.0, section 2.11), so that plain text is no exception.
    pub(super) fn read_line_ends(&mut self) {
        let text = self.source.text.as_ref();
        let mut changes: Vec<Change> = Vec::new();
        for (at, _) in text.match_indices('\r') {
            let length = if text[at..].starts_with("\r\n") { 2 } else { 1 };
            changes.push((at..at + length, Cow::Borrowed("\n")));
        }
        if !changes.is_empty() {
            self.replace(&changes);
        }
    }
}
