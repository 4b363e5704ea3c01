//! Estimates a request without creating a job.

use std::time::Duration;

use sakuga_proto::generation::v1::{self as generation};

use super::caller::Caller;
use super::changes::Alternatives;
use super::policy::JobPolicy;
use super::prepare::{Prepared, prepare};
use super::registry::Jobs;
use crate::error::ServerError;
use crate::estimate::{Estimator, Interval, Load, Obstacle, ObstacleKind, Report};
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
        let Prepared { context, request, diagnostics, tokens: [prompt, negative], .. } = prepared;
        let (forecast, refusal) = self.dependencies.scheduler.forecast(&request)?;
        let model = self.dependencies.models.get(request.model);
        let load = load(&forecast, model.weight_bytes());
        let load_s = load.map_or(0.0, |load| load.seconds);
        let (time, parts) = match forecast.time {
            Some(time) => (time, forecast.parts.clone()),
            None => {
                let (guess, time) = Estimator::guess(&request.work, &model.info);
                (time, guess.parts)
            }
        };
        let time = time.plus(load_s);
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
        let is_guided = request.spec.sampling.guidance.is_ever_active();
        Ok(Report {
            model: model.name().to_owned(),
            device: self.dependencies.scheduler.device_name(forecast.device).to_string(),
            learned_jobs: forecast.learned_jobs,
            time,
            parts,
            load,
            tokens: [prompt, if is_guided { negative } else { Vec::new() }],
            steps: request.work.steps(),
            evaluations: request.work.evaluations(),
            memory_needed: memory.needed,
            memory_available: memory.available,
            joules: forecast.joules,
            position: forecast.position.position,
            eta: forecast.position.eta,
            obstacles,
            diagnostics,
            quality: context.quality,
        })
    }
}

/// The load of the model, unless it is on the device when the job starts.
fn load(forecast: &Forecasted, weight_bytes: u64) -> Option<Load> {
    match forecast.load {
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
