//! [`Drawing`]: the jobs that this process draws, so that none is drawn here twice at once.

use std::collections::HashMap;

use parking_lot::Mutex;

/// The jobs that this process draws. An item of a job may come again while it does: it was silent for too long, because the connection to
/// NATS was lost.
#[derive(Default)]
pub(super) struct Drawing(Mutex<HashMap<String, bool>>);

impl Drawing {
    /// Begins a job; `false` if this process has it.
    pub(super) fn begin(&self, job: &str) -> bool {
        let mut drawing = self.0.lock();
        let is_new = !drawing.contains_key(job);
        if is_new {
            drawing.insert(job.to_owned(), false);
        }
        is_new
    }

    /// Keeps a job that does not end: its engine hangs. This process does not begin it again.
    pub(super) fn keep(&self, job: &str) {
        self.0.lock().insert(job.to_owned(), true);
    }

    /// Ends a job, unless it is kept.
    pub(super) fn end(&self, job: &str) {
        let mut drawing = self.0.lock();
        if drawing.get(job) == Some(&false) {
            drawing.remove(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_begun_once_until_it_ends() {
        let drawing = Drawing::default();
        assert!(drawing.begin("a") && drawing.begin("b") && !drawing.begin("a"));
        drawing.end("a");
        assert!(drawing.begin("a"));
        drawing.keep("a");
        assert!(!drawing.begin("a"), "it hangs");
        drawing.end("a");
        assert!(!drawing.begin("a"), "it still hangs");
        drawing.end("b");
        assert!(drawing.begin("b"));
    }
}
