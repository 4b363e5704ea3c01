//! Several devices in virtual time: they take jobs from one queue as [`DevicePool`] says, and no clock runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::device::Service;
use super::pool::{DevicePool, Wanted};
use crate::devices::{DeviceId, DeviceInfo};
use crate::job::Priority;
use crate::job_id::JobId;
use crate::models::{MemoryBudget, ModelFacts, ModelId, ModelTable};
use crate::scheduler::queue::{OVERTAKEN_MAX, Queue};

/// How long a load takes, in units of time.
const LOAD: u64 = 300;

/// A job of the simulation.
#[derive(Clone, Copy, Debug)]
struct Job {
    number: usize,
    model: ModelId,
    /// How long it has a device.
    duration: u64,
}

/// A server without threads. Time passes from the end of one job to the end of the next.
struct Simulation {
    pool: DevicePool,
    queue: Queue<Job>,
    now: u64,
    /// When each device is free again.
    busy_until: Vec<Option<u64>>,
    /// The device of each job, in the order of their starts.
    starts: Vec<(usize, DeviceId)>,
    loads: usize,
}

impl Simulation {
    /// A server with `devices` devices. Each has room for `room` of the `models` models, and has loaded the first.
    fn new(devices: usize, models: usize, room: u64) -> Self {
        let device = |id: DeviceId| {
            let facts = |model: ModelId| ModelFacts {
                name: model.index().to_string().into(),
                weight_bytes: 1,
                host_copy_bytes: 0,
            };
            let budget = MemoryBudget { device_bytes: Some(room), host_bytes: 0 };
            let mut table = ModelTable::new(ModelId::all(models).map(facts), budget);
            table.begin_load(ModelId::DEFAULT);
            table.loaded(ModelId::DEFAULT, Duration::ZERO, 0);
            (DeviceInfo::new(&format!("cuda:{} NVIDIA X", id.index())), table)
        };
        let mut pool = DevicePool::new(DeviceId::all(devices).map(device));
        pool.iter_mut().for_each(|device| device.is_idle = true);
        let busy_until = vec![None; devices];
        Self { pool, queue: Queue::new(usize::MAX), now: 0, busy_until, starts: Vec::new(), loads: 0 }
    }

    fn enqueue(&mut self, client: &str, priority: Priority, job: Job) {
        self.queue.push(JobId::new(), &Arc::from(client), priority, job);
    }

    /// Gives a device a job, if there is one for it.
    fn take(&mut self, id: DeviceId) -> bool {
        if !self.pool.get(id).is_free() {
            return false;
        }
        let Self { pool, queue, .. } = self;
        let Some(job) = queue.pop(|job| pool.fit(id, Wanted { model: job.model, scene: None, adapters: &[] })) else {
            return false;
        };
        let device = pool.get_mut(id);
        device.is_idle = false;
        let mut end = self.now + job.duration;
        if !device.models.is_loaded(job.model) {
            device.models.begin_load(job.model);
            device.models.loaded(job.model, Duration::ZERO, 0);
            self.loads += 1;
            end += LOAD;
        }
        device.models.used(job.model);
        self.busy_until[id.index()] = Some(end);
        self.starts.push((job.number, id));
        true
    }

    /// Lets the devices take jobs, in this order and again, until none takes one.
    fn settle(&mut self, order: &[DeviceId]) {
        while order.iter().any(|id| self.take(*id)) {}
    }

    /// Lets time pass until the next job ends; false if none runs.
    fn advance(&mut self) -> bool {
        let Some(next) = self.busy_until.iter().flatten().min().copied() else { return false };
        self.now = next;
        for (id, until) in DeviceId::all(self.busy_until.len()).zip(&mut self.busy_until) {
            if *until == Some(next) {
                *until = None;
                self.pool.get_mut(id).is_idle = true;
            }
        }
        true
    }

    /// Draws everything, and returns the time that it took.
    fn run(&mut self) -> u64 {
        let order: Vec<_> = self.pool.ids().collect();
        loop {
            self.settle(&order);
            if !self.advance() {
                return self.now;
            }
        }
    }
}

/// Durations between 80 and 120, the same in each run.
fn duration(number: usize) -> u64 {
    80 + (number as u64).wrapping_mul(0x9e37_79b9) % 41
}

fn jobs_of_one_model(devices: usize) -> Simulation {
    let mut simulation = Simulation::new(devices, 1, 1);
    for number in 0..800 {
        let job = Job { number, model: ModelId::DEFAULT, duration: duration(number) };
        simulation.enqueue(["a", "b", "c"][number % 3], Priority::Normal, job);
    }
    simulation
}

#[test]
fn eight_devices_draw_almost_eight_times_as_much_as_one() {
    let one = jobs_of_one_model(1).run();
    let eight = jobs_of_one_model(8).run();
    let ratio = one as f64 / eight as f64;
    assert!((7.8..=8.0).contains(&ratio), "{ratio}");
}

#[test]
fn every_job_is_drawn_once_and_all_devices_take_part() {
    let mut simulation = jobs_of_one_model(8);
    simulation.run();
    let mut of_device = BTreeMap::<DeviceId, usize>::new();
    let mut drawn: Vec<usize> = Vec::new();
    for (job, device) in &simulation.starts {
        drawn.push(*job);
        *of_device.entry(*device).or_default() += 1;
    }
    drawn.sort_unstable();
    assert_eq!(drawn, (0..800).collect::<Vec<_>>());
    assert_eq!(of_device.len(), 8);
    assert!(of_device.values().all(|jobs| (90..=110).contains(jobs)), "{of_device:?}");
}

/// With one model loaded on each device, jobs of two models go where their model is.
#[test]
fn jobs_go_to_a_device_that_has_their_model() {
    let mut simulation = Simulation::new(8, 2, 1);
    for number in 0..400 {
        let model = ModelId::all(2).nth(number % 2).expect("two models");
        simulation.enqueue("a", Priority::Normal, Job { number, model, duration: duration(number) });
    }
    simulation.run();
    // A device that always takes the first job would load a model for every second one.
    assert!(simulation.loads <= 50, "{} loads of 400 jobs", simulation.loads);
}

#[test]
fn of_several_free_devices_the_one_with_the_model_takes_the_job() {
    let mut simulation = Simulation::new(3, 2, 1);
    let other = ModelId::all(2).nth(1).expect("two models");
    let last = simulation.pool.ids().last().expect("three devices");
    simulation.pool.get_mut(last).models.begin_load(other);
    simulation.pool.get_mut(last).models.loaded(other, Duration::ZERO, 0);
    let order: Vec<_> = simulation.pool.ids().collect();
    for (number, model) in [(0, other), (1, ModelId::DEFAULT), (2, ModelId::DEFAULT)] {
        simulation.enqueue("a", Priority::Normal, Job { number, model, duration: 1 });
        simulation.settle(&order);
    }
    assert_eq!(simulation.starts, [(0, last), (1, order[0]), (2, order[1])]);
    assert_eq!(simulation.loads, 0);
}

#[test]
fn a_device_that_is_out_of_service_takes_nothing_and_the_rest_go_on() {
    let mut simulation = jobs_of_one_model(8);
    let drained = DeviceId::FIRST;
    simulation.pool.get_mut(drained).service = Service::Drained;
    let time = simulation.run();
    assert!(simulation.starts.iter().all(|(_, device)| *device != drained));
    assert_eq!(simulation.starts.len(), 800);
    let ratio = jobs_of_one_model(1).run() as f64 / time as f64;
    assert!((6.8..=7.0).contains(&ratio), "{ratio}");
}

fn any_priority() -> impl Strategy<Value = Priority> {
    prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)]
}

proptest! {
    /// In every order in which devices wake: each job is drawn once, none is overtaken more often than the bound allows, and no device is
    /// free while a job waits that it can draw.
    #[test]
    fn no_job_starves_and_no_device_idles(
        devices in 1..9_usize,
        room in 1..4_u64,
        jobs in prop::collection::vec((0..4_usize, 0..3_u8, any_priority(), 1..200_u64), 1..120),
        failures in prop::collection::vec((0..8_usize, 0..4_usize), 0..6),
        seed in any::<u64>(),
    ) {
        let mut simulation = Simulation::new(devices, 4, room);
        for (device, model) in failures {
            // The last device can draw everything.
            if let Some(id) = simulation.pool.ids().take(devices - 1).nth(device) {
                let model = ModelId::all(4).nth(model).expect("one of four");
                simulation.pool.get_mut(id).models.failed(model, "no file".into());
            }
        }
        for (number, (model, client, priority, duration)) in jobs.iter().enumerate() {
            let model = ModelId::all(4).nth(*model).expect("one of four");
            simulation.enqueue(&client.to_string(), *priority, Job { number, model, duration: *duration });
        }
        let mut order: Vec<_> = simulation.pool.ids().collect();
        let mut overtaken = vec![0_u32; jobs.len()];
        loop {
            order.rotate_left((seed % devices as u64) as usize);
            loop {
                let waiting: Vec<Job> = simulation.queue.iter().copied().collect();
                if !order.clone().into_iter().any(|id| simulation.take(id)) {
                    break;
                }
                let (taken, device) = *simulation.starts.last().expect("one was taken");
                for before in waiting.iter().take_while(|job| job.number != taken) {
                    let could = simulation.pool.get(device).models.failure(before.model).is_none();
                    overtaken[before.number] += u32::from(could);
                }
            }
            let free: Vec<_> = order.iter().filter(|id| simulation.pool.get(**id).is_free()).collect();
            for job in simulation.queue.iter() {
                let can_draw = |id: &&DeviceId| simulation.pool.get(**id).models.failure(job.model).is_none();
                prop_assert!(!free.iter().any(can_draw), "{job:?} waits for no reason");
            }
            if !simulation.advance() {
                break;
            }
        }
        let mut drawn: Vec<usize> = simulation.starts.iter().map(|(job, _)| *job).collect();
        drawn.sort_unstable();
        prop_assert_eq!(drawn, (0..jobs.len()).collect::<Vec<_>>());
        prop_assert!(overtaken.iter().all(|count| *count <= OVERTAKEN_MAX), "{overtaken:?}");
        for (job, device) in &simulation.starts {
            let model = ModelId::all(4).nth(jobs[*job].0).expect("one of four");
            prop_assert!(simulation.pool.get(*device).models.failure(model).is_none());
        }
    }
}
