//! Estimates a request without creating a job.

use std::sync::Arc;
use std::time::Duration;

use sakuga_model_core::Sampling;
use sakuga_proto::generation::v1::{self as generation};

use super::caller::Caller;
use super::changes::Alternatives;
use super::policy::JobPolicy;
use super::prepare::{Prepared, prepare};
use super::registry::{Dependencies, Jobs};
use crate::error::ServerError;
use crate::estimate::{Estimator, Interval, Load, Obstacle, ObstacleKind, PartTime, Report};
use crate::job::JobRequest;
use crate::job_id::JobId;
use crate::scheduler::Forecasted;

/// Assumed rate of loading weights in bytes per second, for a model that was never loaded.
const LOAD_BYTES_PER_SECOND: f64 = 1e9;

impl Jobs {
    /// Estimates a request. It is checked as by [`Jobs::create`], but no job is created. Takes up to some milliseconds of CPU time.
    ///
    /// # Errors
    ///
    /// As for [`Jobs::create`], except those that are returned as [`Report::obstacles`].
    pub(crate) fn estimate(
        &self,
        caller: &Caller,
        request: generation::GenerateRequest,
        options: &generation::JobOptions,
    ) -> Result<Report, ServerError> {
        let policy = JobPolicy::read(options);
        let client = (caller.client.clone(), &caller.asset_owner());
        let prepared = prepare(&self.dependencies, JobId::new(), client, request, policy)?;
        let Prepared { request, diagnostics, tokens: [prompt, negative], .. } = prepared;
        let (forecast, refusal) = self.dependencies.scheduler.forecast(&request)?;
        let model = self.dependencies.models.get(request.model);
        let first_load = load(forecast.load, model.weight_bytes()).map(|load| (1, load));
        let scene_model = request.scene.as_ref().map(|scene| self.dependencies.models.get(scene.model));
        let scene_load = scene_model.and_then(|model| load(forecast.scene.load, model.weight_bytes()));
        let loads: Vec<(u32, Load)> =
            first_load.into_iter().chain(scene_load.map(|load| (request.passes(), load))).collect();
        let loads_s: f64 = loads.iter().map(|(_, load)| load.seconds).sum();
        let (time, parts) = match forecast.time {
            Some(time) => (time, forecast.parts.clone()),
            None => {
                let (guess, time) = Estimator::guess(&request.work, &model.info);
                (time, guess.parts)
            }
        };
        let scene = self.scene(&forecast, &request);
        let time = scene.as_ref().map_or(time, |scene| time.and_then(scene.time)).plus(loads_s);
        let joules = match &scene {
            Some(scene) => forecast.joules.zip(scene.joules).map(|(first, scene)| first + scene),
            None => forecast.joules,
        };
        let memory = self.memory(&request);
        let alternatives =
            Alternatives { jobs: self, request: &request, forecast: &forecast, tokens: [&prompt, &negative] };
        let mut obstacles: Vec<Obstacle> = refusal.and_then(of_queue).into_iter().collect();
        if let Err(error) = memory.check() {
            let changes = alternatives.that_fit_memory();
            obstacles.push(Obstacle { kind: ObstacleKind::Memory, description: error.to_string(), changes });
        }
        if let (Some(given), Some(needed)) = (policy.timeout, forecast.end())
            && needed > given
        {
            let description = ServerError::DeadlineTooShort { needed, given }.to_string();
            let changes = alternatives.that_end_within(given, latest_end(&forecast, &time));
            obstacles.push(Obstacle { kind: ObstacleKind::Deadline, description, changes });
        }
        let Sampling { quality, step_cache, .. } = &request.spec.sampling;
        let support = model.info.model.step_cache.as_ref();
        let measured = support.and_then(|support| support.measured(*quality, step_cache.as_ref()));
        let measured = measured.map(|profile| (*quality, Arc::clone(profile)));
        let is_guided = request.spec.sampling.guidance.is_ever_active();
        Ok(Report {
            model: model.name().to_owned(),
            device: self.dependencies.scheduler.device_name(forecast.device).to_string(),
            learned_jobs: forecast.learned_jobs,
            time,
            parts: parts.into_iter().chain(scene.into_iter().flat_map(|scene| scene.parts)).collect(),
            loads,
            tokens: [prompt, if is_guided { negative } else { Vec::new() }],
            steps: request.steps(),
            evaluations: request.evaluations(),
            memory_needed: memory.needed,
            memory_available: memory.available,
            joules,
            position: forecast.position.position,
            eta: forecast.position.eta,
            obstacles,
            diagnostics,
            quality: measured,
        })
    }
}

impl Jobs {
    /// The pass of a scene over all pictures.
    fn scene(&self, forecast: &Forecasted, request: &JobRequest) -> Option<SceneEstimate> {
        let scene = request.scene.as_ref()?;
        let Dependencies { models, scheduler, .. } = &self.dependencies;
        let (draws, switches) = (request.scene_draws(), forecast.scene.switches_adapters);
        let prediction = scheduler.scene_prediction(forecast.device, scene, draws, switches);
        let (prediction, interval, joules) = prediction.unwrap_or_else(|| {
            let (prediction, interval) = Estimator::guess(&scene.work, &models.get(scene.model).info);
            (prediction, interval, None)
        });
        let draws = f64::from(draws);
        let pass = request.passes();
        let parts = prediction.parts.into_iter().map(|part| PartTime { pass, seconds: draws * part.seconds, ..part });
        let joules = joules.map(|joules| draws * joules);
        Some(SceneEstimate { time: interval.times(draws), parts: parts.collect(), joules })
    }
}

/// The expected times and energy of the pass of a scene, without the load of its model.
struct SceneEstimate {
    time: Interval,
    parts: Vec<PartTime>,
    /// `None` if no energy of its model was measured.
    joules: Option<f64>,
}

/// The load of a model, unless it is on the device when its pass begins.
fn load(expected: Option<Duration>, weight_bytes: u64) -> Option<Load> {
    match expected {
        Some(Duration::ZERO) => None,
        Some(time) => Some(Load { seconds: time.as_secs_f64(), is_measured: true }),
        None => Some(Load { seconds: weight_bytes as f64 / LOAD_BYTES_PER_SECOND, is_measured: false }),
    }
}

/// A timeout that is met with a probability of 90 %.
fn latest_end(forecast: &Forecasted, time: &Interval) -> Duration {
    let until_start = forecast.position.eta.unwrap_or_default();
    until_start + Duration::try_from_secs_f64(time.high).unwrap_or_default()
}

/// The obstacle of a job that is not admitted now.
fn of_queue(refusal: ServerError) -> Option<Obstacle> {
    let kind = match &refusal {
        ServerError::QueueFull { .. } => ObstacleKind::Queue,
        ServerError::ClientJobs { .. } => ObstacleKind::ClientJobs,
        _ => return None,
    };
    Some(Obstacle { kind, description: refusal.to_string(), changes: Vec::new() })
}
