//! The thread that samples: as often as its fastest subscriber asks, and never without a subscriber.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{DeviceSample, NamedProbe};
use crate::devices::DeviceId;
use crate::limits::Limits;

/// Samples of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Samples<'a> {
    /// The devices of the server, in the order of the configuration.
    pub own: &'a [DeviceSample],
    /// The machine's other devices; empty unless they are subscribed to.
    pub others: &'a [DeviceSample],
}

/// What a subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    One(DeviceId),
    /// All devices of the server.
    Own,
    /// Those and the machine's other devices.
    All,
}

/// The thread that samples. Dropping it ends the thread.
pub(crate) struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Keeps samples coming until it is dropped.
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    id: u64,
}

type Deliver = Box<dyn FnMut(&Samples<'_>) + Send>;

struct Subscriber {
    id: u64,
    interval: Duration,
    due: Instant,
    wanted: Wanted,
    deliver: Deliver,
}

#[derive(Default)]
struct Subscribers {
    next_id: u64,
    list: Vec<Subscriber>,
    is_closing: bool,
}

#[derive(Default)]
struct Shared {
    subscribers: Mutex<Subscribers>,
    changed: Condvar,
}

impl Sampler {
    /// Starts the thread. `probes` are those of the server's devices, in the order of the configuration.
    ///
    /// # Errors
    ///
    /// The system's error if it provides no thread.
    pub(crate) fn start(probes: Vec<NamedProbe>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread =
            thread::Builder::new().name("sakuga-stats".into()).spawn(move || sample_until_closed(&own, probes))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Passes a sample of one device to `deliver` at once and then every `interval`, on the sampler's thread: it must not wait.
    pub(crate) fn subscribe(
        &self,
        device: DeviceId,
        interval: Duration,
        mut deliver: impl FnMut(&DeviceSample) + Send + 'static,
    ) -> Subscription {
        let deliver = move |samples: &Samples<'_>| {
            if let [sample] = samples.own {
                deliver(sample);
            }
        };
        self.enlist(interval, Wanted::One(device), Box::new(deliver))
    }

    /// As [`subscribe`](Self::subscribe), with all devices of the server.
    pub(crate) fn subscribe_own(
        &self,
        interval: Duration,
        deliver: impl FnMut(&Samples<'_>) + Send + 'static,
    ) -> Subscription {
        self.enlist(interval, Wanted::Own, Box::new(deliver))
    }

    /// As [`subscribe`](Self::subscribe), with all devices of the machine.
    pub(crate) fn subscribe_all(
        &self,
        interval: Duration,
        deliver: impl FnMut(&Samples<'_>) + Send + 'static,
    ) -> Subscription {
        self.enlist(interval, Wanted::All, Box::new(deliver))
    }

    fn enlist(&self, interval: Duration, wanted: Wanted, deliver: Deliver) -> Subscription {
        let interval = interval.max(Limits::STATS_INTERVAL_MIN);
        let mut subscribers = self.shared.subscribers.lock();
        let id = subscribers.next_id;
        subscribers.next_id += 1;
        subscribers.list.push(Subscriber { id, interval, due: Instant::now(), wanted, deliver });
        drop(subscribers);
        self.shared.changed.notify_one();
        Subscription { shared: self.shared.clone(), id }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.subscribers.lock().list.retain(|subscriber| subscriber.id != self.id);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.shared.subscribers.lock().is_closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A sample takes milliseconds; a panic in the probe has already been printed.
            let _ = thread.join();
        }
    }
}

fn sample_until_closed(shared: &Shared, mut probes: Vec<NamedProbe>) {
    loop {
        let mut subscribers = shared.subscribers.lock();
        loop {
            if subscribers.is_closing {
                return;
            }
            let now = Instant::now();
            let next = subscribers.list.iter().map(|subscriber| subscriber.due).min();
            match next {
                None => shared.changed.wait(&mut subscribers),
                Some(due) if due > now => _ = shared.changed.wait_for(&mut subscribers, due - now),
                Some(_) => break,
            }
        }
        let now = Instant::now();
        let wanted: Vec<Wanted> = subscribers.list.iter().filter(|one| one.due <= now).map(|one| one.wanted).collect();
        drop(subscribers);
        let round = Round::take(&mut probes, &wanted);
        for subscriber in shared.subscribers.lock().list.iter_mut().filter(|one| one.due <= now) {
            // It subscribed during this round; the next round includes it.
            let Some(samples) = round.of(subscriber.wanted) else { continue };
            (subscriber.deliver)(&samples);
            subscriber.due = next_due(subscriber.due, subscriber.interval, Instant::now());
        }
    }
}

/// The samples of one moment that have subscribers.
struct Round {
    /// The devices of the server that were sampled, in the order of their samples in `own`.
    ids: Vec<DeviceId>,
    own: Vec<DeviceSample>,
    /// Whether `own` has all devices of the server.
    has_all: bool,
    others: Option<Vec<DeviceSample>>,
}

impl Round {
    fn take(probes: &mut [NamedProbe], wanted: &[Wanted]) -> Self {
        let has_all = wanted.iter().any(|wanted| matches!(wanted, Wanted::Own | Wanted::All));
        let is_wanted = |id| has_all || wanted.contains(&Wanted::One(id));
        let sampled = DeviceId::all(probes.len()).zip(probes.iter_mut()).filter(|(id, _)| is_wanted(*id));
        let (ids, own): (Vec<_>, Vec<_>) =
            sampled.map(|(id, (name, probe))| (id, DeviceSample { device: name.clone(), ..probe.sample() })).unzip();
        let others = wanted.contains(&Wanted::All).then(|| others(probes, &own));
        Self { ids, own, has_all, others }
    }

    /// The samples for a subscriber; `None` if they were not taken.
    fn of(&self, wanted: Wanted) -> Option<Samples<'_>> {
        match wanted {
            Wanted::One(device) => {
                let place = self.ids.iter().position(|id| *id == device)?;
                Some(Samples { own: &self.own[place..=place], others: &[] })
            }
            Wanted::Own => self.has_all.then_some(Samples { own: &self.own, others: &[] }),
            Wanted::All => Some(Samples { own: &self.own, others: self.others.as_deref()? }),
        }
    }
}

/// The devices of the machine that are not the server's. A probe knows all but its own.
fn others(probes: &mut [NamedProbe], own: &[DeviceSample]) -> Vec<DeviceSample> {
    let mut others = probes.first_mut().map(|(_, probe)| probe.others()).unwrap_or_default();
    let is_own = |other: &DeviceSample| {
        own.iter().any(|own| (own.source, own.device_index) == (other.source, other.device_index))
    };
    others.retain(|other| !is_own(other));
    others
}

/// When the sample after the one at `due` is due. The time of sampling does not add up: one interval after `due`, or one
/// interval from now if that moment has passed.
fn next_due(due: Instant, interval: Duration, now: Instant) -> Instant {
    let next = due + interval;
    if next > now { next } else { now + interval }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::gpu::Probe;

    struct Counting(u32);

    impl Probe for Counting {
        fn sample(&mut self) -> DeviceSample {
            self.0 += 1;
            DeviceSample { device_index: self.0, ..DeviceSample::default() }
        }
    }

    #[test]
    fn subscribers_get_samples_at_their_own_rate_until_they_leave() {
        let sampler = Sampler::start(vec![("cpu".into(), Box::new(Counting(0)))]).expect("a thread");
        let device = DeviceId::FIRST;
        let (fast, heard_fast) = mpsc::channel();
        let (slow, heard_slow) = mpsc::channel();
        let begun = Instant::now();
        let _slow = sampler.subscribe(device, Duration::from_secs(3600), move |sample| {
            slow.send(sample.device_index).unwrap();
        });
        let subscription = sampler.subscribe(device, Duration::ZERO, move |_| fast.send(()).unwrap());
        for _ in 0..3 {
            heard_fast.recv_timeout(Duration::from_secs(10)).expect("a sample");
        }
        assert!(begun.elapsed() >= 2 * Limits::STATS_INTERVAL_MIN, "the floor of the interval holds");
        drop(subscription);
        assert!(heard_fast.iter().count() <= 1, "the sender goes with the subscription");
        assert_eq!(heard_slow.try_iter().count(), 1);
    }

    /// A board of a machine with three.
    struct Board(u32);

    impl Board {
        fn sample_of(device_index: u32) -> DeviceSample {
            DeviceSample { device_index, ..DeviceSample::default() }
        }
    }

    impl Probe for Board {
        fn sample(&mut self) -> DeviceSample {
            Self::sample_of(self.0)
        }

        fn others(&mut self) -> Vec<DeviceSample> {
            (0..3).filter(|index| *index != self.0).map(Self::sample_of).collect()
        }
    }

    #[test]
    fn each_subscriber_gets_the_devices_that_it_wants() {
        let sampler =
            Sampler::start(vec![("cuda:2".into(), Box::new(Board(2))), ("cuda:0".into(), Box::new(Board(0)))]);
        let sampler = sampler.expect("a thread");
        let indices = |samples: &[DeviceSample]| samples.iter().map(|sample| sample.device_index).collect::<Vec<_>>();
        let (sender, received) = mpsc::channel();
        let (all, own, one) = (sender.clone(), sender.clone(), sender);
        // The receiver is gone if the test has ended.
        let _all = sampler.subscribe_all(Duration::ZERO, move |samples| {
            _ = all.send(("all", indices(samples.own), indices(samples.others)));
        });
        let _own = sampler.subscribe_own(Duration::ZERO, move |samples| {
            _ = own.send(("own", indices(samples.own), indices(samples.others)));
        });
        let _one = sampler.subscribe(DeviceId::all(2).last().expect("two"), Duration::ZERO, move |sample| {
            _ = one.send(("one", vec![sample.device_index], Vec::new()));
        });
        let mut seen = [0; 3];
        while seen.contains(&0) {
            let message = received.recv_timeout(Duration::from_secs(10)).expect("samples");
            let expected = [("all", vec![2, 0], vec![1]), ("own", vec![2, 0], vec![]), ("one", vec![0], vec![])];
            let place = expected.iter().position(|expected| *expected == message);
            seen[place.unwrap_or_else(|| panic!("{message:?}"))] += 1;
        }
    }

    #[test]
    fn the_time_of_sampling_does_not_stretch_the_rhythm() {
        let (due, interval) = (Instant::now(), Duration::from_millis(100));
        let at = |ms| due + Duration::from_millis(ms);
        assert_eq!(next_due(due, interval, at(60)), at(100), "one interval after the last was due");
        assert_eq!(next_due(due, interval, at(100)), at(200), "that moment has passed");
        assert_eq!(next_due(due, interval, at(730)), at(830), "samples that were missed are not made up for");
    }
}
