//! Characters that nobody sees.

use super::Opening;
use crate::invisible::changes;
use crate::rules::invisible_character;
use crate::source::Change;

impl Opening<'_, '_> {
    /// Removes invisible characters and makes odd spaces plain ones; a strict check only reports them.
    pub(super) fn remove_invisible(&mut self) {
        let changes = changes(&self.source.text, self.window.start);
        if changes.is_empty() {
            return;
        }
        self.report_invisible(&changes);
        if !self.findings.is_strict() {
            self.replace(&changes);
        }
    }

    fn report_invisible(&mut self, changes: &[Change]) {
        for run in changes.chunk_by(|left, right| left.0.end == right.0.start) {
            let span = run[0].0.start..run[run.len() - 1].0.end;
            let character = self.source.text[span.start..].chars().next().unwrap_or_default();
            let replacement: String = run.iter().map(|(_, replacement)| replacement.as_ref()).collect();
            self.report(invisible_character::finding(span, character, run.len(), replacement));
        }
    }
}
