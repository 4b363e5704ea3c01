//! [`Estimator`]: what jobs will take, from the steps measured so far.

use std::collections::VecDeque;
use std::time::Duration;

use sakuga_model_core::{GenerationSpec, Pass, SecondPass, StepReport, Upscaler};

/// Steps that are remembered: enough for a steady median, few enough to follow a change of load within a job or two.
const REMEMBERED: usize = 64;
/// Bounds of the `RetryInfo` that a refused client gets.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Estimates times. The cost of a job's steps is taken as proportional to their evaluations, pixels and pictures, in each of
/// its passes; this underestimates large pictures somewhat, since attention grows faster than the pixels. What a job takes
/// outside its steps is taken as proportional to the pixels that are encoded and decoded.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    steps: VecDeque<Measured>,
    /// Seconds that the last job took outside its steps, per pixel that was encoded or decoded.
    overhead_s: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    step: Duration,
    /// Seconds per evaluation and pixel.
    unit_s: f64,
}

impl Estimator {
    /// Records a step of a pass, counted from 1. A job whose pictures are computed in several turns has
    /// `turns * spec.computed_steps()` steps, each for its share of the pictures.
    pub(crate) fn step_done(&mut self, spec: &GenerationSpec, pass: u32, step: Duration, turns: u32) {
        let Some(pass) = spec.passes().nth(pass.saturating_sub(1) as usize) else { return };
        if self.steps.len() == REMEMBERED {
            self.steps.pop_front();
        }
        self.steps
            .push_back(Measured { step, unit_s: step.as_secs_f64() * f64::from(turns) / step_units(spec, &pass) });
    }

    /// Records the time that a whole job took outside its steps.
    pub(crate) fn job_done(&mut self, spec: &GenerationSpec, overhead: Duration) {
        self.overhead_s = Some(overhead.as_secs_f64() / coded_pixels(spec));
    }

    /// Median time of the latest steps; `None` before the first.
    pub(crate) fn step_time(&self) -> Option<Duration> {
        median(self.steps.iter().map(|measured| measured.step))
    }

    /// The time that a job needs for its last `steps_left` steps and its overhead; `None` before the first step.
    pub(crate) fn time_left(&self, spec: &GenerationSpec, steps_left: u32) -> Option<Duration> {
        let unit_s = median(self.steps.iter().map(|measured| Duration::from_secs_f64(measured.unit_s * 1e6)))?;
        let steps_s = unit_s.as_secs_f64() / 1e6 * units_left(spec, steps_left);
        let overhead_s = self.overhead_s.unwrap_or(0.0) * coded_pixels(spec);
        // A century is the bound: Duration refuses larger values.
        Duration::try_from_secs_f64((steps_s + overhead_s).min(3e9)).ok()
    }

    /// When a refused client should try again: `until_room` within the bounds, where it is known.
    pub(crate) fn retry_after(until_room: Option<Duration>) -> Duration {
        until_room.unwrap_or(RETRY_MIN).clamp(RETRY_MIN, RETRY_MAX)
    }
}

/// The steps that are left after one, in steps of its own pass: those of a larger second pass count as more.
pub(crate) fn equal_steps_left(spec: &GenerationSpec, report: &StepReport) -> f64 {
    let turns = (report.total / spec.computed_steps().max(1)).max(1);
    let passes: Vec<Pass> = spec.passes().collect();
    let own = passes.get(report.pass.saturating_sub(1) as usize).map_or(1.0, |pass| step_units(spec, pass));
    let mut end = 0;
    let left = |pass: &Pass| {
        end += turns * pass.steps();
        let steps = end.saturating_sub(report.index).min(turns * pass.steps());
        f64::from(steps) * step_units(spec, pass)
    };
    passes.iter().map(left).sum::<f64>() / own
}

/// Pixels of all pictures of a job in a pass.
fn pixels(spec: &GenerationSpec, pass: &Pass) -> f64 {
    (pass.pixels() as f64 * f64::from(spec.images)).max(1.0)
}

/// Pixels that the VAE decodes, and those that it encodes: the initial image, which all pictures share, and what a second pass
/// enlarges as pixels.
fn coded_pixels(spec: &GenerationSpec) -> f64 {
    let passes: Vec<f64> = spec.passes().map(|pass| pixels(spec, &pass)).collect();
    let last = passes.last().copied().unwrap_or(1.0);
    let init = if spec.init.is_some() { passes[0] / f64::from(spec.images.max(1)) } else { 0.0 };
    match &spec.second_pass {
        Some(SecondPass { upscaler: Upscaler::Lanczos, .. }) => init + passes[0] + 2.0 * last,
        Some(SecondPass { upscaler: Upscaler::LatentBilinear, .. }) | None => init + last,
    }
}

/// The work of one step of a pass.
fn step_units(spec: &GenerationSpec, pass: &Pass) -> f64 {
    pixels(spec, pass) * f64::from(spec.sampling.solver.evaluations_per_step())
}

/// The work of the last `steps_left` steps of a job.
fn units_left(spec: &GenerationSpec, steps_left: u32) -> f64 {
    let passes: Vec<Pass> = spec.passes().collect();
    let mut left = steps_left;
    let of_pass = |pass: &Pass| {
        let steps = left.min(pass.steps());
        left -= steps;
        step_units(spec, pass) * f64::from(steps)
    };
    passes.iter().rev().map(of_pass).sum()
}

fn median(times: impl Iterator<Item = Duration>) -> Option<Duration> {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::Arc;

    use sakuga_model_core::{Guidance, InitImage, NoiseSchedule, Rgb8, Sampling, Solver};

    pub(crate) fn spec(edge_px: u32, steps: u32) -> GenerationSpec {
        let sampling = Sampling {
            solver: Solver::Euler,
            schedule: NoiseSchedule::Native,
            steps,
            guidance: Guidance::new(5.0),
            shift: 6.0,
        };
        GenerationSpec { seed: 1, ..GenerationSpec::new("a sentence", edge_px, edge_px, sampling) }
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
            estimator.step_done(&spec(64, 10), 1, Duration::from_millis(10), 1);
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
    fn fewer_steps_encoding_and_a_second_pass_count() {
        let mut estimator = Estimator::default();
        estimator.step_done(&spec(64, 10), 1, Duration::from_millis(10), 1);
        estimator.job_done(&spec(64, 10), Duration::from_millis(50));
        let whole = |estimator: &Estimator, spec: &GenerationSpec| {
            estimator.time_left(spec, spec.computed_steps()).expect("measured").as_secs_f64() * 1000.0
        };
        let near =
            |found: f64, expected: f64| assert!((found - expected).abs() < 0.01 * expected, "{found}, not {expected}");
        let image = Rgb8 { width_px: 64, height_px: 64, pixels: vec![0; 3 * 64 * 64] };
        let init = InitImage { image: Arc::new(image), strength: 0.6, mask: None, region: None };
        near(whole(&estimator, &GenerationSpec { init: Some(init), ..spec(64, 10) }), 6.0 * 10.0 + 50.0 + 50.0);
        let second = SecondPass { width_px: 128, height_px: 128, upscaler: Upscaler::Lanczos, strength: 0.5, steps: 8 };
        let both = GenerationSpec { second_pass: Some(second), ..spec(64, 10) };
        near(whole(&estimator, &both), 10.0 * 10.0 + 4.0 * 40.0 + (1.0 + 4.0 + 4.0) * 50.0);
        // The last steps are those of the second pass, whose steps count as many times as much as they are larger.
        near(estimator.time_left(&both, 2).expect("measured").as_secs_f64() * 1000.0, 2.0 * 40.0 + 9.0 * 50.0);
        let latents = SecondPass { upscaler: Upscaler::LatentBilinear, ..second };
        near(
            whole(&estimator, &GenerationSpec { second_pass: Some(latents), ..spec(64, 10) }),
            10.0 * 10.0 + 4.0 * 40.0 + 4.0 * 50.0,
        );
        let report = |index, pass, total| StepReport {
            index,
            total,
            pass,
            t: 0.5,
            sigma: 0.5,
            duration: Duration::ZERO,
            guidance_active: true,
            evaluations: index,
        };
        // Ten steps, and four that are four times as large; the same twice in turns.
        for (index, pass, total, left) in [(4, 1, 14, 22.0), (10, 1, 14, 16.0), (11, 2, 14, 3.0), (18, 1, 28, 34.0)] {
            near(equal_steps_left(&both, &report(index, pass, total)), left);
        }
        estimator.step_done(&both, 2, Duration::from_millis(40), 1);
        near(whole(&estimator, &spec(64, 10)), 100.0 + 50.0);
    }

    #[test]
    fn turns_share_the_pictures() {
        let mut estimator = Estimator::default();
        let four = GenerationSpec { images: 4, ..spec(64, 10) };
        estimator.step_done(&four, 1, Duration::from_millis(10), 2);
        let one = estimator.time_left(&spec(64, 10), 1).expect("measured");
        assert!((one.as_secs_f64() * 1000.0 - 5.0).abs() < 0.1, "two pictures took 10 ms, one takes half: {one:?}");
    }

    #[test]
    fn old_steps_are_forgotten() {
        let mut estimator = Estimator::default();
        for step_ms in (0..REMEMBERED as u64 * 2).map(|number| if number < REMEMBERED as u64 { 1000 } else { 1 }) {
            estimator.step_done(&spec(64, 1), 1, Duration::from_millis(step_ms), 1);
        }
        assert_eq!(estimator.step_time(), Some(Duration::from_millis(1)));
    }

    #[test]
    fn the_retry_hint_is_bounded() {
        assert_eq!(Estimator::retry_after(Some(Duration::from_secs(7))), Duration::from_secs(7));
        assert_eq!(Estimator::retry_after(Some(Duration::from_secs(86_400))), RETRY_MAX);
    }
}
