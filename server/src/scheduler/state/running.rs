//! [`Running`]: the job that has the device.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sakuga_model_core::Stage;

use super::assisting::shared_time;
use crate::estimate::{Estimator, JobWork};
use crate::job::{Job, JobRequest};
use crate::job_id::JobId;
use crate::journal::Journal;
use crate::models::ModelId;

/// Steps over which a job's pace is measured.
const PACE_STEPS: usize = 8;
/// Steps of the first job of a model before its end is estimated.
const STEPS_BEFORE_ETA: u32 = 2;
/// The bounds of the factor by which a job may be slower or faster than it was expected to be.
const PACE: [f64; 2] = [0.1, 20.0];

/// The job that has the device.
pub(in crate::scheduler) struct Running {
    pub(in crate::scheduler) id: JobId,
    /// The model that draws now.
    pub(in crate::scheduler) model: ModelId,
    /// The work of the current draw: all passes of the request, or one draw of its scene.
    work: JobWork,
    /// The expected time of the current draw's steps as a share of that on one device: below 1 if a second one assists.
    share: f64,
    /// Steps that were done before the current draw.
    steps_before: u32,
    /// The draws after the current one: their model, the work of each, and their number.
    later: Option<(ModelId, JobWork, u32)>,
    pub(in crate::scheduler) stage: Option<Stage>,
    /// When its model will be on the device, by the time that the last load took; `None` if it is there, or was never
    /// loaded.
    pub(in crate::scheduler) load_end: Option<Instant>,
    /// Steps that are done, and all steps, as the engine counts them.
    pub(in crate::scheduler) step: u32,
    pub(in crate::scheduler) steps: u32,
    /// When the latest [`PACE_STEPS`] steps ended, with the number of each. The first step is not a part of the pace: it may
    /// compile kernels and allocate.
    marks: VecDeque<(Instant, u32)>,
    /// When the engine last reported anything.
    pub(in crate::scheduler) last_report: Instant,
    pub(in crate::scheduler) journal: Arc<Journal>,
}

impl Running {
    /// `is_shared`: a second device assists.
    pub(in crate::scheduler) fn new(job: &Job, is_shared: bool) -> Self {
        let JobRequest { model, work, scene, .. } = &job.request;
        Self {
            id: job.handle.id.clone(),
            model: *model,
            stage: None,
            load_end: None,
            step: 0,
            steps: job.request.steps(),
            work: work.clone(),
            share: if is_shared { shared_time(work) } else { 1.0 },
            steps_before: 0,
            later: scene.as_ref().map(|scene| (scene.model, scene.work.clone(), job.request.scene_draws())),
            marks: VecDeque::new(),
            last_report: Instant::now(),
            journal: job.events.clone(),
        }
    }

    /// Whether a second device assists in what it draws now. Its steps are no measure of those on one device.
    pub(in crate::scheduler) fn is_shared(&self) -> bool {
        self.share < 1.0
    }

    /// Notes that the pass of a scene begins over the next picture.
    pub(in crate::scheduler) fn scene_begun(&mut self) {
        let Some((model, work, draws)) = self.later.take() else { return };
        (self.model, self.work, self.share, self.steps_before) = (model, work.clone(), 1.0, self.step);
        self.marks.clear();
        self.later = (draws > 1).then(|| (model, work, draws - 1));
    }

    /// Notes the work of what begins to be drawn, with what the device does for the first time.
    pub(in crate::scheduler) fn begin(&mut self, work: JobWork) {
        self.work = work;
    }

    /// Notes that a stage begins.
    pub(in crate::scheduler) fn stage_begun(&mut self, stage: Stage) {
        self.stage = Some(stage);
        if stage == Stage::Denoise {
            self.marks.clear();
        }
    }

    /// Notes a step that is done.
    pub(in crate::scheduler) fn step_done(&mut self, step: u32, steps: u32) {
        (self.step, self.steps) = (step, steps);
        if self.marks.len() > PACE_STEPS {
            self.marks.pop_front();
        }
        self.marks.push_back((Instant::now(), step));
    }

    /// The time until the device is free; `None` until a step of its model was measured. The latest steps of the job itself say
    /// how much slower it is than expected. `estimators` are those of the device.
    pub(in crate::scheduler) fn time_left<'a>(
        &self,
        estimators: impl Fn(ModelId) -> &'a Estimator,
    ) -> Option<Duration> {
        let estimator = estimators(self.model);
        let load_left = self.load_end.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        let done = self.step - self.steps_before;
        let steps = estimator.steps_left(&self.work, done)? * self.share * self.pace(estimator);
        let left = steps + estimator.parts_left(&self.work, done) + self.later_seconds(&estimators);
        Some(load_left + Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX / 4))
    }

    /// Seconds of what comes after what is drawn now. Steps of a model that was not measured yet count like those of the model that
    /// draws now.
    fn later_seconds<'a>(&self, estimators: impl Fn(ModelId) -> &'a Estimator) -> f64 {
        let Some((model, work, draws)) = &self.later else { return 0.0 };
        let measured = estimators(*model).predict(work, false).map(|prediction| prediction.device_seconds());
        let alike = || estimators(self.model).step_time().unwrap_or_default() * work.steps();
        f64::from(*draws) * measured.unwrap_or_else(|| alike().as_secs_f64())
    }

    /// The time until the pictures; `None` while nothing of its model was measured but its own first step, which takes longer than
    /// the others.
    pub(in crate::scheduler) fn time_to_pictures<'a>(
        &self,
        estimators: impl Fn(ModelId) -> &'a Estimator,
    ) -> Option<Duration> {
        let estimator = estimators(self.model);
        if estimator.jobs() == 0 && self.step - self.steps_before < STEPS_BEFORE_ETA {
            return None;
        }
        let encode = estimator.encode_image(&self.work);
        let encode = Duration::try_from_secs_f64(encode).unwrap_or_default();
        Some(self.time_left(estimators)? + encode)
    }

    /// How many times longer the latest steps took than expected.
    fn pace(&self, estimator: &Estimator) -> f64 {
        let (Some((begun, from)), Some((ended, to))) = (self.marks.front(), self.marks.back()) else { return 1.0 };
        let left = |step: u32| estimator.steps_left(&self.work, step - self.steps_before).unwrap_or(0.0);
        let expected = self.share * (left(*from) - left(*to));
        if expected <= 0.0 {
            return 1.0;
        }
        (ended.duration_since(*begun).as_secs_f64() / expected).clamp(PACE[0], PACE[1])
    }
}
