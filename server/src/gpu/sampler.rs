//! The thread that samples, as often as its fastest subscriber wants, and not at all without one.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{DeviceSample, Probe};
use crate::limits::Limits;

/// Samples of one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Devices<'a> {
    /// The engine's device.
    pub own: &'a DeviceSample,
    /// The machine's other devices.
    pub others: &'a [DeviceSample],
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

type Deliver = Box<dyn FnMut(&Devices<'_>) + Send>;

struct Subscriber {
    id: u64,
    interval: Duration,
    due: Instant,
    wants_others: bool,
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
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// What the system says if there can be no thread.
    pub(crate) fn start(probe: Box<dyn Probe>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread =
            thread::Builder::new().name("sakuga-stats".into()).spawn(move || sample_until_closed(&own, probe))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Hands `deliver` a sample at once and then every `interval`, on the sampler's thread: it must not wait.
    pub(crate) fn subscribe(
        &self,
        interval: Duration,
        mut deliver: impl FnMut(&DeviceSample) + Send + 'static,
    ) -> Subscription {
        self.enlist(interval, false, Box::new(move |devices| deliver(devices.own)))
    }

    /// The same with the machine's other devices.
    pub(crate) fn subscribe_all(
        &self,
        interval: Duration,
        deliver: impl FnMut(&Devices<'_>) + Send + 'static,
    ) -> Subscription {
        self.enlist(interval, true, Box::new(deliver))
    }

    fn enlist(&self, interval: Duration, wants_others: bool, deliver: Deliver) -> Subscription {
        let interval = interval.max(Limits::STATS_INTERVAL_MIN);
        let mut subscribers = self.shared.subscribers.lock();
        let id = subscribers.next_id;
        subscribers.next_id += 1;
        subscribers.list.push(Subscriber { id, interval, due: Instant::now(), wants_others, deliver });
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

fn sample_until_closed(shared: &Shared, mut probe: Box<dyn Probe>) {
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
        let wants_others = subscribers.list.iter().any(|one| one.wants_others && one.due <= now);
        drop(subscribers);
        let own = probe.sample();
        let others = if wants_others { probe.others() } else { Vec::new() };
        let devices = Devices { own: &own, others: &others };
        for subscriber in shared.subscribers.lock().list.iter_mut().filter(|one| one.due <= now) {
            // It subscribed to all devices during this round; the next round includes it.
            if subscriber.wants_others && !wants_others {
                continue;
            }
            (subscriber.deliver)(&devices);
            subscriber.due = next_due(subscriber.due, subscriber.interval, Instant::now());
        }
    }
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

    struct Counting(u32);

    impl Probe for Counting {
        fn sample(&mut self) -> DeviceSample {
            self.0 += 1;
            DeviceSample { device_index: self.0, ..DeviceSample::default() }
        }
    }

    #[test]
    fn subscribers_get_samples_at_their_own_rate_until_they_leave() {
        let sampler = Sampler::start(Box::new(Counting(0))).expect("a thread");
        let (fast, heard_fast) = mpsc::channel();
        let (slow, heard_slow) = mpsc::channel();
        let begun = Instant::now();
        let _slow = sampler.subscribe(Duration::from_secs(3600), move |sample| slow.send(sample.device_index).unwrap());
        let subscription = sampler.subscribe(Duration::ZERO, move |_| fast.send(()).unwrap());
        for _ in 0..3 {
            heard_fast.recv_timeout(Duration::from_secs(10)).expect("a sample");
        }
        assert!(begun.elapsed() >= 2 * Limits::STATS_INTERVAL_MIN, "the floor of the interval holds");
        drop(subscription);
        assert!(heard_fast.iter().count() <= 1, "the sender goes with the subscription");
        assert_eq!(heard_slow.try_iter().count(), 1);
    }

    struct Pair;

    impl Probe for Pair {
        fn sample(&mut self) -> DeviceSample {
            DeviceSample::default()
        }

        fn others(&mut self) -> Vec<DeviceSample> {
            vec![DeviceSample { device_index: 1, ..DeviceSample::default() }]
        }
    }

    #[test]
    fn the_other_devices_come_to_those_who_ask() {
        let sampler = Sampler::start(Box::new(Pair)).expect("a thread");
        let (sender, heard) = mpsc::channel();
        let _subscription = sampler.subscribe_all(Duration::ZERO, move |devices| {
            // The receiver is gone if the test has ended.
            _ = sender.send(devices.others.iter().map(|sample| sample.device_index).collect::<Vec<_>>());
        });
        for _ in 0..2 {
            assert_eq!(heard.recv_timeout(Duration::from_secs(10)).expect("samples"), [1]);
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
