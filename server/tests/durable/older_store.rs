//! A data folder that the release of commit 24a2519 wrote is opened, converted and used.
//!
//! That server drew with the scripted engine and was killed with `kill -9`. The folder holds five jobs of one client: one
//! completed, one failed, one cancelled, one that ran and one that waited. Their records have no version.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use prost::Message as _;
use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::{GetArtifactRequest, Job, JobState, ListJobsRequest};
use sakuga_proto::internal::store::v1::JobRecord;
use sakuga_server::store::JobStore as _;
use sakuga_server::store::redb::{Backing, RedbStore};

use crate::program::{Jobs, Program};
use crate::support::{PATIENCE, Seen};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/durable/fixtures/store-of-24a2519.tar.gz");

/// The folder is older than the retention bounds allow when the test runs.
const ARGUMENTS: [&str; 4] = ["--scripted-step-ms", "1", "--keep-hours=1000000", "--keep-steps-hours=1000000"];

/// The stored records, by the state of their job.
fn records(folder: &Path) -> Vec<JobRecord> {
    let store = RedbStore::open(Backing::File(folder.join("jobs.redb"))).expect("no server uses it");
    let records = store.jobs(None, 100).expect("readable");
    let decode = |record: Vec<u8>| JobRecord::decode(record.as_slice()).expect("a record");
    records.into_iter().map(|(_, record)| decode(record.expect("undamaged"))).collect()
}

async fn list(jobs: &mut Jobs) -> Vec<Job> {
    jobs.list_jobs(ListJobsRequest::default()).await.expect("readable").into_inner().jobs
}

async fn fetch(jobs: &mut Jobs, job_id: &str) -> Vec<u8> {
    let call = GetArtifactRequest { job_id: job_id.into(), ..GetArtifactRequest::default() };
    let mut stream = jobs.get_artifact(call).await.expect("kept").into_inner();
    let (mut file, mut sha256) = (Vec::new(), String::new());
    while let Some(piece) = stream.message().await.expect("readable") {
        sha256 = piece.sha256;
        file.extend(piece.chunk.expect("a piece").data);
    }
    assert_eq!(sha256_hex(&file), sha256);
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_the_first_release_is_converted_and_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unpacked = Command::new("tar").args(["-xzf", FIXTURE, "-C"]).arg(folder.path()).status().expect("tar runs");
    assert!(unpacked.success());
    let old = records(folder.path());
    assert_eq!(old.iter().map(|record| record.version).collect::<Vec<_>>(), [0; 5]);
    let states: Vec<JobState> = old.iter().map(|record| record.job.as_ref().expect("a job").state()).collect();
    use JobState::{Cancelled, Completed, Failed, Queued, Running};
    assert_eq!(states, [Queued, Running, Cancelled, Failed, Completed]);

    let server = Program::start(folder.path(), &ARGUMENTS);
    let mut jobs = server.jobs().await;
    let listed = list(&mut jobs).await;
    let ids: Vec<&str> = listed.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!(ids, old.iter().map(|record| record.job.as_ref().expect("a job").job_id.as_str()).collect::<Vec<_>>());
    // Ended jobs are as they were, and all of their events can be watched.
    for (job, record) in listed.iter().zip(&old).skip(2) {
        assert_eq!(Some(job), record.job.as_ref());
        let mut seen = Seen::default();
        seen.follow(&mut jobs, &job.job_id).await.expect("kept");
        assert_eq!(seen.events[0].sequence, 0);
        assert_eq!(seen.events.last().expect("an end").sequence + 1, job.next_sequence);
        match (job.state(), &seen.events.last().expect("an end").event) {
            (Completed, Some(Event::Completed(completed))) => assert_eq!(completed.images, job.images),
            (Failed, Some(Event::Failed(error))) => assert_eq!(Some(error), job.error.as_ref()),
            (Cancelled, Some(Event::Cancelled(cancelled))) => assert_eq!(Some(cancelled), job.cancelled.as_ref()),
            other => panic!("{other:?}"),
        }
    }
    let file = fetch(&mut jobs, ids[4]).await;
    assert_eq!((sha256_hex(&file), file.len() as u64), (listed[4].images[0].sha256.clone(), listed[4].images[0].size));
    // The job that ran is drawn again from the start, and the one that waited is drawn.
    let mut resumed = BTreeMap::new();
    for id in &ids[..2] {
        let mut seen = Seen::default();
        let end = tokio::time::timeout(PATIENCE, seen.follow(&mut jobs, id)).await;
        end.expect("it ends").expect("the server lives");
        let requeued = seen.events.iter().any(|event| matches!(event.event, Some(Event::Requeued(_))));
        assert_eq!(requeued, *id == ids[1]);
        resumed.insert(id.to_string(), (seen.pixels(), sha256_hex(&fetch(&mut jobs, id).await)));
    }
    assert_eq!(server.terminate(), Some(0));

    let new = records(folder.path());
    assert_eq!(new.len(), old.len());
    for (new, old) in new.iter().zip(&old) {
        let client = &old.job.as_ref().expect("a job").client_id;
        assert_eq!((new.version, &new.owner, &new.name_key), (1, client, &old.name_key));
        assert_eq!((&new.fingerprint, &new.trace_parent), (&old.fingerprint, &old.trace_parent));
    }
    // A second start finds nothing to convert.
    let server = Program::start(folder.path(), &ARGUMENTS);
    let mut jobs = server.jobs().await;
    assert!(list(&mut jobs).await.iter().all(|job| job.end_time.is_some()));
    for (id, (_, sha256)) in resumed {
        assert_eq!(sha256_hex(&fetch(&mut jobs, &id).await), sha256);
    }
}
