//! [`Forecast`]: when the jobs that wait will start.

use std::time::Duration;

use sakuga_model_core::AdapterChoice;

use super::State;
use crate::estimate::{Interval, PartTime, Prediction};
use crate::job::JobRequest;
use crate::models::ResidentSet;

/// Adds up the times of jobs in the order of the queue, with the loads of models that are not on the device by then and the
/// changes of adapters. Jobs of loaded models that are served earlier than their place are not predicted.
pub(in crate::scheduler) struct Forecast<'a> {
    state: &'a State,
    residents: ResidentSet,
    /// The adapters of each model by then; `None`: those that it has now.
    adapters: Vec<Option<&'a [AdapterChoice]>>,
    /// When the next job will start.
    pub(in crate::scheduler) time: Duration,
}

impl<'a> Forecast<'a> {
    /// The forecast after `time`, when the running job has ended.
    pub(super) fn new(state: &'a State, time: Duration) -> Self {
        let residents = state.models.residents().clone();
        Self { adapters: vec![None; state.adapters.len()], residents, state, time }
    }

    /// How long the model of a job takes to be loaded: zero if it is on the device by then, `None` if it was never loaded.
    fn load_time(&self, request: &JobRequest) -> Option<Duration> {
        if self.residents.contains(request.model) {
            return Some(Duration::ZERO);
        }
        self.state.models.load_time(request.model)
    }

    /// Whether a job that comes next has other adapters than its model by then. A model that is loaded has none.
    fn switches_adapters(&self, request: &JobRequest) -> bool {
        let model = request.model;
        let adapters = match self.residents.contains(model) {
            true => self.adapters[model.index()].unwrap_or_else(|| self.state.adapters(model)),
            false => &[],
        };
        adapters != request.spec.adapters.as_slice()
    }

    /// What a job that comes next takes; `None` if nothing of its model was measured yet.
    fn prediction(&self, request: &JobRequest) -> Option<Prediction> {
        self.state.estimator(request.model).predict(&request.work, self.switches_adapters(request))
    }

    /// The forecast after a job; `None` if a time of its model was not measured yet.
    pub(in crate::scheduler) fn after(mut self, request: &'a JobRequest) -> Option<Self> {
        let seconds = self.prediction(request)?.device_seconds();
        self.time += self.load_time(request)? + Duration::try_from_secs_f64(seconds).ok()?;
        if !self.residents.contains(request.model) {
            // Before a model is loaded, the open ones take their adapters back.
            self.adapters.fill(Some(&[]));
        }
        self.residents.insert(request.model);
        self.adapters[request.model.index()] = Some(&request.spec.adapters);
        Some(self)
    }
}

/// Where a job will be in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuePosition {
    /// Jobs before it, the running one included.
    pub position: usize,
    /// When it will start; `None` until a step of each model before it was measured.
    pub eta: Option<Duration>,
}

/// What is expected of a job that is not created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forecasted {
    /// Where it would be in the queue.
    pub position: QueuePosition,
    /// The time from its start to its pictures, in seconds, without the load of its model. `None`: nothing of its model was
    /// measured.
    pub time: Option<Interval>,
    /// The parts of that time.
    pub parts: Vec<PartTime>,
    /// How long its model takes to be loaded; zero: it is on the device by then, `None`: it was never loaded.
    pub load: Option<Duration>,
    /// Jobs of its model that were measured.
    pub learned_jobs: u32,
    /// Whether its adapters are others than those that the model has by then.
    pub switches_adapters: bool,
    /// Energy of the device, in joules.
    pub joules: Option<f64>,
}

impl Forecasted {
    /// The most probable time from its start to its pictures, with the load of its model; `None`: not everything of it was
    /// measured.
    pub(crate) fn expected(&self) -> Option<Duration> {
        Some(self.load? + Duration::try_from_secs_f64(self.time?.expected).ok()?)
    }

    /// The most probable time until its pictures; `None`: not everything of it and of the jobs before it was measured.
    pub(crate) fn end(&self) -> Option<Duration> {
        self.position.eta?.checked_add(self.expected()?)
    }
}

impl State {
    /// What is expected of a job that would be enqueued now.
    pub(in crate::scheduler) fn forecasted(&self, request: &JobRequest) -> Forecasted {
        let place = self.queue.place_of_next(&request.client, request.priority);
        let known = self.forecast_to(place);
        let eta = known.as_ref().map(|forecast| forecast.time);
        // What the job itself takes is known also if a job before it was not measured.
        let forecast = known.unwrap_or_else(|| Forecast::new(self, Duration::ZERO));
        let estimator = self.estimator(request.model);
        let prediction = forecast.prediction(request);
        Forecasted {
            position: QueuePosition { position: place + self.running_jobs(), eta },
            time: prediction.as_ref().map(|prediction| estimator.interval(prediction)),
            load: forecast.load_time(request),
            switches_adapters: forecast.switches_adapters(request),
            learned_jobs: estimator.jobs(),
            joules: prediction.as_ref().and_then(|prediction| estimator.joules(&request.work, prediction)),
            parts: prediction.map(|prediction| prediction.parts).unwrap_or_default(),
        }
    }
}
