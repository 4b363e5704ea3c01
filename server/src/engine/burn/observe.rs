//! What the model tells of itself, in the engine's words.

use std::time::{Duration, Instant};

use sakuga_model::checkpoint::LoadReport;
use sakuga_model::pipeline::{self, Pipeline};
use sakuga_model::profile;

use crate::engine::{ComputePath, LoadingPhase, MemoryPool, ProfileSpan, StageProfile};

/// The phases of opening, as they pass.
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

    /// A phase ends that began where the last one ended.
    pub(super) fn phase(&mut self, name: &str) {
        let now = Instant::now();
        let (begin, duration) = (self.at - self.begun, now - self.at);
        self.phases.push(LoadingPhase { name: name.to_owned(), begin, duration, bytes: 0 });
        self.at = now;
    }

    /// The parts of the model were loaded since the last phase ended; how long all of them took.
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

pub(super) fn paths(pipeline: &Pipeline) -> Vec<ComputePath> {
    let paths = pipeline.networks().compute_paths().into_iter();
    let path = |pipeline::ComputePath { network, implementation, reason }| ComputePath {
        operation: network.to_owned(),
        implementation,
        reason,
    };
    paths.map(path).collect()
}

pub(super) fn pools(probe: &pipeline::MemoryProbe) -> Vec<MemoryPool> {
    let pool = |pipeline::MemoryPool { name, used_bytes, held_bytes }| MemoryPool { name, used_bytes, held_bytes };
    probe.pools().into_iter().map(pool).collect()
}

pub(super) fn profile(profile: &profile::StageProfile) -> StageProfile {
    let span = |span: &profile::Span| ProfileSpan {
        network: span.network.to_owned(),
        layer: span.layer,
        name: span.name.to_owned(),
        count: span.count as u32,
        ms: span.ms,
        flops: span.cost.flops,
        bytes: span.cost.bytes,
    };
    StageProfile {
        stage: super::stage(profile.stage),
        spans: profile.spans.iter().map(span).collect(),
        device_ms: profile.device_ms(),
        wall_ms: profile.wall_ms,
        peak_flops_per_second: profile.peaks.map(|peaks| peaks.flops_per_second),
        peak_bytes_per_second: profile.peaks.map(|peaks| peaks.bytes_per_second),
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
