//! ListJobs, page by page.

use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{Job, JobFilter, ListJobsRequest};

use crate::cli::failure::Failure;
use crate::cli::server::answer;

/// Empty pages one after the other before a list ends. A search may return some; a server could send them forever.
const EMPTY_PAGES_MAX: usize = 100;

/// At most `limit` jobs, the newest first. A repeated token ends the list, and so do too many empty pages.
pub(crate) async fn list(client: &Client, filter: &JobFilter, limit: usize) -> Result<Vec<Job>, Failure> {
    let (mut jobs, mut page_token, mut empty_pages) = (Vec::new(), String::new(), 0);
    while jobs.len() < limit && empty_pages < EMPTY_PAGES_MAX {
        let page_size = u32::try_from(limit - jobs.len()).unwrap_or(u32::MAX);
        let call = ListJobsRequest { filter: Some(filter.clone()), page_size, page_token: page_token.clone() };
        let page = answer(client, client.jobs().list_jobs(call)).await?;
        let is_last = page.next_page_token.is_empty() || page.next_page_token == page_token;
        empty_pages = if page.jobs.is_empty() { empty_pages + 1 } else { 0 };
        jobs.extend(page.jobs);
        if is_last {
            break;
        }
        page_token = page.next_page_token;
    }
    jobs.truncate(limit);
    Ok(jobs)
}
