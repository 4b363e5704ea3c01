//! What one gateway of a fleet does for all: it assigns jobs to workers, ends those whose time is over or whose readers have gone, and
//! deletes old ones. Another one takes over within seconds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use sakuga_proto::generation::v1::CancelReason;
use sakuga_proto::time;
use tokio_util::task::AbortOnDropHandle;

use super::Gateway;
use super::order::FairOrder;
use crate::fleet::cancel::cancel;
use crate::jobs::{JobPolicy, Record};
use crate::retention::Retention;

/// The role that is leased.
const ROLE: &str = "scheduler";
/// How often a gateway without the lease asks for it.
const ACQUIRE: Duration = Duration::from_millis(500);
/// How often the jobs that have not ended are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How often old jobs are deleted.
const DELETE: Duration = Duration::from_secs(10);
/// The most jobs that are deleted at once.
const DELETED_MAX: usize = 200;
/// How long a job that ends with its last reader is without one before this gateway cancels it: its own gateway does so at once, and
/// its client may be on the way to another gateway.
const GRACE_MIN: Duration = Duration::from_secs(10);

/// Leads whenever the lease is free, without end.
pub(super) async fn lead(gateway: Arc<Gateway>, name: String) {
    loop {
        let mut lease = match gateway.fleet.leases.acquire(ROLE, &name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                tokio::time::sleep(ACQUIRE).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "the scheduler's lease cannot be asked for");
                tokio::time::sleep(ACQUIRE).await;
                continue;
            }
        };
        tracing::info!(term = lease.term(), "this gateway schedules");
        let _sweeps = AbortOnDropHandle::new(tokio::spawn(sweeps(gateway.clone())));
        let mut order = FairOrder::new(gateway.index.clone());
        let served = tokio::select! {
            served = gateway.fleet.dispatch.serve(&mut lease, &mut order) => Some(served),
            () = gateway.closing.cancelled() => None,
        };
        match served {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(%error, "this gateway no longer schedules");
                tokio::time::sleep(ACQUIRE).await;
            }
            None => {
                // Otherwise another gateway waits until it has run out.
                if let Err(error) = lease.release().await {
                    tracing::debug!(%error, "the lease runs out by itself");
                }
                return;
            }
        }
    }
}

async fn sweeps(gateway: Arc<Gateway>) {
    let mut unwatched = HashMap::new();
    let mut deleted: Option<Instant> = None;
    loop {
        let live = gateway.index.live();
        unwatched.retain(|job: &String, _| live.iter().any(|record| record.job().job_id == *job));
        for record in &live {
            if let Some(reason) = to_end(&gateway, record, &mut unwatched).await {
                let job = &record.job().job_id;
                tracing::info!(job_id = job, reason = reason.as_str_name(), "a job is cancelled");
                if let Err(error) = cancel(&gateway.fleet, job, reason).await {
                    tracing::warn!(job_id = job, %error, "a job is cancelled later");
                }
            }
        }
        if deleted.is_none_or(|at| at.elapsed() >= DELETE) {
            deleted = Some(Instant::now());
            delete_old(&gateway).await;
        }
        tokio::time::sleep(SWEEP).await;
    }
}

/// Why a job has to end now, if it has to.
async fn to_end(gateway: &Gateway, record: &Record, unwatched: &mut HashMap<String, Instant>) -> Option<CancelReason> {
    let job = record.job();
    let deadline = job.deadline.and_then(|deadline| SystemTime::try_from(deadline).ok());
    if deadline.is_some_and(|deadline| deadline <= SystemTime::now()) {
        return Some(CancelReason::Deadline);
    }
    let grace = JobPolicy::read(&job.options.unwrap_or_default()).grace?.max(GRACE_MIN);
    match gateway.fleet.watchers.is_watched(&job.job_id).await {
        Ok(false) => {
            let since = *unwatched.entry(job.job_id.clone()).or_insert_with(Instant::now);
            (since.elapsed() >= grace).then_some(CancelReason::ClientGone)
        }
        Ok(true) | Err(_) => {
            unwatched.remove(&job.job_id);
            None
        }
    }
}

async fn delete_old(gateway: &Gateway) {
    for record in surplus(&gateway.index.below(None, usize::MAX), &gateway.retention, SystemTime::now()) {
        let job = &record.job().job_id;
        match gateway.delete(&record).await {
            Ok(()) => tracing::debug!(job_id = job, "an old job was deleted"),
            Err(error) => {
                tracing::warn!(job_id = job, %error, "old jobs are deleted later");
                return;
            }
        }
    }
}

/// The ended jobs that have to be deleted, the oldest first.
fn surplus(records: &[Arc<Record>], bounds: &Retention, now: SystemTime) -> Vec<Arc<Record>> {
    let end = |record: &Record| record.job().end_time.and_then(time::system_time);
    let mut ended: Vec<_> = records.iter().filter_map(|record| Some((end(record)?, record))).collect();
    ended.sort_by_key(|(end, _)| *end);
    let mut bytes: u64 = ended.iter().map(|(_, record)| record.picture_bytes()).sum();
    let mut count = ended.len();
    let mut gone = Vec::new();
    for (end, record) in ended {
        let is_old = now.duration_since(end).is_ok_and(|age| age > bounds.age);
        if gone.len() == DELETED_MAX || (!is_old && count <= bounds.count && bytes <= bounds.bytes) {
            break;
        }
        count -= 1;
        bytes -= record.picture_bytes();
        gone.push(record.clone());
    }
    gone
}

#[cfg(test)]
mod tests {
    use sakuga_proto::generation::v1::{ImageInfo, Job};
    use sakuga_proto::internal::store::v1::JobRecord;

    use super::*;

    #[test]
    fn the_oldest_jobs_go_first_and_live_ones_stay() {
        let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let record = |id: &str, end: Option<u64>| {
            let end_time = end.map(|second| at(second).into());
            let images = vec![ImageInfo { size: 10, ..ImageInfo::default() }];
            let job = Job { job_id: id.into(), end_time, images, ..Job::default() };
            Arc::new(Record::of_message(JobRecord { job: Some(job), ..JobRecord::default() }))
        };
        let records = [record("live", None), record("new", Some(90)), record("old", Some(10)), record("mid", Some(50))];
        let bounds = Retention { age: Duration::from_secs(1000), count: 9, bytes: 1000, ..Retention::default() };
        let gone = |bounds: &Retention, now| -> Vec<String> {
            surplus(&records, bounds, at(now)).iter().map(|record| record.job().job_id.clone()).collect()
        };
        assert!(gone(&bounds, 100).is_empty());
        assert_eq!(gone(&Retention { count: 1, ..bounds }, 100), ["old", "mid"]);
        assert_eq!(gone(&Retention { bytes: 20, ..bounds }, 100), ["old"]);
        assert_eq!(gone(&Retention { age: Duration::from_secs(60), ..bounds }, 100), ["old"]);
    }
}
