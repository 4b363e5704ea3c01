//! The phases of opening a model, measured as they pass.

use std::time::{Duration, Instant};

use sakuga_model_core::LoadingPhase;

use crate::checkpoint::LoadReport;

/// The phases so far.
pub(super) struct Loading {
    begun: Instant,
    /// When the last phase ended.
    at: Instant,
    phases: Vec<LoadingPhase>,
}

impl Loading {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, at: now, phases: Vec::new() }
    }

    /// Ends a phase that began when the last one ended.
    pub(super) fn phase(&mut self, name: &str) {
        let now = Instant::now();
        let (begin, duration) = (self.at - self.begun, now - self.at);
        self.phases.push(LoadingPhase { name: name.to_owned(), begin, duration, bytes: 0 });
        self.at = now;
    }

    /// Adds the parts of the model, which were loaded since the last phase ended. Returns how long all of them took.
    pub(super) fn parts(&mut self, reports: &[LoadReport]) -> Duration {
        let (begin, now) = (self.at - self.begun, Instant::now());
        self.phases.extend(reports.iter().map(|report| LoadingPhase {
            name: report.component.clone(),
            begin: begin + report.begin,
            duration: report.duration,
            bytes: report.bytes,
        }));
        let took = now - self.at;
        self.at = now;
        took
    }

    pub(super) fn finish(self) -> Vec<LoadingPhase> {
        self.phases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other() {
        let mut loading = Loading::begin();
        loading.phase("device");
        let report = |component: &str, begin_ms| LoadReport {
            component: component.into(),
            bytes: 7,
            begin: Duration::from_millis(begin_ms),
            duration: Duration::from_millis(5),
            ..LoadReport::default()
        };
        loading.parts(&[report("transformer", 0), report("vae", 5)]);
        loading.phase("warm-up");
        let phases = loading.finish();
        let names: Vec<&str> = phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["device", "transformer", "vae", "warm-up"]);
        assert_eq!(phases[1].begin, phases[0].begin + phases[0].duration);
        assert_eq!(phases[2].begin, phases[1].begin + phases[1].duration);
        assert_eq!((phases[1].bytes, phases[3].bytes), (7, 0));
    }
}
