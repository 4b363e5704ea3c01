//! Short job identifiers: what `jobs list` prints, and which job a short one stands for.

use std::collections::HashSet;

use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{Job, JobFilter};

use super::pages;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::units;

/// Length of a UUID.
const WHOLE: usize = 36;
/// Lengths of the end of a UUID, which is random: the start is the time, and equal for jobs of one minute.
const TAILS: [usize; 2] = [8, 12];
/// The fewest characters that stand for a job.
const SHORT_MIN: usize = 4;
/// Jobs that a short identifier is looked up among, the newest first.
const LOOKED_UP: usize = 2000;

/// The shortest form of each identifier that tells these jobs apart. One that is not a UUID stays as it is.
pub(crate) fn short(jobs: &[Job]) -> Vec<String> {
    let tail = |id: &str, length: usize| {
        let is_uuid = id.len() == WHOLE && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_uuid { id[WHOLE - length..].to_owned() } else { id.to_owned() }
    };
    for length in TAILS {
        let tails: Vec<String> = jobs.iter().map(|job| tail(&job.job_id, length)).collect();
        if tails.iter().collect::<HashSet<_>>().len() == jobs.len() {
            return tails;
        }
    }
    jobs.iter().map(|job| job.job_id.clone()).collect()
}

/// The job that the user means: a whole identifier, the beginning or end of one, or a `request_id`. A part of an
/// identifier that matches no job is an error; any other text is returned unchanged, so that the server reports what is
/// wrong with it.
pub(crate) async fn resolve(client: &Client, given: &str) -> Result<String, Failure> {
    if given.len() >= WHOLE || given.len() < SHORT_MIN {
        return Ok(given.to_owned());
    }
    let Ok(jobs) = pages::list(client, &JobFilter::default(), LOOKED_UP).await else { return Ok(given.to_owned()) };
    find(&jobs, given)
}

fn find(jobs: &[Job], given: &str) -> Result<String, Failure> {
    if jobs.iter().any(|job| job.job_id == given) {
        return Ok(given.to_owned());
    }
    let part = given.to_lowercase();
    let is_meant = |job: &&Job| job.job_id.starts_with(&part) || job.job_id.ends_with(&part) || job.request_id == given;
    let found: Vec<&str> = jobs.iter().filter(is_meant).map(|job| job.job_id.as_str()).collect();
    match found[..] {
        [one] => Ok(one.to_owned()),
        [] if given.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') => {
            let text = format!(
                "there is no job `{given}`: none of your newest {} has an identifier that begins or ends so",
                units::count(jobs.len(), "job")
            );
            Err(Failure::new(Exit::Server, text).with_help("`sakuga jobs list` shows your jobs"))
        }
        [] => Ok(given.to_owned()),
        [first, second, ..] => {
            let text = format!("`{given}` stands for {} jobs, such as {first} and {second}", found.len());
            Err(Failure::new(Exit::Unreadable, text).with_help("give the whole identifier"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(job_id: &str, request_id: &str) -> Job {
        Job { job_id: job_id.to_owned(), request_id: request_id.to_owned(), ..Job::default() }
    }

    const ONE: &str = "0198f3a1-7c2e-7aaa-8bbb-1234567890ab";
    const TWO: &str = "0198f3a1-7c2e-7aaa-8bbb-9934567890ab";

    #[test]
    fn short_forms_are_as_long_as_necessary() {
        let other = "0198f3a1-7c2e-7aaa-8bbb-1234567800ff";
        assert_eq!(short(&[job(ONE, ""), job(other, ""), job("done", "")]), ["567890ab", "567800ff", "done"]);
        assert_eq!(short(&[job(ONE, ""), job(TWO, "")]), ["1234567890ab", "9934567890ab"]);
    }

    #[test]
    fn a_part_stands_for_one_job_or_is_refused() {
        let jobs = [job(ONE, "mine"), job(TWO, "yours"), job("done", "")];
        assert_eq!(find(&jobs, "1234567890AB").unwrap(), ONE);
        assert_eq!(find(&jobs, "yours").unwrap(), TWO);
        assert_eq!(find(&jobs, "done").unwrap(), "done");
        assert_eq!(find(&jobs, "nothing").unwrap(), "nothing");
        let failure = find(&jobs, "deadbeef").unwrap_err();
        assert!(failure.message().contains("there is no job `deadbeef`"), "{failure:?}");
        assert_eq!(failure.exit(), Exit::Server);
        for ambiguous in ["0198f3a1", "567890ab"] {
            assert!(find(&jobs, ambiguous).unwrap_err().message().contains("stands for 2 jobs"));
        }
    }
}
