//! Jobs as people read them.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use sakuga_client::ServerError;
use sakuga_client::proto::generation::v1::{Job, JobState};

use crate::cli::render::plain;
use crate::cli::units;

/// One job a line, the columns aligned.
pub fn table(jobs: &[Job]) -> String {
    let rows: Vec<[String; 4]> = jobs.iter().map(row).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    rows.iter().fold(String::new(), |mut text, [job, state, age, what]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{job:0$}  {state:1$}  {age:>2$}  {what}", widths[0], widths[1], widths[2]);
        text
    })
}

/// Name, state, age, and what is to be said of it.
pub fn row(job: &Job) -> [String; 4] {
    let age = job.create_time.and_then(|time| SystemTime::try_from(time).ok()).and_then(|time| time.elapsed().ok());
    let age = age.map_or_else(|| "?".to_owned(), |age| format!("{} ago", units::duration(age)));
    [plain(&job.job_id), state(job.state()).to_owned(), age, outcome(job)]
}

/// The state in one word.
pub fn state(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Completed => "completed",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// What is to be said of a job in its state.
pub fn outcome(job: &Job) -> String {
    let eta = job.eta.and_then(|eta| Duration::try_from(eta).ok()).map(units::duration);
    match job.state() {
        JobState::Queued => {
            let before = units::count(job.queue_position.unwrap_or_default() as usize, "job");
            format!("{before} before it{}", eta.map_or_else(String::new, |eta| format!(", starts in about {eta}")))
        }
        JobState::Running => eta.map_or_else(String::new, |eta| format!("about {eta} left")),
        JobState::Completed => {
            let bytes = job.images.iter().map(|image| image.size).sum();
            format!("{}, {}", units::count(job.images.len(), "picture"), units::bytes(bytes))
        }
        JobState::Failed => job.error.as_ref().map_or_else(String::new, |error| plain(&error.message)),
        JobState::Cancelled => {
            let step = job.cancelled.map_or(0, |cancelled| cancelled.at_step);
            if step == 0 { "before the first step".to_owned() } else { format!("after step {step}") }
        }
        JobState::Unspecified => String::new(),
    }
}

/// One job, a fact a line.
pub fn describe(job: &Job) -> String {
    let mut facts = vec![
        ("job", plain(&job.job_id)),
        ("request", plain(&job.request_id)),
        ("client", plain(&job.client_id)),
        ("state", state(job.state()).to_owned()),
    ];
    let outcome = outcome(job);
    if !outcome.is_empty() {
        facts.push(("", outcome));
    }
    if job.attempt > 1 {
        facts.push(("attempt", job.attempt.to_string()));
    }
    for (name, time) in [
        ("accepted", job.create_time),
        ("started", job.start_time),
        ("ended", job.end_time),
        ("deadline", job.deadline),
    ] {
        if let Some(time) = time {
            facts.push((name, time.to_string()));
        }
    }
    if let Some(last) = job.next_sequence.checked_sub(1) {
        facts.push(("events", format!("{} to {last}", job.oldest_sequence)));
    }
    for image in &job.images {
        facts.push(("picture", format!("{}x{}, {}", image.width, image.height, units::bytes(image.size))));
    }
    if let Some(reason) = job.error.as_ref().and_then(|error| ServerError::from(error).reason) {
        facts.push(("reason", plain(&reason)));
    }
    facts.iter().fold(String::new(), |mut text, (name, fact)| {
        let _ = writeln!(text, "{name:8}  {fact}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sakuga_client::proto::generation::v1::{Cancelled, ImageInfo};

    #[test]
    fn each_state_says_what_matters_in_it() {
        let mut job = Job { job_id: "j".into(), queue_position: Some(2), ..Job::default() };
        job.set_state(JobState::Queued);
        assert_eq!(outcome(&job), "2 jobs before it");
        job.eta = Some(prost_types::Duration { seconds: 90, nanos: 0 });
        assert_eq!(outcome(&job), "2 jobs before it, starts in about 1 min 30 s");
        job.set_state(JobState::Running);
        assert_eq!(outcome(&job), "about 1 min 30 s left");
        job.set_state(JobState::Completed);
        job.images = vec![ImageInfo { size: 2048, ..ImageInfo::default() }];
        assert_eq!(outcome(&job), "1 picture, 2.0 KiB");
        job.set_state(JobState::Cancelled);
        job.cancelled = Some(Cancelled { at_step: 3, reason: 1 });
        assert_eq!(outcome(&job), "after step 3");
        assert_eq!(table(&[job.clone()]), "j  cancelled  ?  after step 3\n");
        assert!(describe(&job).contains("state     cancelled\n          after step 3\n"), "{}", describe(&job));
    }
}
