//! [`Estimator`]: what jobs will take, from the steps measured so far.

use std::collections::VecDeque;
use std::time::Duration;

use sakuga_model_core::GenerationSpec;

/// Steps that are remembered: enough for a steady median, few enough to follow a change of load within a job or two.
const REMEMBERED: usize = 64;
/// Bounds of the `RetryInfo` that a refused client gets.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Estimates times. A job's cost is taken as proportional to its evaluations, pixels and pictures; this underestimates large
/// pictures somewhat, since attention grows faster than the pixels.
#[derive(Debug, Default)]
pub struct Estimator {
    steps: VecDeque<Measured>,
    /// Seconds that the last job took outside its steps, per pixel of all its pictures.
    overhead_s: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    step: Duration,
    /// Seconds per evaluation and pixel.
    unit_s: f64,
}

impl Estimator {
    /// Records a step. A job whose pictures are computed in several turns has `turns * spec.sampling.steps` steps, each for its share
    /// of the pictures.
    pub fn step_done(&mut self, spec: &GenerationSpec, step: Duration, turns: u32) {
        if self.steps.len() == REMEMBERED {
            self.steps.pop_front();
        }
        self.steps.push_back(Measured { step, unit_s: step.as_secs_f64() * f64::from(turns) / step_units(spec) });
    }

    /// Records the time that a whole job took outside its steps.
    pub fn job_done(&mut self, spec: &GenerationSpec, overhead: Duration) {
        self.overhead_s = Some(overhead.as_secs_f64() / pixels(spec));
    }

    /// Median time of the latest steps; `None` before the first.
    pub fn step_time(&self) -> Option<Duration> {
        median(self.steps.iter().map(|measured| measured.step))
    }

    /// The time that a job needs for its last `steps_left` steps and its overhead; `None` before the first step.
    pub fn time_left(&self, spec: &GenerationSpec, steps_left: u32) -> Option<Duration> {
        let unit_s = median(self.steps.iter().map(|measured| Duration::from_secs_f64(measured.unit_s * 1e6)))?;
        let steps_s = unit_s.as_secs_f64() / 1e6 * step_units(spec) * f64::from(steps_left);
        let overhead_s = self.overhead_s.unwrap_or(0.0) * pixels(spec);
        // A century is the bound: Duration refuses larger values.
        Duration::try_from_secs_f64((steps_s + overhead_s).min(3e9)).ok()
    }

    /// When a refused client should try again: `until_room` within the bounds, where it is known.
    pub fn retry_after(until_room: Option<Duration>) -> Duration {
        until_room.unwrap_or(RETRY_MIN).clamp(RETRY_MIN, RETRY_MAX)
    }
}

fn pixels(spec: &GenerationSpec) -> f64 {
    (f64::from(spec.width_px) * f64::from(spec.height_px) * f64::from(spec.images)).max(1.0)
}

fn step_units(spec: &GenerationSpec) -> f64 {
    pixels(spec) * f64::from(spec.sampling.solver.evaluations_per_step())
}

fn median(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sakuga_model_core::{Guidance, Sampling, Solver};

    pub(crate) fn spec(edge_px: u32, steps: u32) -> GenerationSpec {
        GenerationSpec {
            text: "a sentence".into(),
            system_prompt: String::new(),
            negative: String::new(),
            negative_system_prompt: String::new(),
            width_px: edge_px,
            height_px: edge_px,
            images: 1,
            seed: 1,
            sampling: Sampling { solver: Solver::Euler, steps, guidance: Guidance::new(5.0), shift: 6.0 },
            image_indices: Vec::new(),
            max_batch: 0,
            profile: false,
        }
    }

    #[test]
    fn nothing_is_estimated_before_it_was_measured() {
        let estimator = Estimator::default();
        assert_eq!(estimator.time_left(&spec(64, 10), 10), None);
        assert_eq!(estimator.step_time(), None);
        assert_eq!(Estimator::retry_after(None), RETRY_MIN);
    }

    #[test]
    fn cost_goes_by_pixels_steps_and_evaluations() {
        let mut estimator = Estimator::default();
        for _ in 0..3 {
            estimator.step_done(&spec(64, 10), Duration::from_millis(10), 1);
        }
        let near = |found: Option<Duration>, expected_ms: f64| {
            let found_ms = found.expect("measured").as_secs_f64() * 1000.0;
            assert!((found_ms - expected_ms).abs() < 0.01 * expected_ms, "{found_ms} is not {expected_ms}");
        };
        near(estimator.time_left(&spec(64, 10), 10), 100.0);
        near(estimator.time_left(&spec(128, 10), 10), 400.0);
        let rk4 = Sampling { solver: Solver::Rk4, ..spec(64, 10).sampling };
        near(estimator.time_left(&GenerationSpec { sampling: rk4, ..spec(64, 10) }, 10), 400.0);
        estimator.job_done(&spec(64, 10), Duration::from_millis(50));
        near(estimator.time_left(&spec(64, 10), 0), 50.0);
        near(estimator.step_time(), 10.0);
    }

    #[test]
    fn turns_share_the_pictures() {
        let mut estimator = Estimator::default();
        let four = GenerationSpec { images: 4, ..spec(64, 10) };
        estimator.step_done(&four, Duration::from_millis(10), 2);
        let one = estimator.time_left(&spec(64, 10), 1).expect("measured");
        assert!((one.as_secs_f64() * 1000.0 - 5.0).abs() < 0.1, "two pictures took 10 ms, one takes half: {one:?}");
    }

    #[test]
    fn old_steps_are_forgotten() {
        let mut estimator = Estimator::default();
        for step_ms in (0..REMEMBERED as u64 * 2).map(|number| if number < REMEMBERED as u64 { 1000 } else { 1 }) {
            estimator.step_done(&spec(64, 1), Duration::from_millis(step_ms), 1);
        }
        assert_eq!(estimator.step_time(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn the_retry_hint_is_bounded() {
        assert_eq!(Estimator::retry_after(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(Estimator::retry_after(Some(Duration::from_secs(86_400))), RETRY_MAX);
    }
}
