//! Estimated times as text.

use std::time::Duration;

use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{EstimatedTime, GetJobRequest, Job};

use super::units;

/// A shorter time is not shown: nobody plans around it.
const SHOWN_FROM: Duration = Duration::from_secs(5);

/// One line for a job that was accepted, from its record; `None` if the server does not say in time, nothing of its model was
/// measured, or it takes only seconds.
pub(crate) async fn hint(client: &Client, job_id: &str) -> Option<String> {
    /// Events are not held up for longer than this.
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut jobs = client.jobs();
    let asked = jobs.get_job(GetJobRequest { job_id: job_id.to_owned() });
    let answer = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    hint_of(&answer.into_inner().job?)
}

fn hint_of(job: &Job) -> Option<String> {
    let time = job.estimated_time.map(duration)?;
    let start = job.eta.filter(|_| job.queue_position.is_some()).map(duration).unwrap_or_default();
    let start_text = if start.is_zero() { String::new() } else { format!(", starts in {}", units::duration(start)) };
    (time + start >= SHOWN_FROM).then(|| format!("takes about {}{start_text}", units::duration(time)))
}

/// The time of the message; one that is out of range is 0.
pub(super) fn duration(time: prost_types::Duration) -> Duration {
    sakuga_client::proto::time::duration(time).unwrap_or_default()
}

/// `12 s (11 s to 14 s)`.
pub(super) fn interval(time: &EstimatedTime) -> String {
    let shown = |time: Option<prost_types::Duration>| units::duration(time.map(duration).unwrap_or_default());
    format!("{} ({} to {})", shown(time.expected), shown(time.low), shown(time.high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_has_the_time_and_the_start_of_a_job_that_waits() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let waiting = Job { estimated_time: seconds(12), eta: seconds(34), queue_position: Some(1), ..Job::default() };
        assert_eq!(hint_of(&waiting).as_deref(), Some("takes about 12 s, starts in 34 s"));
        // The eta of a running job is its end.
        let running = Job { queue_position: None, ..waiting.clone() };
        assert_eq!(hint_of(&running).as_deref(), Some("takes about 12 s"));
        for unworthy in [Job { estimated_time: None, ..waiting }, Job { estimated_time: seconds(4), ..running }] {
            assert_eq!(hint_of(&unworthy), None);
        }
    }
}
