//! [`Estimator`]: predicts the parts of a job from the measurements of one model.

use std::collections::VecDeque;
use std::time::Duration;

use sakuga_model_core::{EngineInfo, PreviewMethod};

use super::amount::Sample;
use super::fit::Fit;
use super::interval::{Errors, Interval};
use super::pass::PassWork;
use super::{JobMeasurements, JobWork, Measurement, Part, Work};

/// Number of latest steps of which [`Estimator::step_time`] is the median.
const STEPS: usize = 64;
/// Upper bound of an estimate in seconds, about a century. Larger values would overflow times of the system.
const LONGEST_S: f64 = 3e9;
/// The interval of a guess reaches from the expected time divided by this factor to the time multiplied by it.
const GUESS_FACTOR: f64 = 10.0;

/// Predicts the times of jobs of one model from the jobs that were measured.
#[derive(Clone, Debug)]
pub(crate) struct Estimator {
    /// By [`Part::index`].
    fits: [Fit; Part::ALL.len()],
    energy: Fit,
    errors: Errors,
    steps: VecDeque<Duration>,
    jobs: u32,
}

impl Default for Estimator {
    /// Nothing is measured.
    fn default() -> Self {
        let fit = |part| if part == Part::Denoise { Fit::of_attention() } else { Fit::default() };
        Self {
            fits: Part::ALL.map(fit),
            energy: Fit::default(),
            errors: Errors::default(),
            steps: VecDeque::new(),
            jobs: 0,
        }
    }
}

/// The expected times of one job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prediction {
    /// Expected time of each part, in the order of [`Part::ALL`].
    pub parts: Vec<PartTime>,
    /// The correction factor that is already applied to the parts.
    level: f64,
    /// How far the job's size is outside of the measured sizes, see [`Fit::distance`], and the share of its time in which the device
    /// prepares first uses.
    distance: f64,
}

/// The expected time of one part in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PartTime {
    pub part: Part,
    /// Number of the pass, from 1.
    pub pass: u32,
    pub seconds: f64,
    /// Number of measurements behind the estimate; 0 if it is a guess.
    pub measurements: usize,
}

impl Prediction {
    /// Seconds for which the job occupies the device. Image files are encoded on the CPU and do not count.
    pub(crate) fn device_seconds(&self) -> f64 {
        self.parts
            .iter()
            .filter(|part| part.part != Part::EncodeImage)
            .map(|part| part.seconds)
            .sum::<f64>()
            .min(LONGEST_S)
    }

    /// Seconds from the start of the job until its image files are ready.
    pub(crate) fn seconds(&self) -> f64 {
        self.parts.iter().map(|part| part.seconds).sum::<f64>().min(LONGEST_S)
    }

    /// [`seconds`](Self::seconds) before and after the correction.
    pub(crate) fn expected(&self) -> [f64; 2] {
        [self.seconds() / self.level, self.seconds()]
    }

    /// [`device_seconds`](Self::device_seconds) before and after the correction.
    pub(crate) fn expected_on_device(&self) -> [f64; 2] {
        [self.device_seconds() / self.level, self.device_seconds()]
    }
}

impl Estimator {
    /// Number of measured jobs. Of a job with a scene, each of the passes counts as one.
    pub(crate) fn jobs(&self) -> u32 {
        self.jobs
    }

    /// Median time of the latest [`STEPS`] steps; `None` before the first.
    pub(crate) fn step_time(&self) -> Option<Duration> {
        let mut steps: Vec<Duration> = self.steps.iter().copied().collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied()
    }

    /// Records the time of a step.
    pub(crate) fn step_done(&mut self, took: Duration) {
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(took);
    }

    /// Replaces the measurements of the running job's steps.
    pub(crate) fn set_running(&mut self, steps: &[Measurement]) {
        self.fits[Part::Denoise.index()].set_live(steps.iter().map(Measurement::sample).collect());
    }

    /// Replaces the measurements of the running job by its final ones. Jobs that were cancelled or failed have some, too.
    pub(crate) fn learn_parts(&mut self, parts: &[Measurement]) {
        self.fits[Part::Denoise.index()].set_live(Vec::new());
        self.learn(parts.iter());
    }

    /// Adds the measurements of stored jobs, the oldest first. Each part's regression is solved once for all jobs.
    pub(crate) fn restore(&mut self, jobs: &[JobMeasurements]) {
        self.learn(jobs.iter().flat_map(|job| &job.parts));
        jobs.iter().for_each(|job| self.learn_job(job));
    }

    fn learn<'a>(&mut self, parts: impl Iterator<Item = &'a Measurement> + Clone) {
        for (index, fit) in self.fits.iter_mut().enumerate() {
            fit.add_all(parts.clone().filter(|part| part.part.index() == index).map(Measurement::sample));
        }
    }

    /// Adds one measured part to the fit of its kind.
    pub(crate) fn learn_part(&mut self, measured: &Measurement) {
        self.fits[measured.part.index()].add(measured.sample());
    }

    /// Records the error of a finished job's estimate, and its energy. The parts are added by [`Self::learn_parts`] and
    /// [`Self::learn_part`] when they are measured.
    pub(crate) fn learn_job(&mut self, job: &JobMeasurements) {
        self.jobs = self.jobs.saturating_add(1);
        if let Some([raw, corrected]) = job.expected
            && raw > 0.0
        {
            self.errors.add(job.seconds / raw, job.seconds / corrected);
        }
        if let Some(joules) = job.joules {
            self.energy.add(Sample {
                work: vec![energy_work(job.seconds, job.tokens)],
                seconds: joules,
                scale: joules,
            });
        }
    }

    /// Expected times of a job; `None` before the first measured step. `switches_adapters` adds the time of
    /// [`Part::LoadAdapters`].
    pub(crate) fn predict(&self, work: &JobWork, switches_adapters: bool) -> Option<Prediction> {
        let level = self.errors.level();
        let mut parts = Vec::new();
        let mut add = |part, pass, seconds: f64, measurements| {
            parts.push(PartTime { part, pass, seconds: seconds * level, measurements });
        };
        if switches_adapters {
            let fit = self.fit(Part::LoadAdapters);
            add(Part::LoadAdapters, 1, fit.predict(&work.adapters.work).unwrap_or(0.0), fit.len());
        }
        let denoise = self.fit(Part::Denoise);
        let mut distance = 0.0_f64;
        for (number, pass) in (1..).zip(&work.passes) {
            let steps: f64 =
                (0..pass.batches.len()).map(|batch| self.steps_of_batch(pass, batch, 0, None)).sum::<Option<f64>>()?;
            add(Part::Denoise, number, steps, denoise.len());
            if let Some(previews) = work.previews {
                let part = Part::Preview(previews.method);
                let with = |batch| self.steps_of_batch(pass, batch, 0, Some(work));
                let both: f64 = (0..pass.batches.len()).map(with).sum::<Option<f64>>()?;
                add(part, number, both - steps, self.fit(part).len());
            }
            let guided = pass.guided.contains(&true);
            let largest = pass.batches.iter().copied().max().unwrap_or(1);
            distance = distance.max(denoise.distance(&pass.evaluation(largest, guided)));
        }
        for part in &work.parts {
            let (seconds, measurements) = self.part(part.part, &part.work);
            add(part.part, part.pass, seconds, measurements);
        }
        parts.sort_by_key(|part| (part.part.index(), part.pass));
        let all: f64 = parts.iter().map(|part| part.seconds).sum();
        if all > 0.0 {
            distance += self.preparation(work) * level / all;
        }
        Some(Prediction { parts, level, distance })
    }

    /// The interval of [`Prediction::seconds`].
    pub(crate) fn interval(&self, prediction: &Prediction) -> Interval {
        self.errors.interval(prediction.seconds(), prediction.distance)
    }

    /// Expected energy of a job in joules; `None` before the first measurement.
    pub(crate) fn joules(&self, work: &JobWork, prediction: &Prediction) -> Option<f64> {
        self.energy.predict(&[energy_work(prediction.device_seconds(), work.tokens_evaluated())])
    }

    /// Expected seconds of the steps that remain after `done` steps, previews included; `None` before the first measured step.
    pub(crate) fn steps_left(&self, work: &JobWork, done: u32) -> Option<f64> {
        let mut begun = 0;
        let mut seconds = 0.0;
        for pass in &work.passes {
            for batch in 0..pass.batches.len() {
                let done_here = done.saturating_sub(begun).min(pass.steps());
                seconds += self.steps_of_batch(pass, batch, done_here, Some(work))?;
                begun += pass.steps();
            }
        }
        Some(seconds * self.errors.level())
    }

    /// Expected seconds of the other parts on the device that run after `done` steps.
    pub(crate) fn parts_left(&self, work: &JobWork, done: u32) -> f64 {
        let left = work.parts.iter().filter(|part| part.part != Part::EncodeImage && part.after_steps >= done);
        left.map(|part| self.part(part.part, &part.work).0).sum::<f64>() * self.errors.level()
    }

    /// Expected seconds of [`Part::EncodeImage`].
    pub(crate) fn encode_image(&self, work: &JobWork) -> f64 {
        let files = work.parts.iter().filter(|part| part.part == Part::EncodeImage);
        files.map(|part| self.part(part.part, &part.work).0).sum()
    }

    /// Expected seconds of a batch's steps that remain after `done` of them, with their previews if `work` is given.
    fn steps_of_batch(&self, pass: &PassWork, batch: usize, done: u32, work: Option<&JobWork>) -> Option<f64> {
        let images = pass.batches.get(batch).copied()?;
        let left = pass.guided.get(done as usize..).unwrap_or_default();
        let guided = left.iter().filter(|guided| **guided).count() as f64;
        let each = f64::from(pass.evaluations_per_step) * pass.computed_share;
        let denoise = self.fit(Part::Denoise);
        let step = |is_guided| Some(each * denoise.predict(&[pass.evaluation(images, is_guided)])?);
        let steps = left.len() as f64;
        let mut seconds = (steps - guided) * step(false)? + guided * step(true)?;
        let is_ahead = |is_guided| pass.guided.iter().position(|guided| *guided == is_guided) >= Some(done as usize);
        let ahead = [false, true].into_iter().filter(|is_guided| is_ahead(*is_guided));
        let preparations: Vec<Work> = ahead.filter_map(|is_guided| pass.preparation(batch, is_guided)).collect();
        seconds += denoise.predict(&preparations)?;
        if let Some(previews) = work.and_then(|work| work.previews) {
            let part = Part::Preview(previews.method);
            let count = previews.count(steps, if steps > 0.0 { seconds / steps } else { 0.0 });
            seconds += count * self.part(part, &[pass.preview(images)]).0;
            if batch == 0 && done == 0 {
                seconds += self.part(part, &[pass.preview_preparation()]).0;
            }
        }
        Some(seconds)
    }

    /// Expected seconds in which the device prepares what the job uses for the first time.
    fn preparation(&self, work: &JobWork) -> f64 {
        let seconds = |part: Part, first: Vec<Work>| self.fit(part).predict(&first).unwrap_or(0.0);
        let steps = work.passes.iter().flat_map(|pass| {
            let batches = (0..pass.batches.len()).flat_map(|batch| [(batch, false), (batch, true)]);
            batches.filter_map(|(batch, is_guided)| pass.preparation(batch, is_guided))
        });
        let parts = work.parts.iter();
        let others = parts.map(|part| seconds(part.part, part.work.iter().map(Work::preparation).collect()));
        seconds(Part::Denoise, steps.collect()) + others.sum::<f64>()
    }

    /// Expected seconds of a part, and the number of measurements behind them. A part without measurements uses the fit of a
    /// similar part, or counts as 0 seconds.
    fn part(&self, part: Part, work: &[Work]) -> (f64, usize) {
        let fit = self.fit(part);
        if let Some(seconds) = fit.predict(work) {
            return (seconds, fit.len());
        }
        let like = match part {
            Part::VaeEncode | Part::Preview(PreviewMethod::Decoder) => Part::Decode,
            Part::Decode => Part::VaeEncode,
            _ => return (0.0, 0),
        };
        (self.fit(like).predict(work).unwrap_or(0.0), 0)
    }

    fn fit(&self, part: Part) -> &Fit {
        &self.fits[part.index()]
    }

    /// A guess for a model without measurements, and its interval: two operations for each parameter and token, at a typical
    /// rate of a GPU or a CPU.
    pub(crate) fn guess(work: &JobWork, info: &EngineInfo) -> (Prediction, Interval) {
        /// Floating-point operations per second of a typical GPU and of a typical CPU.
        const RATES: [f64; 2] = [1e14, 3e10];
        /// Number of parameters assumed for a model that does not state it.
        const PARAMETERS: u64 = 100_000_000;
        // The largest network is the denoiser, or an encoder of a similar size.
        let parameters = info.model.parameters.values().max().copied().unwrap_or(PARAMETERS);
        let rate = if info.device.starts_with("cuda") { RATES[0] } else { RATES[1] };
        // Two operations for each parameter and token.
        let seconds = 2.0 * parameters as f64 * work.tokens_evaluated() / rate;
        let part = PartTime { part: Part::Denoise, pass: 1, seconds, measurements: 0 };
        let prediction = Prediction { parts: vec![part], level: 1.0, distance: 0.0 };
        let interval = Interval::within(prediction.seconds(), GUESS_FACTOR);
        (prediction, interval)
    }
}

/// The work that the regression of energy uses: energy grows with the time and with the tokens evaluated in it.
fn energy_work(seconds: f64, tokens: f64) -> Work {
    let rate = if seconds > 0.0 { tokens / seconds } else { 0.0 };
    Work { count: seconds, main: rate, ..Work::default() }
}

#[cfg(test)]
mod tests {
    use sakuga_model_core::{GenerationSpec, Guidance, Sampling, Solver};

    use super::*;
    use crate::estimate::work::tests::{info, spec, work};

    /// The seconds that each part of a job takes on a device of the test.
    fn truth(part: Part, works: &[Work]) -> f64 {
        let one = |work: &Work| {
            let size = work.main + work.extra;
            work.count
                * match part {
                    Part::Denoise => 0.002 + 2e-5 * size + 1e-8 * size * work.length,
                    Part::TextEncode => 0.01 + 1e-4 * size,
                    Part::Decode | Part::VaeEncode => 0.005 + 4e-7 * size,
                    Part::EncodeImage => 1e-7 * size,
                    _ => 0.003,
                }
        };
        works.iter().map(one).sum()
    }

    /// A job as the device of the test draws it, `noise` times as slow as usual.
    fn drawn(estimator: &Estimator, work: &JobWork, noise: f64) -> JobMeasurements {
        let mut parts: Vec<Measurement> = Vec::new();
        let mut total = 0.0;
        let mut add = |part, works: Vec<Work>, times: f64| {
            let seconds = noise * truth(part, &works);
            total += times * seconds;
            parts.push(Measurement { part, work: works, seconds, scale: seconds });
        };
        for pass in &work.passes {
            for images in &pass.batches {
                for is_guided in [false, true] {
                    let steps = pass.guided.iter().filter(|guided| **guided == is_guided).count() as f64;
                    if steps > 0.0 {
                        let times = steps * f64::from(pass.evaluations_per_step);
                        add(Part::Denoise, vec![pass.evaluation(*images, is_guided)], times);
                    }
                }
            }
        }
        for part in &work.parts {
            add(part.part, part.work.clone(), 1.0);
        }
        let expected = estimator.predict(work, false).map(|prediction| prediction.expected());
        JobMeasurements {
            parts,
            expected,
            seconds: total,
            joules: Some(300.0 * total),
            tokens: work.tokens_evaluated(),
        }
    }

    fn learn(estimator: &mut Estimator, spec: &GenerationSpec, noise: f64) -> JobMeasurements {
        let job = drawn(estimator, &work(spec), noise);
        estimator.learn_parts(&job.parts);
        estimator.learn_job(&job);
        job
    }

    /// Requests of many kinds.
    fn mixed(count: u32) -> Vec<GenerationSpec> {
        let one = |place: u32| {
            let guidance = match place % 3 {
                0 => Guidance::new(1.0),
                1 => Guidance::new(5.0),
                _ => Guidance { until: 0.5, ..Guidance::new(4.0) },
            };
            let solver = if place % 7 == 6 { Solver::Midpoint } else { Solver::Euler };
            let sampling = Sampling { solver, guidance, ..spec(64, 4 + 3 * (place % 5)).sampling };
            let edge_px = [256, 512, 768, 384, 1024][(place % 5) as usize];
            GenerationSpec { images: 1 + place % 4, sampling, ..spec(edge_px, sampling.steps) }
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn nothing_is_estimated_before_it_was_measured() {
        let estimator = Estimator::default();
        assert_eq!(estimator.predict(&work(&spec(64, 10)), false), None);
        assert_eq!(
            (estimator.step_time(), estimator.jobs(), estimator.steps_left(&work(&spec(64, 10)), 0)),
            (None, 0, None)
        );
        let (guess, interval) = Estimator::guess(&work(&spec(64, 10)), &info());
        assert!(guess.seconds() > 0.0 && interval.low < guess.seconds() && interval.high > guess.seconds());
        assert!(guess.parts.iter().all(|part| part.measurements == 0));
    }

    #[test]
    fn after_twenty_jobs_nine_in_ten_of_a_hundred_are_within_a_tenth() {
        let mut estimator = Estimator::default();
        // Noise of up to 4 percent on both sides, and one job in ten takes half as long again.
        let noise = |place: u32| if place % 10 == 9 { 1.5 } else { 0.96 + 0.01 * f64::from(place * 7 % 9) };
        let jobs = mixed(120);
        jobs.iter().take(20).zip(0..).for_each(|(spec, place)| _ = learn(&mut estimator, spec, noise(place)));
        let (mut close, mut covered) = (0, 0);
        for (spec, place) in jobs.iter().skip(20).zip(20..) {
            let prediction = estimator.predict(&work(spec), false).expect("measured");
            let interval = estimator.interval(&prediction);
            let usual = learn(&mut estimator, spec, noise(place)).seconds;
            close += u32::from((prediction.seconds() / usual - 1.0).abs() <= 0.1);
            covered += u32::from((interval.low..=interval.high).contains(&usual));
        }
        assert!(close >= 85 && covered >= 75, "{close} of 100 are close, {covered} are covered");
        assert_eq!(estimator.jobs(), 120);
    }

    #[test]
    fn larger_jobs_take_longer() {
        let mut estimator = Estimator::default();
        mixed(20).iter().for_each(|spec| _ = learn(&mut estimator, spec, 1.0));
        let seconds = |spec: &GenerationSpec| estimator.predict(&work(spec), false).expect("measured").seconds();
        let by_size: Vec<f64> = (2..40).map(|place| seconds(&spec(32 * place, 10))).collect();
        let by_steps: Vec<f64> = (1..60).map(|steps| seconds(&spec(512, steps))).collect();
        let by_images: Vec<f64> = (1..9).map(|images| seconds(&GenerationSpec { images, ..spec(512, 10) })).collect();
        assert!(by_size.is_sorted() && by_steps.is_sorted() && by_images.is_sorted());
        // Twice the steps take twice the time in the denoiser alone.
        let part = |steps| {
            let prediction = estimator.predict(&work(&spec(512, steps)), false).expect("measured");
            prediction.parts.iter().filter(|part| part.part == Part::Denoise).map(|part| part.seconds).sum::<f64>()
        };
        assert!((part(20) / part(10) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_left_of_a_running_job_goes_down_to_nothing() {
        let mut estimator = Estimator::default();
        mixed(20).iter().for_each(|spec| _ = learn(&mut estimator, spec, 1.0));
        let work = work(&GenerationSpec { images: 3, max_batch: 2, ..spec(256, 6) });
        let left: Vec<f64> =
            (0..=work.steps()).map(|done| estimator.steps_left(&work, done).expect("measured")).collect();
        assert!(left.is_sorted_by(|before, after| before > after) && left[12] == 0.0, "{left:?}");
        // The last batch has one picture instead of two.
        assert!(left[0] - left[1] > 1.5 * (left[11] - left[12]), "{left:?}");
        let whole = estimator.predict(&work, false).expect("measured").device_seconds();
        assert!((left[0] + estimator.parts_left(&work, 0) - whole).abs() < 1e-9);
        assert!(estimator.parts_left(&work, 12) < estimator.parts_left(&work, 0));
        assert!(estimator.parts_left(&work, 12) > 0.0, "the pictures are decoded");
    }

    #[test]
    fn energy_and_adapters_are_learnt() {
        let mut estimator = Estimator::default();
        mixed(20).iter().for_each(|spec| _ = learn(&mut estimator, spec, 1.0));
        let work = work(&spec(512, 10));
        let prediction = estimator.predict(&work, false).expect("measured");
        let joules = estimator.joules(&work, &prediction).expect("measured");
        assert!((joules / (300.0 * prediction.seconds()) - 1.0).abs() < 0.1, "{joules}");
        assert_eq!(Estimator::default().joules(&work, &prediction), None);
        let switch =
            Measurement { part: Part::LoadAdapters, work: work.adapters.work.clone(), seconds: 2.0, scale: 2.0 };
        estimator.learn_parts(&[switch]);
        let with = estimator.predict(&work, true).expect("measured").seconds();
        let ratio = (with - prediction.seconds()) / 2.0;
        assert!((ratio - 1.0).abs() < 0.2, "{ratio}");
    }

    #[test]
    fn the_step_time_follows_the_latest_steps() {
        let mut estimator = Estimator::default();
        for ms in (0..2 * STEPS as u64).map(|number| if number < STEPS as u64 { 1000 } else { 1 }) {
            estimator.step_done(Duration::from_millis(ms));
        }
        assert_eq!(estimator.step_time(), Some(Duration::from_millis(1)));
    }
}
