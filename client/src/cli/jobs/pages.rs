//! ListJobs, page by page.

use sakuga_client::Client;
use sakuga_client::proto::generation::v1::{Job, JobFilter, ListJobsRequest};

use crate::cli::failure::Failure;
use crate::cli::server::answer;

/// At most `limit` jobs, the newest first. An empty page or a repeated token ends the list, since a server could send
/// either for ever.
pub(crate) async fn list(client: &Client, filter: &JobFilter, limit: usize) -> Result<Vec<Job>, Failure> {
    let (mut jobs, mut page_token) = (Vec::new(), String::new());
    while jobs.len() < limit {
        let page_size = u32::try_from(limit - jobs.len()).unwrap_or(u32::MAX);
        let call = ListJobsRequest { filter: Some(filter.clone()), page_size, page_token: page_token.clone() };
        let page = answer(client, client.jobs().list_jobs(call)).await?;
        let is_last = page.jobs.is_empty() || page.next_page_token.is_empty() || page.next_page_token == page_token;
        jobs.extend(page.jobs);
        if is_last {
            break;
        }
        page_token = page.next_page_token;
    }
    jobs.truncate(limit);
    Ok(jobs)
}
