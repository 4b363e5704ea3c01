//! Quotas of a token: the rate of its calls, and how many may be open.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::rate::{Rate, RateLimiter};

/// The bounds of a token; `None`: unbounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Rate of calls.
    pub rate: Option<Rate>,
    /// Calls at once; a stream counts until its end.
    pub concurrent: Option<u32>,
}

/// What a token uses at the moment.
pub(crate) struct Quota {
    limits: QuotaLimits,
    permits: Arc<Semaphore>,
    rate: Option<RateLimiter>,
}

/// Why a call is beyond the quota of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverQuota {
    /// Too many calls at once.
    Concurrent {
        /// The most calls at once.
        limit: u32,
    },
    /// The rate of calls is exceeded.
    Rate {
        /// The highest rate of calls.
        limit: Rate,
        /// When the next call may come.
        retry_after: Duration,
    },
}

impl fmt::Debug for Quota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Quota").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Quota {
    /// Nothing is used yet.
    pub(crate) fn new(limits: QuotaLimits) -> Self {
        let permits = limits.concurrent.map_or(Semaphore::MAX_PERMITS, |calls| calls as usize);
        Self {
            limits,
            permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
            rate: limits.rate.map(RateLimiter::new),
        }
    }

    /// Counts a call; it counts among those at once until the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`OverQuota`] says which bound is reached; then nothing is counted.
    pub(crate) fn take(&self) -> Result<OwnedSemaphorePermit, OverQuota> {
        let limit = self.limits.concurrent.unwrap_or(u32::MAX);
        let permit = self.permits.clone().try_acquire_owned().map_err(|_| OverQuota::Concurrent { limit })?;
        if let Some(rate) = &self.rate {
            rate.take().map_err(|retry_after| OverQuota::Rate { limit: rate.rate(), retry_after })?;
        }
        Ok(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_until_it_ends() {
        let quota = Quota::new(QuotaLimits { rate: None, concurrent: Some(2) });
        let first = quota.take().expect("one");
        let _second = quota.take().expect("two");
        assert_eq!(quota.take().expect_err("three"), OverQuota::Concurrent { limit: 2 });
        drop(first);
        drop(quota.take().expect("two again"));
    }

    #[test]
    fn a_call_that_is_refused_for_its_rate_is_not_among_those_at_once() {
        let quota = Quota::new(QuotaLimits { rate: "1/h".parse().ok(), concurrent: Some(1) });
        drop(quota.take().expect("one"));
        for _ in 0..3 {
            assert!(matches!(quota.take(), Err(OverQuota::Rate { .. })));
        }
    }
}
