//! [`Forecast`]: when the jobs that wait will start.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::time::Duration;

use sakuga_model_core::AdapterChoice;

use super::State;
use super::pool::Rank;
use crate::devices::DeviceId;
use crate::estimate::{Interval, JobWork, Part, PartTime, Prediction, Seen};
use crate::job::JobRequest;
use crate::models::{ModelId, ResidentSet};

/// The devices as they are expected to be after the jobs that were added so far. Jobs are added in the order of the queue, each on
/// the device that is free first; loads of models and changes of adapters count. That jobs of a loaded model may be served before
/// their turn is not predicted.
pub(in crate::scheduler) struct Forecast<'a> {
    state: &'a State,
    /// The devices that take jobs.
    devices: Vec<DeviceForecast<'a>>,
}

/// A device in a forecast.
#[derive(Clone)]
struct DeviceForecast<'a> {
    id: DeviceId,
    residents: ResidentSet,
    /// The adapters of each model; `None`: those that it has now.
    adapters: Vec<Option<&'a [AdapterChoice]>>,
    /// What each model will have computed.
    seen: Vec<Cow<'a, Seen>>,
    /// When it will be free; `None`: a time of a model before that was not measured.
    free: Option<Duration>,
}

impl<'a> DeviceForecast<'a> {
    /// The device as it is now, free at this time.
    fn new(state: &'a State, id: DeviceId, free: Option<Duration>) -> Self {
        let device = state.devices.get(id);
        let seen = ModelId::all(state.models).map(|model| Cow::Borrowed(device.seen(model))).collect();
        Self { id, residents: device.models.residents().clone(), adapters: vec![None; state.models], seen, free }
    }

    /// Whether each of these models could be loaded on the device, or was not tried there.
    fn can_load_all(&self, state: &State, mut models: impl Iterator<Item = ModelId>) -> bool {
        models.all(|model| state.devices.get(self.id).models.failure(model).is_none())
    }

    /// Records that a model draws a pass with these adapters.
    fn draws(&mut self, model: ModelId, work: &JobWork, adapters: &'a [AdapterChoice]) {
        if !self.residents.contains(model) {
            // Before a model is loaded, the open ones take their adapters back.
            self.adapters.fill(Some(&[]));
        }
        self.residents.insert(model);
        self.adapters[model.index()] = Some(adapters);
        work.mark(self.seen[model.index()].to_mut());
    }

    /// How long a model takes to be loaded: zero if the forecast has it on the device, `None` if it was never loaded.
    fn load_time(&self, state: &State, model: ModelId) -> Option<Duration> {
        if self.residents.contains(model) {
            return Some(Duration::ZERO);
        }
        state.devices.get(self.id).models.load_time(model)
    }

    /// Whether a job that comes next has other adapters than its model has in the forecast.
    fn switches_adapters(&self, state: &State, request: &JobRequest) -> bool {
        self.switches(state, request.model, &request.spec.adapters)
    }

    /// Whether a pass that comes next has other adapters than its model has in the forecast. A model that it loads has none.
    fn switches(&self, state: &State, model: ModelId, adapters: &[AdapterChoice]) -> bool {
        let applied = match self.residents.contains(model) {
            true => self.adapters[model.index()].unwrap_or_else(|| state.devices.get(self.id).adapters(model)),
            false => &[],
        };
        applied != adapters
    }

    /// What a job that comes next takes; `None` if nothing of its model was measured yet.
    fn prediction(&self, state: &State, request: &JobRequest) -> Option<Prediction> {
        let switches = self.switches_adapters(state, request);
        let work = request.work.on(&self.seen[request.model.index()]);
        state.estimator(self.id, request.model).predict(&work, switches)
    }

    /// What the pass of the scene of a job that comes next takes.
    fn scene(&self, state: &State, request: &JobRequest) -> SceneForecast {
        let Some(scene) = &request.scene else { return SceneForecast::NONE };
        let mut then = DeviceForecast::clone(self);
        then.draws(request.model, &request.work, &request.spec.adapters);
        let load = then.load_time(state, scene.model);
        let switches_adapters = then.switches(state, scene.model, &scene.spec().adapters);
        let prediction = state
            .estimator(self.id, scene.model)
            .predict(&scene.work_on(&then.seen[scene.model.index()], request.scene_draws()), switches_adapters);
        let seconds = prediction.map(|prediction| f64::from(request.scene_draws()) * prediction.device_seconds());
        let drawing = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        SceneForecast { load, switches_adapters, drawing }
    }

    /// When the device is free after a job that comes next.
    fn free_after(&self, state: &State, request: &JobRequest) -> Option<Duration> {
        let seconds = self.prediction(state, request)?.device_seconds();
        let first = self.load_time(state, request.model)? + Duration::try_from_secs_f64(seconds).ok()?;
        Some(self.free? + first + self.scene(state, request).time()?)
    }
}

impl<'a> Forecast<'a> {
    /// Before the first job that waits.
    pub(super) fn of_now(state: &'a State) -> Self {
        Self::with(state, |id| state.free_in(id))
    }

    /// As if no job ran.
    fn of_free_devices(state: &'a State) -> Self {
        Self::with(state, |_| Some(Duration::ZERO))
    }

    fn with(state: &'a State, free: impl Fn(DeviceId) -> Option<Duration>) -> Self {
        let serving = state.devices.ids().filter(|id| state.devices.get(*id).is_in_service());
        Self { state, devices: serving.map(|id| DeviceForecast::new(state, id, free(id))).collect() }
    }

    /// When a job of these models that comes next will start. Devices whose end is unknown are ignored: the start can only be earlier
    /// than this. Devices that cannot load one of the models are excluded.
    pub(in crate::scheduler) fn next_start(&self, models: impl Iterator<Item = ModelId> + Clone) -> Option<Duration> {
        let usable = self.devices.iter().filter(|device| device.can_load_all(self.state, models.clone()));
        usable.filter_map(|device| device.free).min()
    }

    /// The device that a job that comes next will get; `None`: the times of none are known.
    fn next_device(&self, request: &JobRequest) -> Option<usize> {
        let known = self.devices.iter().enumerate().filter_map(|(place, device)| Some((place, device, device.free?)));
        let usable = known.filter(|(_, device, _)| device.can_load_all(self.state, request.models()));
        let order = |&(_, device, free): &(usize, &DeviceForecast<'_>, Duration)| {
            let is_loaded = device.residents.contains(request.model);
            let has_adapters = is_loaded && !device.switches_adapters(self.state, request);
            (Reverse(free), Rank { is_loaded, has_adapters, place: Reverse(device.id) })
        };
        usable.max_by_key(order).map(|(place, ..)| place)
    }

    /// The device that the next job will get, as it is in the forecast.
    fn into_next(mut self, request: &JobRequest) -> Option<DeviceForecast<'a>> {
        let place = self.next_device(request)?;
        Some(self.devices.swap_remove(place))
    }

    /// Assigns `request` to the device that would be free for it first, so that the next forecast comes after it.
    pub(in crate::scheduler) fn after(mut self, request: &'a JobRequest) -> Self {
        let Some(place) = self.next_device(request) else { return self };
        let device = &mut self.devices[place];
        device.free = device.free_after(self.state, request);
        device.draws(request.model, &request.work, &request.spec.adapters);
        if let Some(scene) = &request.scene {
            device.draws(scene.model, &scene.work, &scene.spec().adapters);
        }
        self
    }
}

/// Where a job will be in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuePosition {
    /// Jobs before it, the running ones included; 0: a device is free for it.
    pub position: usize,
    /// When it will start; `None` until a step of each model before it was measured.
    pub eta: Option<Duration>,
}

/// What is expected of the pass of a scene over all pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SceneForecast {
    /// How long its model takes to be loaded; zero: it will be on the device, `None`: it was never loaded.
    pub load: Option<Duration>,
    /// Whether its model will have other adapters and has to change them.
    pub switches_adapters: bool,
    /// How long it takes then; `None`: nothing of its model was measured.
    pub drawing: Option<Duration>,
}

impl SceneForecast {
    /// The forecast of a job without a scene.
    const NONE: Self = Self { load: Some(Duration::ZERO), switches_adapters: false, drawing: Some(Duration::ZERO) };

    /// The time of loading and drawing; `None`: one of the two was not measured.
    pub(crate) fn time(&self) -> Option<Duration> {
        Some(self.load? + self.drawing?)
    }
}

/// What is expected of a job that is not created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Forecasted {
    /// The device that it would get.
    pub device: DeviceId,
    /// Where it would be in the queue.
    pub position: QueuePosition,
    /// The time from its start to its pictures, in seconds, without the load of its model and without a scene. `None`: nothing of
    /// its model was measured.
    pub time: Option<Interval>,
    /// Seconds of each part of `time`.
    pub parts: Vec<PartTime>,
    /// How long its model takes to be loaded; zero: it will be on the device, `None`: it was never loaded.
    pub load: Option<Duration>,
    /// What the pass of its scene takes.
    pub scene: SceneForecast,
    /// Jobs of its model that were measured.
    pub learned_jobs: u32,
    /// Whether its model will have other adapters and has to change them.
    pub switches_adapters: bool,
    /// Energy of the device, in joules.
    pub joules: Option<f64>,
}

impl Forecasted {
    /// The most probable time from its start to its pictures, with the loads of its models; `None`: not everything of it was
    /// measured.
    pub(crate) fn expected(&self) -> Option<Duration> {
        Some(self.load? + Duration::try_from_secs_f64(self.time?.expected).ok()? + self.scene.time()?)
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
        let eta = known.next_start(request.models());
        // What the job itself takes is known also if a job before it was not measured.
        let device = known.into_next(request).or_else(|| Forecast::of_free_devices(self).into_next(request));
        let device = device.unwrap_or_else(|| DeviceForecast::new(self, DeviceId::FIRST, None));
        let estimator = self.estimator(device.id, request.model);
        let prediction = device.prediction(self, request);
        let share = self.expected_share(device.id, request);
        let time = prediction.as_ref().map(|prediction| {
            let seconds = prediction.seconds();
            let steps: f64 =
                prediction.parts.iter().filter(|part| part.part == Part::Denoise).map(|part| part.seconds).sum();
            let all = if seconds > 0.0 { 1.0 - (1.0 - share) * steps / seconds } else { 1.0 };
            estimator.interval(prediction).scaled(all)
        });
        let shared_part = |part: PartTime| match part.part {
            Part::Denoise => PartTime { seconds: share * part.seconds, ..part },
            _ => part,
        };
        Forecasted {
            device: device.id,
            position: QueuePosition { position: self.position(place), eta },
            time,
            load: device.load_time(self, request.model),
            scene: device.scene(self, request),
            switches_adapters: device.switches_adapters(self, request),
            learned_jobs: estimator.jobs(),
            joules: prediction.as_ref().and_then(|prediction| estimator.joules(&request.work, prediction)),
            parts: prediction.into_iter().flat_map(|prediction| prediction.parts).map(shared_part).collect(),
        }
    }
}
