//! How often a client may ask: a bucket of tokens for each, filled steadily.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Clients that are remembered at the most; those with a full bucket are forgotten first.
const CLIENTS_MAX: usize = 4096;

/// The buckets.
#[derive(Debug)]
pub struct RateLimiter {
    /// Jobs a minute, and as many at once; 0: no limit.
    rate: u32,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl RateLimiter {
    /// A limiter of so many jobs a minute for each client; 0: none.
    pub fn new(rate: u32) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Jobs a minute.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Takes a token.
    ///
    /// # Errors
    ///
    /// How long until there is one.
    pub fn take(&self, client: &str, now: Instant) -> Result<(), Duration> {
        if self.rate == 0 {
            return Ok(());
        }
        let (rate, per_second) = (f64::from(self.rate), f64::from(self.rate) / 60.0);
        let filled = |bucket: Bucket| {
            let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * per_second;
            Bucket { tokens: (bucket.tokens + gained).min(rate), filled: now }
        };
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= CLIENTS_MAX {
            buckets.retain(|_, bucket| filled(*bucket).tokens < rate);
        }
        let mut bucket = buckets.get(client).map_or(Bucket { tokens: rate, filled: now }, |bucket| filled(*bucket));
        let taken = if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - bucket.tokens) / per_second))
        };
        buckets.insert(client.to_owned(), bucket);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_bucket_and_it_fills_again() {
        let limiter = RateLimiter::new(2);
        let start = Instant::now();
        assert_eq!([limiter.take("a", start), limiter.take("a", start)], [Ok(()), Ok(())]);
        let wait = limiter.take("a", start).expect_err("the bucket is empty");
        assert!((wait.as_secs_f64() - 30.0).abs() < 0.001, "{wait:?}");
        assert_eq!(limiter.take("b", start), Ok(()));
        assert_eq!(limiter.take("a", start + Duration::from_secs(31)), Ok(()));
        assert!(limiter.take("a", start + Duration::from_secs(32)).is_err());
        assert_eq!(RateLimiter::new(0).take("a", start), Ok(()));
    }
}
