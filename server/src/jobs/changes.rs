//! [`Alternatives`]: finds changes to a request that exceeds a limit, so that it would be accepted.

use std::time::Duration;

use sakuga_model_core::{GenerationSpec, Sampling, SecondPass, TokenCount};

use sakuga_proto::text::count;

use super::registry::Jobs;
use crate::estimate::{Change, JobWork};
use crate::job::JobRequest;
use crate::scheduler::Forecasted;

/// Percents of the edges that are tried, the largest first.
const EDGE_PERCENTS: [u32; 18] = [95, 90, 85, 80, 75, 70, 65, 60, 55, 50, 45, 40, 35, 30, 25, 20, 15, 10];

/// Requests that differ from one in a single respect.
pub(super) struct Alternatives<'a> {
    pub(super) jobs: &'a Jobs,
    pub(super) request: &'a JobRequest,
    pub(super) forecast: &'a Forecasted,
    /// Tokens of the prompt and of the negative prompt.
    pub(super) tokens: [&'a [TokenCount]; 2],
}

impl Alternatives<'_> {
    /// Changes that each make the request fit into the memory.
    pub(super) fn that_fit_memory(&self) -> Vec<Change> {
        self.smaller(|spec| self.jobs.memory_of(self.request.model, spec).fits())
    }

    /// Changes that each let the job end before its deadline. `latest` is the timeout that the unchanged request would need.
    pub(super) fn that_end_within(&self, given: Duration, latest: Duration) -> Vec<Change> {
        let seconds = latest.as_secs() + 1;
        let timeout = Change {
            fields: vec![("options.timeout", format!("{seconds}s"))],
            description: format!("allow {seconds} s"),
        };
        let fits = |spec: &GenerationSpec| self.end(spec).is_some_and(|end| end <= given);
        std::iter::once(timeout).chain(self.fewer_steps(fits)).chain(self.smaller(fits)).collect()
    }

    /// When the job would end with this request instead.
    fn end(&self, spec: &GenerationSpec) -> Option<Duration> {
        let dependencies = &self.jobs.dependencies;
        let info = &dependencies.models.get(self.request.model).info;
        let work = JobWork::new(spec, info, self.tokens, &self.request.preview);
        let seconds = dependencies.scheduler.predict(
            self.forecast.device,
            self.request.model,
            &work,
            self.forecast.switches_adapters,
        )?;
        let time = Duration::try_from_secs_f64(seconds).ok()?;
        self.forecast
            .position
            .eta?
            .checked_add(self.forecast.load?)?
            .checked_add(self.forecast.scene.time()?)?
            .checked_add(time)
    }

    /// The most steps at which the request fits.
    fn fewer_steps(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Option<Change> {
        let spec = &self.request.spec;
        let with = |steps: u32| GenerationSpec { sampling: Sampling { steps, ..spec.sampling }, ..spec.clone() };
        let has_steps = |spec: &GenerationSpec| spec.passes().all(|pass| pass.steps() > 0);
        let fitting = |steps: &u32| {
            let spec = with(*steps);
            has_steps(&spec) && fits(&spec)
        };
        let steps = (1..spec.sampling.steps).rev().find(fitting)?;
        Some(Change {
            fields: vec![("sampling.steps", steps.to_string())],
            description: format!("ask for {} instead of {}", count(steps as usize, "step"), spec.sampling.steps),
        })
    }

    /// Fewer images, a smaller size, a smaller factor of the second pass, and one pass instead of two, each as large as it fits.
    fn smaller(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Vec<Change> {
        let changes =
            [self.fewer_images(&fits), self.smaller_size(&fits), self.smaller_factor(&fits), self.one_pass(&fits)];
        changes.into_iter().flatten().collect()
    }

    fn fewer_images(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Option<Change> {
        let spec = &self.request.spec;
        // The indices of single images are those of the whole batch.
        if !spec.image_indices.is_empty() {
            return None;
        }
        let images = (1..spec.images).rev().find(|images| fits(&GenerationSpec { images: *images, ..spec.clone() }))?;
        Some(Change {
            fields: vec![("images", images.to_string())],
            description: format!("ask for {images} instead of {} images", spec.images),
        })
    }

    fn smaller_size(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Option<Change> {
        let spec = &self.request.spec;
        // Another size needs another mask, and perhaps a `resize`.
        if spec.init.is_some() {
            return None;
        }
        let multiple_px = self.jobs.dependencies.models.get(self.request.model).info.model.size.multiple_px.max(1);
        let shorter = |edge_px: u32, percent: u32| {
            let scaled_px = (u64::from(edge_px) * u64::from(percent) / 100) as u32;
            (scaled_px / multiple_px * multiple_px).max(multiple_px)
        };
        let with = |percent: u32| GenerationSpec {
            width_px: shorter(spec.width_px, percent),
            height_px: shorter(spec.height_px, percent),
            // The second pass keeps its factor.
            second_pass: spec.second_pass.map(|second| SecondPass {
                width_px: shorter(second.width_px, percent),
                height_px: shorter(second.height_px, percent),
                ..second
            }),
            ..spec.clone()
        };
        let smaller = EDGE_PERCENTS.into_iter().map(with).find(|spec| fits(spec))?;
        let (width, height) = (smaller.width_px, smaller.height_px);
        Some(Change {
            fields: vec![("width", width.to_string()), ("height", height.to_string())],
            description: format!("ask for {width}x{height} instead of {}x{}", spec.width_px, spec.height_px),
        })
    }

    fn smaller_factor(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Option<Change> {
        let factor = self.jobs.largest_factor(self.request, fits)?;
        Some(Change {
            fields: vec![("second_pass.factor", factor.to_string())],
            description: format!("enlarge by {factor} in the second pass"),
        })
    }

    fn one_pass(&self, fits: impl Fn(&GenerationSpec) -> bool) -> Option<Change> {
        let spec = &self.request.spec;
        let is_enough = spec.second_pass.is_some() && fits(&GenerationSpec { second_pass: None, ..spec.clone() });
        is_enough.then(|| Change {
            fields: vec![("second_pass", String::new())],
            description: "leave out the second pass".to_owned(),
        })
    }
}
