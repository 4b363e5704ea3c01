//! [`JobMeter`]: measures the parts of a job while it runs.

use std::collections::BTreeMap;
use std::time::Duration;

use sakuga_model_core::{PreviewMethod, StepReport, Timings};

use super::amount::Sample;
use super::{JobWork, Part, Work};

/// Errors of a part are relative to at least this share of the job's time: shorter parts need not be exact.
const LEAST_SHARE: f64 = 0.05;
/// Steps that take longer than this factor times the median are ignored, since they contain other work.
const SLOW_STEP: f64 = 1.5;

/// The measured time of one part of a job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measurement {
    pub part: Part,
    pub work: Vec<Work>,
    pub seconds: f64,
    /// Errors of estimates are divided by this number of seconds; see [`Sample::scale`].
    pub scale: f64,
}

impl Measurement {
    pub(super) fn sample(&self) -> Sample {
        Sample { work: self.work.clone(), seconds: self.seconds, scale: self.scale }
    }
}

/// The measurements of a job that completed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct JobMeasurements {
    pub parts: Vec<Measurement>,
    /// The estimate of `seconds` before and after correction, made when the job started; `None` if nothing had been measured.
    pub expected: Option<[f64; 2]>,
    /// Sum of the times of all parts.
    pub seconds: f64,
    /// Energy of the device, in joules.
    pub joules: Option<f64>,
    /// Tokens of all evaluations.
    pub tokens: f64,
}

/// Identifies steps with the same amount of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct StepClass {
    pass: u32,
    images: u32,
    is_guided: bool,
}

/// Measures the parts of one job.
#[derive(Debug, Default)]
pub(crate) struct JobMeter {
    work: JobWork,
    /// Seconds of each evaluation, of steps without first uses.
    steps: BTreeMap<StepClass, Vec<f64>>,
    /// Work and seconds of the steps with first uses.
    first_steps: BTreeMap<StepClass, (Work, f64)>,
    steps_done: u32,
    evaluations: u32,
    /// Seconds of the previews after each step, with method, pass and images.
    previews: Vec<(PreviewMethod, u32, u32, f64)>,
    adapters: Option<f64>,
}

impl JobMeter {
    /// For a job with this work, on its device.
    pub(crate) fn new(work: JobWork) -> Self {
        Self { work, ..Self::default() }
    }

    /// Records a step.
    pub(crate) fn step(&mut self, report: &StepReport, first_image: u32) {
        let evaluations = report.evaluations.saturating_sub(self.evaluations).max(1);
        self.evaluations = report.evaluations;
        self.steps_done = report.index;
        if report.reused_share > 0.0 {
            // Evaluations that reused blocks do not show the time of a full one.
            return;
        }
        let Some((pass, batch)) = self.work.batch_of_step(report.pass, first_image) else { return };
        let is_guided = report.guidance_active;
        let class = StepClass { pass: report.pass, images: pass.batches[batch], is_guided };
        let seconds = report.duration.as_secs_f64();
        let count = f64::from(evaluations);
        match pass.preparation(batch, is_guided) {
            Some(Work { first, .. }) if !self.first_steps.contains_key(&class) => {
                let work = Work { count, first, ..pass.evaluation(class.images, is_guided) };
                self.first_steps.insert(class, (work, seconds));
            }
            _ => self.steps.entry(class).or_default().push(seconds / count),
        }
    }

    /// Records the time of a batch's previews after one step.
    pub(crate) fn previews(&mut self, method: PreviewMethod, pass: u32, first_image: u32, took: Duration) {
        if let Some((work, batch)) = self.work.batch_of_step(pass, first_image) {
            self.previews.push((method, pass, work.batches[batch], took.as_secs_f64()));
        }
    }

    /// Records the time of [`Part::LoadAdapters`].
    pub(crate) fn adapters(&mut self, took: Duration) {
        self.adapters = Some(took.as_secs_f64());
    }

    /// Number of steps so far.
    pub(crate) fn steps_done(&self) -> u32 {
        self.steps_done
    }

    /// Typical time of an evaluation in each class of steps, and the steps with first uses.
    pub(crate) fn steps(&self) -> Vec<Measurement> {
        let measured = |(class, times): (&StepClass, &Vec<f64>)| {
            let pass = self.work.passes.get(class.pass.checked_sub(1)? as usize)?;
            let seconds = usual(times);
            let work = vec![pass.evaluation(class.images, class.is_guided)];
            Some(Measurement { part: Part::Denoise, work, seconds, scale: seconds })
        };
        let first = |(work, seconds): &(Work, f64)| Measurement {
            part: Part::Denoise,
            work: vec![*work],
            seconds: *seconds,
            scale: *seconds,
        };
        self.steps.iter().filter_map(measured).chain(self.first_steps.values().map(first)).collect()
    }

    /// The measurements of the completed job, without [`Part::EncodeImage`], which is measured later. `took` is the time from its start
    /// to its pixels, without loads of models.
    pub(crate) fn finish(self, timings: &Timings, took: Duration) -> JobMeasurements {
        let mut parts = self.steps();
        let total = took.max(timings.total).as_secs_f64();
        let scale = |seconds: f64| seconds.max(LEAST_SHARE * total);
        let mut rest = total;
        let mut add = |part, work: Vec<Work>, seconds: f64| {
            rest -= seconds;
            if !work.is_empty() {
                parts.push(Measurement { part, work, seconds, scale: scale(seconds) });
            }
        };
        for (part, time) in [
            (Part::TextEncode, timings.text_encode),
            (Part::VaeEncode, timings.vae_encode),
            (Part::Decode, timings.decode),
        ] {
            add(part, self.work.of(part), time.as_secs_f64());
        }
        for method in [PreviewMethod::Linear, PreviewMethod::Decoder] {
            let drawn: Vec<_> = self.previews.iter().filter(|(of, ..)| *of == method).collect();
            add(Part::Preview(method), self.previewed(method), drawn.iter().map(|(.., seconds)| seconds).sum());
        }
        if let Some(seconds) = self.adapters {
            add(Part::LoadAdapters, self.work.adapters.work.clone(), seconds);
        }
        let usual_steps: f64 = self.steps.values().map(|times| usual(times) * times.len() as f64).sum();
        let per_step = self.work.passes.first().map_or(1, |pass| pass.evaluations_per_step);
        let first_steps: f64 = self.first_steps.values().map(|(_, seconds)| seconds).sum();
        rest -= usual_steps * f64::from(per_step) + first_steps;
        parts.push(Measurement {
            part: Part::Other,
            work: self.work.of(Part::Other),
            seconds: rest.max(0.0),
            scale: scale(0.0),
        });
        parts.retain(|part| part.scale > 0.0);
        JobMeasurements { parts, tokens: self.work.tokens_evaluated(), ..JobMeasurements::default() }
    }

    /// The work of all previews by a method.
    fn previewed(&self, method: PreviewMethod) -> Vec<Work> {
        let mut amounts: Vec<Work> = Vec::new();
        for (_, number, images, _) in self.previews.iter().filter(|(of, ..)| *of == method) {
            let Some(pass) = self.work.passes.get(number.saturating_sub(1) as usize) else { continue };
            let one = pass.preview(*images);
            match amounts.iter_mut().find(|amount| amount.main == one.main) {
                Some(amount) => amount.count += one.count,
                None => amounts.push(Work { first: pass.preview_preparation().first, ..one }),
            }
        }
        amounts
    }
}

/// The mean of the times up to [`SLOW_STEP`] times the median; 0 without times. Of two times in the middle the shorter one is the
/// median: the first step of a job may be slow.
fn usual(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let Some(median) = sorted.get(sorted.len().saturating_sub(1) / 2) else { return 0.0 };
    let slowest = SLOW_STEP * median;
    let kept: Vec<f64> = sorted.iter().copied().filter(|time| *time <= slowest).collect();
    kept.iter().sum::<f64>() / kept.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::Seen;
    use crate::estimate::work::tests::{spec, work};

    fn report(index: u32, ms: u64, evaluations: u32) -> StepReport {
        StepReport {
            index,
            total: 4,
            pass: 1,
            t: 0.5,
            sigma: 0.5,
            duration: Duration::from_millis(ms),
            guidance_active: true,
            evaluations,
            reused_share: 0.0,
        }
    }

    #[test]
    fn a_step_that_reused_says_nothing_of_whole_ones() {
        let work = work(&spec(64, 4));
        let mut meter = JobMeter::new(work);
        for (index, ms, reused_share) in [(1, 10, 0.0), (2, 2, 1.0), (3, 6, 0.5)] {
            meter.step(&StepReport { reused_share, ..report(index, ms, index) }, 0);
        }
        assert_eq!(meter.steps_done(), 3);
        let steps = meter.steps();
        assert_eq!((steps.len(), steps[0].seconds), (1, 0.01));
    }

    #[test]
    fn a_slow_step_counts_as_something_else() {
        let work = work(&spec(64, 4));
        let mut meter = JobMeter::new(work);
        for (index, ms) in [(1, 100), (2, 10), (3, 10), (4, 10)] {
            meter.step(&report(index, ms, index), 0);
        }
        meter.previews(PreviewMethod::Linear, 1, 0, Duration::from_millis(5));
        meter.adapters(Duration::from_millis(70));
        let timings = Timings {
            text_encode: Duration::from_millis(20),
            decode: Duration::from_millis(30),
            total: Duration::from_millis(20 + 130 + 5 + 30 + 15),
            ..Timings::default()
        };
        let measured = meter.finish(&timings, timings.total + Duration::from_millis(70 + 5));
        let seconds = |part| measured.parts.iter().find(|found| found.part == part).map(|found| found.seconds);
        let near = |part, expected: f64| {
            let found = seconds(part).unwrap_or_else(|| panic!("{part:?} is missing"));
            assert!((found - expected).abs() < 1e-9, "{part:?}: {found} is not {expected}");
        };
        near(Part::Denoise, 0.010);
        near(Part::TextEncode, 0.020);
        near(Part::Decode, 0.030);
        near(Part::Preview(PreviewMethod::Linear), 0.005);
        near(Part::LoadAdapters, 0.070);
        // 20 ms outside of everything, and 90 ms in which the first step was slower than the others.
        near(Part::Other, 0.110);
        assert_eq!((seconds(Part::VaeEncode), seconds(Part::EncodeImage)), (None, None));
    }

    #[test]
    fn a_first_step_is_measured_apart() {
        let seen = &mut Seen::default();
        let mut meter = JobMeter::new(work(&spec(64, 4)).begin(seen));
        [(1, 100), (2, 10), (3, 10), (4, 10)]
            .into_iter()
            .for_each(|(index, ms)| meter.step(&report(index, ms, index), 0));
        let measured = meter.steps();
        let seconds: Vec<(f64, bool)> =
            measured.iter().map(|step| (step.seconds, step.work.iter().any(Work::is_first))).collect();
        assert_eq!(seconds, [(0.01, false), (0.1, true)]);
        let timings = Timings { total: Duration::from_millis(130), ..Timings::default() };
        let other = meter.finish(&timings, timings.total).parts.into_iter().find(|part| part.part == Part::Other);
        assert!(other.expect("measured").seconds < 1e-9, "nothing is left");

        let mut again = JobMeter::new(work(&spec(64, 4)).begin(seen));
        again.step(&report(1, 100, 1), 0);
        assert_eq!(again.steps().iter().filter(|step| step.work.iter().any(Work::is_first)).count(), 0);
    }

    #[test]
    fn evaluations_share_their_step() {
        let work = work(&spec(64, 4));
        let mut meter = JobMeter::new(work);
        meter.step(&report(1, 40, 4), 0);
        meter.step(&report(2, 40, 8), 0);
        assert_eq!(meter.steps_done(), 2);
        let steps = meter.steps();
        assert!(steps.len() == 1 && (steps[0].seconds - 0.010).abs() < 1e-9, "{steps:?}");
    }
}
