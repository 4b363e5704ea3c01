//! What one client may use of the server: calls in a time, and calls at once.

use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sync::lock;

/// A number of calls in a time, written `60/min`. As many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Calls.
    pub calls: u32,
    /// In which time.
    pub per: Duration,
}

/// The text is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate; write a number of calls and a time, such as `10/s`, `60/min` or `1000/h`")]
pub struct BadRate(String);

impl FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let read = || {
            let (calls, unit) = text.split_once('/')?;
            let per = match unit {
                "s" => 1,
                "min" => 60,
                "h" => 3600,
                _ => return None,
            };
            let calls = calls.parse().ok().filter(|calls| *calls > 0)?;
            Some(Self { calls, per: Duration::from_secs(per) })
        };
        read().ok_or_else(|| BadRate(text.to_owned()))
    }
}

/// The most that a client may use. `None`: no bound of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Calls in a time.
    pub rate: Option<Rate>,
    /// Calls at once; a stream counts until its end.
    pub concurrent: Option<u32>,
}

/// What a client uses at the moment.
#[derive(Debug)]
pub struct Quota {
    limits: QuotaLimits,
    permits: Arc<Semaphore>,
    /// When the bucket will be full again. It is empty when that is a whole period away: the generic cell rate
    /// algorithm, which needs one instant instead of a counter and a clock.
    full_at: Mutex<Option<Instant>>,
}

/// Why a call is beyond the client's quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverQuota {
    /// Too many calls at once.
    Concurrent {
        /// The bound.
        limit: u32,
    },
    /// Too many calls in a time.
    Rate {
        /// The bound.
        limit: Rate,
        /// When the next call may come.
        retry_after: Duration,
    },
}

impl Quota {
    /// Nothing used yet.
    pub fn new(limits: QuotaLimits) -> Self {
        let permits = limits.concurrent.map_or(Semaphore::MAX_PERMITS, |calls| calls as usize);
        Self {
            limits,
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            full_at: Mutex::new(None),
        }
    }

    /// The bounds.
    pub fn limits(&self) -> QuotaLimits {
        self.limits
    }

    /// Takes a call's part; dropping it gives back what a call takes while it lasts.
    ///
    /// # Errors
    ///
    /// [`OverQuota`] says which bound is reached; then nothing is taken.
    pub fn take(&self, now: Instant) -> Result<OwnedSemaphorePermit, OverQuota> {
        let limit = self.limits.concurrent.unwrap_or(u32::MAX);
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| OverQuota::Concurrent { limit })?;
        if let Some(rate) = self.limits.rate {
            self.count(rate, now)?;
        }
        Ok(permit)
    }

    fn count(&self, rate: Rate, now: Instant) -> Result<(), OverQuota> {
        let mut full_at = lock(&self.full_at);
        let filled = full_at.map_or(now, |at| at.max(now)) + rate.per / rate.calls;
        let wait = filled.duration_since(now).saturating_sub(rate.per);
        if !wait.is_zero() {
            return Err(OverQuota::Rate { limit: rate, retry_after: wait });
        }
        *full_at = Some(filled);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read() {
        let rate = |calls, per_s| Ok(Rate { calls, per: Duration::from_secs(per_s) });
        assert_eq!("10/s".parse(), rate(10, 1));
        assert_eq!("60/min".parse(), rate(60, 60));
        assert_eq!("1/h".parse(), rate(1, 3600));
        for text in ["", "10", "0/s", "-1/s", "1/day", "1/s ", "4294967296/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate_holds() {
        let quota = Quota::new(QuotaLimits { rate: "3/s".parse().ok(), concurrent: None });
        let begun = Instant::now();
        for _ in 0..3 {
            drop(quota.take(begun).expect("within the rate"));
        }
        let Err(OverQuota::Rate { retry_after, .. }) = quota.take(begun) else { panic!("the fourth is too many") };
        assert!((330..340).contains(&retry_after.as_millis()), "{retry_after:?}");
        drop(quota.take(begun + retry_after).expect("it may come when it was told to"));
        assert!(quota.take(begun + retry_after).is_err(), "but only one");
        let later = begun + Duration::from_secs(60);
        assert_eq!((0..9).filter(|_| quota.take(later).is_ok()).count(), 3, "rest is not saved up beyond a burst");
    }

    #[test]
    fn a_call_counts_until_it_ends() {
        let quota = Quota::new(QuotaLimits { rate: None, concurrent: Some(2) });
        let now = Instant::now();
        let first = quota.take(now).expect("one");
        let _second = quota.take(now).expect("two");
        assert_eq!(quota.take(now).expect_err("three"), OverQuota::Concurrent { limit: 2 });
        drop(first);
        drop(quota.take(now).expect("two again"));
    }

    #[test]
    fn a_call_that_is_refused_for_its_rate_takes_no_place() {
        let quota = Quota::new(QuotaLimits { rate: "1/h".parse().ok(), concurrent: Some(1) });
        let now = Instant::now();
        drop(quota.take(now).expect("one"));
        for _ in 0..3 {
            assert!(matches!(quota.take(now), Err(OverQuota::Rate { .. })));
        }
    }
}
