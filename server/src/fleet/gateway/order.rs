//! [`FairOrder`]: the fair queue of the single server over the jobs of a fleet.

use std::collections::HashSet;
use std::sync::Arc;

use sakuga_fleet::{Ask, Order, WorkItem};
use sakuga_proto::generation::v1::JobState;

use super::index::Index;
use crate::fleet::class::class;
use crate::job::Priority;
use crate::job_id::JobId;
use crate::jobs::{JobPolicy, Record};
use crate::scheduler::queue::{Fit, Queue};

/// The order of the jobs that wait for their first worker. Later attempts have an item in the work queue already, which their workers
/// return or lose.
pub(super) struct FairOrder {
    index: Arc<Index>,
    queue: Queue<Waiting>,
    /// The jobs that were put into the queue, also those that were given to a worker and have not begun.
    known: HashSet<String>,
}

struct Waiting {
    item: WorkItem,
    client: Arc<str>,
    priority: Priority,
    /// The models that draw it.
    models: Vec<String>,
}

impl FairOrder {
    /// The order of the jobs of an index.
    pub(super) fn new(index: Arc<Index>) -> Self {
        Self { index, queue: Queue::new(usize::MAX), known: HashSet::new() }
    }

    /// Adds the jobs that came, and removes those that were cancelled.
    fn update(&mut self) {
        let mut waiting = HashSet::new();
        for record in self.index.live() {
            let job = record.job();
            if job.state() != JobState::Queued || job.attempt > 1 {
                continue;
            }
            waiting.insert(job.job_id.clone());
            if self.known.insert(job.job_id.clone()) {
                self.push(entry(&record));
            }
        }
        self.queue.remove_all(|entry| !waiting.contains(&entry.item.job));
        self.known.retain(|job| waiting.contains(job));
    }

    fn push(&mut self, entry: Waiting) {
        let (id, client, priority) = (JobId::named(&entry.item.job), entry.client.clone(), entry.priority);
        self.queue.push(id, &client, priority, entry);
    }
}

impl Order for FairOrder {
    fn pick(&mut self, ask: &Ask) -> Option<WorkItem> {
        self.update();
        let fit = |entry: &Waiting| {
            let all = |models: &[String]| entry.models.iter().all(|model| models.contains(model));
            match (all(&ask.loaded), all(&ask.loadable)) {
                (true, _) => Fit::Ready,
                (false, true) => Fit::Loadable,
                (false, false) => Fit::Unable,
            }
        };
        self.queue.pop(fit).map(|entry| entry.item)
    }

    fn restore(&mut self, item: WorkItem) {
        // It is added again when the next worker asks.
        self.known.remove(&item.job);
    }
}

fn entry(record: &Record) -> Waiting {
    let job = record.job();
    let request = job.request.as_ref();
    let model = request.map(|request| request.model.clone()).unwrap_or_default();
    let scene = request.and_then(|request| request.scene.as_ref()).map(|scene| scene.model.clone());
    let priority = JobPolicy::read(&job.options.unwrap_or_default()).priority;
    let item =
        WorkItem { job: job.job_id.clone(), attempt: 1, model: model.clone(), class: class(priority).to_owned() };
    Waiting {
        item,
        client: job.client_id.as_str().into(),
        priority,
        models: [model].into_iter().chain(scene).collect(),
    }
}

#[cfg(test)]
mod tests {
    use sakuga_fleet::Revised;
    use sakuga_proto::generation::v1::{GenerateRequest, Job};
    use sakuga_proto::internal::store::v1::JobRecord;

    use super::*;

    fn put(index: &Index, id: &str, client: &str, (state, attempt): (JobState, u32), revision: u64) {
        let request = GenerateRequest { model: "anime".into(), ..GenerateRequest::default() };
        let mut job =
            Job { job_id: id.into(), client_id: client.into(), attempt, request: Some(request), ..Job::default() };
        job.set_state(state);
        index.put(Revised { record: JobRecord { job: Some(job), ..JobRecord::default() }, revision });
    }

    fn ask(model: &str) -> Ask {
        Ask { loadable: vec![model.into()], ..Ask::default() }
    }

    #[test]
    fn clients_take_turns_and_each_job_is_given_once() {
        let index = Arc::new(Index::default());
        for (id, client) in [("1", "a"), ("2", "a"), ("3", "b")] {
            put(&index, id, client, (JobState::Queued, 1), 1);
        }
        put(&index, "4", "c", (JobState::Queued, 2), 1);
        put(&index, "5", "c", (JobState::Running, 1), 1);
        let mut order = FairOrder::new(index.clone());
        assert_eq!(order.pick(&ask("other")), None);
        let mut given = Vec::new();
        while let Some(item) = order.pick(&ask("anime")) {
            given.push(item.job);
        }
        assert_eq!(given, ["1", "3", "2"], "the later attempt has its item already");
    }

    #[test]
    fn a_job_that_was_not_published_is_given_again_and_a_cancelled_one_is_not() {
        let index = Arc::new(Index::default());
        put(&index, "1", "a", (JobState::Queued, 1), 1);
        put(&index, "2", "a", (JobState::Queued, 1), 1);
        let mut order = FairOrder::new(index.clone());
        let first = order.pick(&ask("anime")).expect("a job");
        order.restore(first.clone());
        index.remove("2");
        assert_eq!((order.pick(&ask("anime")), order.pick(&ask("anime"))), (Some(first), None));
    }
}
