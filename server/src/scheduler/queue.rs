//! [`Queue`]: weighted fair queueing, without threads, clocks or channels.
//!
//! A flow is one client at one priority. Each flow has a virtual clock, and each entry gets a tag one turn after the flow's
//! last one; the entry with the lowest tag is served first. The higher the priority, the shorter the turn, so the more often
//! the flow is served. The queue's clock is the tag that was served last. A flow that was idle starts at that clock, so it
//! cannot save up turns; and no tag is more than one turn ahead of the clock when its flow was idle, so no entry waits
//! forever.
//!
//! Several devices take from one queue. Each says how an entry fits it ([`Fit`]): an entry whose model is on the device may be
//! served before entries whose model it would have to load. How often that may happen to one entry is bounded by
//! [`OVERTAKEN_MAX`], counted over all devices. If every entry is ready, the order is that of the tags.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::job::Priority;
use crate::job_id::JobId;

/// The length of a low turn; a normal one is a quarter of it, and a high one a quarter of that.
const TURN: u64 = 16;

/// How often entries behind an entry may be served first because their model is loaded. After that, the next device that can load
/// its model serves it. Larger values cause fewer loads; smaller ones shorten the wait of jobs whose model is not loaded.
pub(crate) const OVERTAKEN_MAX: u32 = 8;

/// How an entry fits the device that asks for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The device can begin at once.
    Ready,
    /// The device has to load a model first.
    Loadable,
    /// Another free device serves it better.
    Left,
    /// The device cannot serve it.
    Unable,
}

/// The order of service: the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tag {
    time: u64,
    /// Orders equal times: first come, first served.
    arrival: u64,
}

/// One client at one priority.
type Flow = (Arc<str>, Priority);

/// An entry that waits.
#[derive(Debug)]
struct Waiting<T> {
    id: JobId,
    entry: T,
    /// How often an entry behind it was served first.
    overtaken: u32,
}

/// A fair queue with a capacity.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: BTreeMap<Tag, Waiting<T>>,
    tags: HashMap<JobId, Tag>,
    /// The last tag of each flow that is ahead of the clock.
    flows: HashMap<Flow, u64>,
    clock: u64,
    arrivals: u64,
    capacity: usize,
}

impl<T> Queue<T> {
    /// An empty queue for at most `capacity` entries.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { waiting: BTreeMap::new(), tags: HashMap::new(), flows: HashMap::new(), clock: 0, arrivals: 0, capacity }
    }

    /// The number of entries.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The most entries that should wait.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    fn next_time(&self, client: &Arc<str>, priority: Priority) -> u64 {
        let last = self.flows.get(&(client.clone(), priority)).copied().unwrap_or(0);
        last.max(self.clock) + turn(priority)
    }

    /// The number of entries that would be before an entry added now.
    pub(crate) fn place_of_next(&self, client: &Arc<str>, priority: Priority) -> usize {
        let tag = Tag { time: self.next_time(client, priority), arrival: self.arrivals };
        self.waiting.range(..tag).count()
    }

    /// Adds an entry and returns how many are before it. The capacity is not checked here but at admission, which happens
    /// earlier.
    pub(crate) fn push(&mut self, id: JobId, client: &Arc<str>, priority: Priority, entry: T) -> usize {
        let tag = Tag { time: self.next_time(client, priority), arrival: self.arrivals };
        self.arrivals += 1;
        self.flows.insert((client.clone(), priority), tag.time);
        self.tags.insert(id.clone(), tag);
        self.waiting.insert(tag, Waiting { id, entry, overtaken: 0 });
        self.waiting.range(..tag).count()
    }

    /// Removes the entry that a device serves next: the first that is ready or that was overtaken [`OVERTAKEN_MAX`] times, or the
    /// first that is loadable. `None`: no entry is for this device.
    pub(crate) fn pop(&mut self, fit: impl Fn(&T) -> Fit) -> Option<T> {
        let (mut due, mut loadable) = (None, None);
        for (tag, waiting) in &self.waiting {
            match fit(&waiting.entry) {
                Fit::Unable => {}
                fit if fit == Fit::Ready || waiting.overtaken >= OVERTAKEN_MAX => {
                    due = Some(*tag);
                    break;
                }
                Fit::Loadable => _ = loadable.get_or_insert(*tag),
                Fit::Ready | Fit::Left => {}
            }
        }
        let tag = due.or(loadable)?;
        let before = self.waiting.range_mut(..tag).filter(|(_, waiting)| fit(&waiting.entry) != Fit::Unable);
        before.for_each(|(_, waiting)| waiting.overtaken += 1);
        let Waiting { id, entry, .. } = self.waiting.remove(&tag)?;
        self.tags.remove(&id);
        self.clock = self.clock.max(tag.time);
        let clock = self.clock;
        self.flows.retain(|_, last| *last > clock);
        Some(entry)
    }

    /// Removes an entry, and returns it with the number of entries that were before it.
    pub(crate) fn remove(&mut self, id: &JobId) -> Option<(usize, T)> {
        let place = self.place(id)?;
        let tag = self.tags.remove(id)?;
        self.waiting.remove(&tag).map(|waiting| (place, waiting.entry))
    }

    /// Removes the entries that match, in the order of service.
    pub(crate) fn remove_all(&mut self, matches: impl Fn(&T) -> bool) -> Vec<T> {
        let removed: Vec<Waiting<T>> =
            self.waiting.extract_if(.., |_, waiting| matches(&waiting.entry)).map(|(_, waiting)| waiting).collect();
        removed.iter().for_each(|waiting| _ = self.tags.remove(&waiting.id));
        removed.into_iter().map(|waiting| waiting.entry).collect()
    }

    /// The number of entries before an entry.
    pub(crate) fn place(&self, id: &JobId) -> Option<usize> {
        let tag = self.tags.get(id)?;
        Some(self.waiting.range(..*tag).count())
    }

    /// Removes all entries, in the order of service.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.tags.clear();
        self.flows.clear();
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.entry).collect()
    }

    /// All entries, in the order of service.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().map(|waiting| &waiting.entry)
    }
}

fn turn(priority: Priority) -> u64 {
    match priority {
        Priority::Low => TURN,
        Priority::Normal => TURN / 4,
        Priority::High => TURN / 16,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(name: u8) -> Arc<str> {
        Arc::from(format!("client {name}"))
    }

    fn filled(entries: &[(u8, Priority)]) -> Queue<usize> {
        let mut queue = Queue::new(entries.len());
        for (number, (name, priority)) in entries.iter().enumerate() {
            queue.push(JobId::new(), &client(*name), *priority, number);
        }
        queue
    }

    fn fit(is_ready: bool) -> Fit {
        if is_ready { Fit::Ready } else { Fit::Loadable }
    }

    fn served(mut queue: Queue<usize>) -> Vec<usize> {
        std::iter::from_fn(move || queue.pop(|_| Fit::Ready)).collect()
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let normal = |name| (name, Priority::Normal);
        let queue = filled(&[normal(1), normal(1), normal(1), normal(2), normal(2), normal(3)]);
        assert_eq!(served(queue), [0, 3, 5, 1, 4, 2]);
    }

    #[test]
    fn a_high_turn_comes_four_times_as_often() {
        let mut entries = vec![(1, Priority::Normal); 3];
        entries.extend([(2, Priority::High); 8]);
        let order = served(filled(&entries));
        let before_second = order.iter().position(|number| *number == 1).expect("served");
        assert_eq!(order[0], 3, "the high one came later and goes first");
        assert_eq!(order[..before_second].iter().filter(|number| **number >= 3).count(), 7);
    }

    #[test]
    fn an_entry_is_removed_from_the_middle_and_places_are_known() {
        let mut queue = Queue::new(3);
        let ids: Vec<JobId> = (0..3).map(|_| JobId::new()).collect();
        for (number, id) in ids.iter().enumerate() {
            assert_eq!(queue.place_of_next(&client(0), Priority::Normal), number);
            assert_eq!(queue.push(id.clone(), &client(0), Priority::Normal, number), number);
        }
        assert_eq!(queue.remove(&ids[1]), Some((1, 1)));
        assert_eq!((queue.remove(&ids[1]), queue.place(&ids[2])), (None, Some(1)));
        assert_eq!(queue.drain(), [0, 2]);
        assert_eq!((queue.pop(|_| Fit::Ready), queue.place(&ids[2])), (None, None));
    }

    #[test]
    fn an_entry_that_is_ready_goes_first_until_the_others_were_overtaken_too_often() {
        let mut queue = filled(&[(0, Priority::Normal); 20]);
        // Two of the first three are not ready.
        let order: Vec<usize> =
            std::iter::from_fn(|| queue.pop(|number| fit(![0, 2].contains(number)))).take(11).collect();
        assert_eq!(order, [1, 3, 4, 5, 6, 7, 8, 9, 0, 10, 2]);
    }

    #[test]
    fn if_no_entry_is_ready_the_first_is_served() {
        let mut queue = filled(&[(0, Priority::Normal); 3]);
        assert_eq!(std::iter::from_fn(|| queue.pop(|_| Fit::Loadable)).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn what_a_device_cannot_serve_is_not_overtaken_by_it() {
        let mut queue = filled(&[(0, Priority::Normal); 12]);
        let odd_only = |number: &usize| if number.is_multiple_of(2) { Fit::Unable } else { Fit::Ready };
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop(odd_only)).collect();
        assert_eq!(order, [1, 3, 5, 7, 9, 11], "then there is nothing for this device");
        assert_eq!(
            queue.pop(|number| fit(*number == 10)),
            Some(10),
            "the even ones were not overtaken by the odd ones"
        );
        assert_eq!(served(queue), [0, 2, 4, 6, 8]);
    }

    #[test]
    fn what_is_left_to_another_device_is_taken_once_it_was_overtaken_too_often() {
        let mut queue = filled(&[(0, Priority::Normal); 12]);
        let left = |number: &usize| if *number == 0 { Fit::Left } else { Fit::Ready };
        let order: Vec<usize> = std::iter::from_fn(|| queue.pop(left)).collect();
        assert_eq!(order, [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 10, 11]);
        let mut queue = filled(&[(0, Priority::Normal)]);
        assert_eq!((queue.pop(left), queue.len()), (None, 1), "the other device takes it");
    }

    #[test]
    fn entries_that_match_are_removed_together() {
        let mut queue = filled(&[(0, Priority::Normal); 4]);
        assert_eq!(queue.remove_all(|number| number % 2 == 0), [0, 2]);
        assert_eq!((queue.len(), served(queue)), (2, vec![1, 3]));
    }

    fn any_priority() -> impl Strategy<Value = Priority> {
        prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)]
    }

    #[derive(Clone, Debug)]
    enum Act {
        Push(u8, Priority),
        Pop,
        Remove(prop::sample::Index),
    }

    proptest! {
        /// No entry is lost or doubled, a flow keeps its order, and places are those of the order of service.
        #[test]
        fn nothing_is_lost_and_each_flow_keeps_its_order(
            acts in prop::collection::vec(
                prop_oneof![
                    3 => (0..4_u8, any_priority()).prop_map(|(name, priority)| Act::Push(name, priority)),
                    2 => Just(Act::Pop),
                    1 => any::<prop::sample::Index>().prop_map(Act::Remove),
                ],
                0..80,
            ),
        ) {
            let mut queue = Queue::new(usize::MAX);
            // What waits: name, flow, number.
            let mut model: Vec<(JobId, (u8, Priority), usize)> = Vec::new();
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Push(name, priority) => {
                        let id = JobId::new();
                        let place = queue.place_of_next(&client(name), priority);
                        prop_assert_eq!(queue.push(id.clone(), &client(name), priority, number), place);
                        model.push((id, (name, priority), number));
                    }
                    Act::Pop => {
                        let popped = queue.pop(|_| Fit::Ready);
                        prop_assert_eq!(popped.is_some(), !model.is_empty());
                        if let Some(number) = popped {
                            let at = model.iter().position(|(_, _, waiting)| *waiting == number).expect("was pushed");
                            let (_, flow, _) = model.remove(at);
                            prop_assert!(model[..at].iter().all(|(_, other, _)| *other != flow), "overtaken in its flow");
                        }
                    }
                    Act::Remove(index) if !model.is_empty() => {
                        let (id, _, number) = model.remove(index.index(model.len()));
                        let place = queue.iter().position(|waiting| *waiting == number);
                        prop_assert_eq!(queue.remove(&id), place.map(|place| (place, number)));
                    }
                    Act::Remove(_) => prop_assert_eq!(queue.len(), 0),
                }
                prop_assert_eq!(queue.len(), model.len());
                for (id, _, number) in &model {
                    prop_assert_eq!(queue.place(id), queue.iter().position(|waiting| waiting == number));
                }
            }
        }

        /// Every entry is served, however many others of any priority keep coming.
        #[test]
        fn no_entry_starves(flood in prop::collection::vec((0..4_u8, any_priority()), 1..4)) {
            let mut queue = Queue::new(usize::MAX);
            queue.push(JobId::new(), &client(9), Priority::Low, 0);
            let mut served = false;
            // A low turn is 16 high ones, for each of the clients that keep coming.
            for _ in 0..=16 * flood.len() {
                for (name, priority) in &flood {
                    queue.push(JobId::new(), &client(*name), *priority, 1);
                }
                served |= queue.pop(|_| Fit::Ready) == Some(0);
            }
            prop_assert!(served);
        }

        /// No entry is overtaken more often than the bound, whatever is ready when. An entry is served before others only if it
        /// is ready or has reached the bound.
        #[test]
        fn overtaking_is_bounded(
            acts in prop::collection::vec((prop::option::of((0..3_u8, 0..3_u8, any_priority())), 0..8_u8), 0..120),
        ) {
            let mut queue = Queue::new(usize::MAX);
            let mut overtaken: HashMap<usize, u32> = HashMap::new();
            let mut model_of: HashMap<usize, u8> = HashMap::new();
            for (number, (pushed, loaded)) in acts.into_iter().enumerate() {
                if let Some((name, model, priority)) = pushed {
                    model_of.insert(number, model);
                    queue.push(JobId::new(), &client(name), priority, number);
                    continue;
                }
                let is_ready = |number: &usize| loaded & (1 << model_of[number]) != 0;
                let order: Vec<usize> = queue.iter().copied().collect();
                let Some(popped) = queue.pop(|number| fit(is_ready(number))) else { continue };
                let place = order.iter().position(|waiting| *waiting == popped).expect("it waited");
                for before in &order[..place] {
                    let count = overtaken.entry(*before).or_default();
                    *count += 1;
                    prop_assert!(*count <= OVERTAKEN_MAX);
                    prop_assert!(!is_ready(before), "a ready entry was overtaken");
                }
                let count = overtaken.get(&popped).copied().unwrap_or_default();
                prop_assert!(place == 0 || is_ready(&popped) || count == OVERTAKEN_MAX);
            }
        }

        /// If everything is ready, the first entry is served: with one model the order is that of the tags.
        #[test]
        fn with_one_model_nothing_is_overtaken(entries in prop::collection::vec((0..4_u8, any_priority()), 0..40)) {
            let queue = filled(&entries);
            let order: Vec<usize> = queue.iter().copied().collect();
            prop_assert_eq!(served(queue), order);
        }
    }
}
