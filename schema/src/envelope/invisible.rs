//! Removes invisible characters from the text.

use super::Opening;
use crate::invisible::changes;
use crate::rules::invisible_character;

impl Opening<'_, '_> {
    /// Removes invisible characters and makes odd spaces plain ones; a strict check only reports them.
    pub(super) fn remove_invisible(&mut self) {
        let changes = changes(&self.source.text, self.window.start);
        if changes.is_empty() {
            return;
        }
        let found: Vec<_> = invisible_character::findings(&self.source.text, &changes).collect();
        found.into_iter().for_each(|finding| self.report(finding));
        if !self.findings.is_strict() {
            self.replace(&changes);
        }
    }
}
