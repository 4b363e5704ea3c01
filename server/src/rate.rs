//! Rate limits: the generic cell rate algorithm, by `governor`.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter as Governor};

/// A number of calls per time, written `60/min`. A burst of that number is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls that are allowed within `per`.
    pub calls: NonZeroU32,
    /// The period.
    pub per: Duration,
}

/// The text is not a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a rate; write a number of calls and a time, such as `10/s`, `60/min` or `1000/h`")]
pub struct InvalidRate(String);

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let read = || {
            let (calls, unit) = text.split_once('/')?;
            let per_s = match unit {
                "s" => 1,
                "min" => 60,
                "h" => 3600,
                _ => return None,
            };
            Some(Self { calls: calls.parse().ok()?, per: Duration::from_secs(per_s) })
        };
        read().ok_or_else(|| InvalidRate(text.to_owned()))
    }
}

impl Rate {
    fn quota(self) -> Quota {
        // At most a billion a second: governor counts in nanoseconds.
        let interval = (self.per / self.calls.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(interval).unwrap_or_else(|| Quota::per_second(NonZeroU32::MAX));
        quota.allow_burst(self.calls)
    }
}

/// A rate of one caller.
pub(crate) struct RateLimiter<C: Clock = MonotonicClock> {
    rate: Rate,
    state: Governor<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
}

impl RateLimiter {
    /// A limiter that has counted no call.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock> RateLimiter<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        Self { rate, state: Governor::direct_with_clock(rate.quota(), clock) }
    }

    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Counts one call.
    ///
    /// # Errors
    ///
    /// How long to wait until there is room for one; then nothing is counted.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        self.state.check().map_err(|until| until.wait_time_from(self.state.clock().now()))
    }
}

/// States of callers that a [`CallerRates`] has: each caller has the one that its name hashes to.
type Slot = u16;

/// One rate for each caller, in bounded memory: a keyed hash of the caller's name selects one of 65 536 states. Two callers share a
/// state with a probability of 1 in 65 536, and neither can choose the other.
pub(crate) struct CallerRates<C: Clock = MonotonicClock> {
    hasher: RandomState,
    state: Governor<Slot, HashMapStateStore<Slot>, C, NoOpMiddleware<C::Instant>>,
}

impl CallerRates {
    /// A limiter that has counted no call.
    pub(crate) fn new(rate: Rate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock> CallerRates<C> {
    fn with_clock(rate: Rate, clock: C) -> Self {
        Self { hasher: RandomState::new(), state: Governor::hashmap_with_clock(rate.quota(), clock) }
    }

    /// Counts one call of a caller.
    ///
    /// # Errors
    ///
    /// How long to wait until there is room for one; then nothing is counted.
    pub(crate) fn take(&self, caller: &str) -> Result<(), Duration> {
        let slot = (self.hasher.hash_one(caller) & u64::from(Slot::MAX)) as Slot;
        self.state.check_key(&slot).map_err(|until| until.wait_time_from(self.state.clock().now()))
    }

    /// States in memory.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.state.len()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().expect("a rate")
    }

    #[test]
    fn rates_are_read() {
        for (text, calls, per_s) in [("10/s", 10, 1), ("60/min", 60, 60), ("1/h", 1, 3600)] {
            assert_eq!((rate(text).calls.get(), rate(text).per), (calls, Duration::from_secs(per_s)), "{text}");
        }
        for text in ["", "10", "0/s", "-1/s", "1/day", "1/s ", "4294967296/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::with_clock(rate("3/s"), clock.clone());
        assert_eq!([limiter.take(), limiter.take(), limiter.take()], [Ok(()); 3]);
        let wait = limiter.take().expect_err("the fourth is too many");
        assert!((330..340).contains(&wait.as_millis()), "{wait:?}");
        clock.advance(wait);
        limiter.take().expect("it may come when it was said to");
        limiter.take().expect_err("but only one");
        clock.advance(Duration::from_secs(60));
        assert_eq!((0..9).filter(|_| limiter.take().is_ok()).count(), 3, "rest is not saved up beyond a burst");
    }

    #[test]
    fn the_fastest_and_the_slowest_rate_work() {
        for text in ["4294967295/s", "1/h"] {
            let limiter = RateLimiter::with_clock(rate(text), FakeRelativeClock::default());
            limiter.take().expect("the first");
        }
    }

    #[test]
    fn each_caller_has_its_own_rate_and_their_states_are_bounded() {
        let clock = FakeRelativeClock::default();
        let rates = CallerRates::with_clock(rate("2/min"), clock.clone());
        assert_eq!([rates.take("a"), rates.take("a")], [Ok(()); 2]);
        let wait = rates.take("a").expect_err("used up");
        assert!((wait.as_secs_f64() - 30.0).abs() < 0.001, "{wait:?}");
        // One in 65 536 times another caller shares the state of the first.
        assert!(["b", "c", "d"].iter().any(|caller| rates.take(caller).is_ok()));
        clock.advance(Duration::from_secs(31));
        rates.take("a").expect("half a minute later there is room for one");
        for caller in 0..200_000 {
            // Only the number of states matters here.
            let _ = rates.take(&caller.to_string());
        }
        assert!(rates.len() <= 65_536, "{}", rates.len());
    }
}
