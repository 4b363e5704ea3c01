//! Waiting jobs when devices are lost, drained or cannot load a model; no worker runs.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sakuga_model_core::EngineError;

use super::event_order_tests::{Fate, Notes, Plan, job_request};
use super::shared::Shared;
use super::worker_id::WorkerId;
use crate::devices::{DeviceId, DeviceInfo};
use crate::error::ServerError;
use crate::event::{Event, EventBody};
use crate::job::{Job, JobHandle, JobRequest, LiveJobs};
use crate::job_id::JobId;
use crate::journal::{Journal, JournalHooks};
use crate::limits::Limits;
use crate::models::{MemoryBudget, ModelFacts, ModelId, ModelTable};
use crate::store::redb::RedbStore;
use crate::store::writer::StoreWriter;

/// The events of a job.
type Events = Arc<Mutex<Vec<Event>>>;

/// Two devices with two models, of which the first is loaded. Nobody draws.
struct Devices {
    shared: Shared,
    live: Arc<LiveJobs>,
    writer: Arc<StoreWriter>,
    devices: [DeviceId; 2],
    models: [ModelId; 2],
}

struct NoHooks;

impl JournalHooks for NoHooks {
    fn unwatched(&self, _: &JobId) {}

    fn ended(&self, _: &JobId) {}
}

impl Devices {
    fn new() -> Self {
        let models: [ModelId; 2] = std::array::from_fn(|place| ModelId::all(2).nth(place).expect("two models"));
        let device = |name: &str| {
            let facts = |model: ModelId| ModelFacts {
                name: format!("m{}", model.index()).into(),
                weight_bytes: 1,
                host_copy_bytes: 0,
            };
            let mut table = ModelTable::new(models.map(facts), MemoryBudget::default());
            table.begin_load(models[0]);
            table.loaded(models[0], Duration::ZERO, 0);
            (DeviceInfo::new(name), table)
        };
        let shared = Shared::new(&Limits::default(), [device("cuda:0"), device("cuda:1")]);
        let writer = StoreWriter::start(Arc::new(RedbStore::in_memory().expect("memory"))).expect("a thread");
        let devices = std::array::from_fn(|place| DeviceId::all(2).nth(place).expect("two devices"));
        Self { shared, live: Arc::default(), writer: Arc::new(writer), devices, models }
    }

    /// Enqueues a job of a model.
    fn enqueue(&self, model: ModelId) -> Events {
        let handle = JobHandle::new(JobId::new(), None);
        let events = Events::default();
        let encoder = Box::new(Notes(events.clone()));
        let journal = Arc::new(Journal::new(handle.id.clone(), encoder, self.writer.clone(), Arc::new(NoHooks)));
        journal.publish(EventBody::Accepted { diagnostics: Vec::new() });
        let request = job_request(&Plan { steps: 1, images: 1, fate: Fate::Read, after_us: 0 });
        let request = JobRequest { model, ..request };
        self.shared.enqueue(Job::new(handle, request, journal, &self.live), 0);
        events
    }

    fn fail_model(&self, device: DeviceId, model: ModelId) {
        self.shared.model_failed(WorkerId::first(device), model, &EngineError::Model("no file".into()));
    }
}

/// The error with which a job ended; `None`: it waits.
fn failure(events: &Events) -> Option<String> {
    match &events.lock().last().expect("events").body {
        EventBody::Failed(error @ ServerError::ModelUnusable { .. }) => Some(error.to_string()),
        EventBody::Queued { .. } | EventBody::Accepted { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn jobs_fail_when_the_only_device_for_their_model_is_lost_and_others_wait() {
    let all = Devices::new();
    let ([first, second], [loaded, other]) = (all.devices, all.models);
    all.fail_model(first, other);
    let jobs = [all.enqueue(loaded), all.enqueue(other)];
    assert_eq!(jobs.each_ref().map(failure), [None, None], "the second device may load it");
    all.shared.device_lost(second, "it is gone");
    let reason = failure(&jobs[1]).expect("no device is left for it");
    assert!(reason.contains("m1") && reason.contains("no file"), "{reason}");
    assert_eq!(failure(&jobs[0]), None);
}

#[test]
fn jobs_wait_for_a_drained_device_that_may_load_their_model() {
    let all = Devices::new();
    let ([first, second], [_, other]) = (all.devices, all.models);
    let job = all.enqueue(other);
    drop(all.shared.take_out_of_service(second, false));
    all.fail_model(first, other);
    assert_eq!(failure(&job), None, "the second device may be enabled again");
    drop(all.shared.put_into_service(second));
    all.fail_model(second, other);
    assert!(failure(&job).is_some());
}

#[test]
fn a_device_that_cannot_load_the_model_or_is_opened_again_is_not_where_a_job_starts() {
    let all = Devices::new();
    let ([first, second], [loaded, other]) = (all.devices, all.models);
    let start = |model| all.shared.state().forecast_to(0).next_start(std::iter::once(model));
    all.shared.begin_reopening(first);
    assert_eq!([start(loaded), start(other)], [Some(Duration::ZERO); 2], "the second device is free");
    all.fail_model(second, other);
    assert_eq!([start(loaded), start(other)], [Some(Duration::ZERO), None]);
    all.shared.device_recovered(first);
    assert_eq!(start(other), Some(Duration::ZERO));
    all.shared.set_opening(first, true);
    assert_eq!(start(other), None);
}

#[test]
fn no_position_says_that_a_device_is_free_while_none_takes_jobs() {
    let all = Devices::new();
    let position = || all.shared.state().position(0);
    assert_eq!(position(), 0);
    for device in all.devices {
        drop(all.shared.take_out_of_service(device, false));
    }
    assert_eq!(position(), 1);
    assert_eq!(all.shared.state().position(3), 3);
    drop(all.shared.put_into_service(all.devices[0]));
    assert_eq!(position(), 0);
}
