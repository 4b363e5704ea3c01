//! Damaged data folders: bits that flip, pages that are overwritten, files that are cut, emptied or gone. The server never
//! panics and never serves what was altered; it names the file, and what is undamaged stays or comes back by a repair.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use sakuga_proto::digest::sha256_hex;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateEvent, GenerateRequest, GetArtifactRequest, GetJobRequest, Job, ListJobsRequest,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::program::{Jobs, Program, store};
use crate::support::{Dice, PATIENCE, Seen, is_lossy, request};

/// Damaged copies, unless `SAKUGA_DAMAGE_SEEDS` says another number.
const SEEDS: u64 = 24;
/// Jobs of the folder.
const JOBS: usize = 12;
const ARGUMENTS: [&str; 2] = ["--scripted-step-ms", "0"];

/// The contents of the undamaged folder for a job.
struct Known {
    job: Job,
    seen: Seen,
    pictures: Vec<Vec<u8>>,
}

fn two_pictures(name: &str, steps: u32) -> CreateJobRequest {
    let CreateJobRequest { request: Some(request), options } = request(name, steps) else { panic!("a request") };
    CreateJobRequest { request: Some(GenerateRequest { images: 2, ..request }), options }
}

async fn fetch(jobs: &mut Jobs, job_id: &str, image_index: u32) -> Result<Vec<u8>, Status> {
    let call = GetArtifactRequest { job_id: job_id.into(), image_index, ..GetArtifactRequest::default() };
    let mut stream = jobs.get_artifact(call).await?.into_inner();
    let mut file = Vec::new();
    while let Some(piece) = stream.message().await? {
        file.extend(piece.chunk.expect("a piece").data);
    }
    Ok(file)
}

async fn get(jobs: &mut Jobs, job_id: &str) -> Result<Job, Status> {
    Ok(jobs.get_job(GetJobRequest { job_id: job_id.into() }).await?.into_inner().job.expect("a job"))
}

/// Fills a folder with ended jobs and returns them as a server reports them.
async fn fill(folder: &Path) -> BTreeMap<String, Known> {
    let server = Program::start(folder, &ARGUMENTS);
    let mut jobs = server.jobs().await;
    let mut known = BTreeMap::new();
    for number in 0..JOBS {
        let made = jobs.create_job(two_pictures(&format!("job {number}"), 3 + number as u32)).await.expect("accepted");
        let job_id = made.into_inner().job.expect("a job").job_id;
        let mut first = Seen::default();
        tokio::time::timeout(PATIENCE, first.follow(&mut jobs, &job_id)).await.expect("in time").expect("it lives");
        let mut seen = Seen::default();
        seen.follow(&mut jobs, &job_id).await.expect("it is kept");
        let mut pictures = Vec::new();
        for index in 0..2 {
            pictures.push(fetch(&mut jobs, &job_id, index).await.expect("kept"));
        }
        known.insert(job_id.clone(), Known { job: get(&mut jobs, &job_id).await.expect("kept"), seen, pictures });
    }
    drop(jobs);
    assert_eq!(server.terminate(), Some(0));
    // The second bit of this byte says that the database was not closed, and its last commit is not beyond doubt then.
    assert_eq!(std::fs::read(folder.join("jobs.redb")).expect("there")[9] & 2, 0, "it was closed");
    known
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target)
        } else {
            _ = std::fs::copy(entry.path(), target).expect("copied")
        }
    }
}

/// What was lost of the jobs, and whether the store was found to be damaged while it served them. After a repair a job whose
/// newest state was lost is drawn again, which counts as lost.
async fn compare(server: &Program, known: &BTreeMap<String, Known>) -> (usize, bool) {
    let mut jobs = server.jobs().await;
    let (mut lost, mut is_damaged) = (0, false);
    let mut judge = |status: Status| match status.code() {
        Code::DataLoss => assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "DATA_LOST"),
        // After a repair: the first events are left out.
        Code::OutOfRange => assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "SEQUENCE_NOT_KEPT"),
        Code::NotFound => assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "JOB_NOT_FOUND"),
        Code::Unavailable => is_damaged = true,
        // The server stopped in the middle of the answer.
        Code::Unknown | Code::Cancelled | Code::Internal if status.get_details_error_info().is_none() => {
            is_damaged = true
        }
        other => panic!("{other:?}: {status:?}"),
    };
    for (job_id, known) in known {
        match get(&mut jobs, job_id).await {
            Ok(job) if job.attempt > known.job.attempt => {
                assert_eq!(job.request, known.job.request, "never altered");
                lost += 1;
                continue;
            }
            Ok(job) => assert_eq!(Job { oldest_sequence: 0, ..job }, known.job, "never altered"),
            Err(status) => {
                lost += 1;
                judge(status);
                continue;
            }
        }
        let mut seen = Seen::default();
        match watch(&mut jobs, job_id, &mut seen).await {
            Ok(()) => assert_eq!(state(&seen), state(&known.seen), "never altered"),
            Err(status) => judge(status),
        }
        for index in 0..2 {
            match fetch(&mut jobs, job_id, index).await {
                Ok(file) => assert!(file == known.pictures[index as usize], "never altered"),
                Err(status) => judge(status),
            }
        }
    }
    if let Err(status) = jobs.list_jobs(ListJobsRequest::default()).await {
        judge(status);
    }
    (lost, is_damaged)
}

/// The events that are never lost.
fn state(seen: &Seen) -> Vec<&GenerateEvent> {
    seen.events.iter().filter(|event| !is_lossy(event)).collect()
}

/// Follows without holding the code of an error to those of a cut connection.
async fn watch(jobs: &mut Jobs, job_id: &str, seen: &mut Seen) -> Result<(), Status> {
    use sakuga_proto::generation::v1::{WatchJobRequest, watch_job_response::Message};
    let call = WatchJobRequest { job_id: job_id.into(), ..WatchJobRequest::default() };
    let mut stream = jobs.watch_job(call).await?.into_inner();
    while let Some(response) = stream.message().await? {
        if let Some(Message::Event(event)) = response.message {
            seen.events.push(event);
        }
    }
    Ok(())
}

/// Damages a file; how many jobs that may cost.
fn damage(file: &Path, dice: &mut Dice) -> usize {
    let len = std::fs::metadata(file).expect("there").len();
    let opened = std::fs::File::options().read(true).write(true).open(file).expect("writable");
    if dice.roll(5) == 0 {
        let start = dice.roll(len.div_ceil(4096)) * 4096;
        let noise: Vec<u8> = (0..4096.min(len - start)).map(|_| dice.roll(256) as u8).collect();
        opened.write_all_at(&noise, start).expect("written");
        // A page holds several jobs.
        return JOBS;
    }
    let count = [1, 1, 1, 4, 16][dice.roll(5) as usize];
    for _ in 0..count {
        let (at, mut byte) = (dice.roll(len), [0]);
        opened.read_exact_at(&mut byte, at).expect("there");
        opened.write_all_at(&[byte[0] ^ (1 << dice.roll(8))], at).expect("written");
    }
    // A number in a page can be the end of one record and the beginning of the next.
    2 * count
}

fn assert_no_panic(log: &Path) -> String {
    let log = std::fs::read_to_string(log).expect("a log");
    assert!(!log.contains("panicked at"), "{log}");
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_bytes_are_never_served_and_a_repair_brings_back_the_rest() {
    let seeds = std::env::var("SAKUGA_DAMAGE_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let work = tempfile::tempdir().expect("a temporary folder");
    let good = work.path().join("good");
    std::fs::create_dir(&good).expect("made");
    let known = fill(&good).await;
    assert_eq!(store("check", &good, &[]).0, 0);
    let (mut refused, mut repaired, mut stopped) = (0, 0, 0);
    for seed in 1..=seeds {
        let folder = work.path().join(format!("seed-{seed}"));
        copy(&good, &folder);
        let mut dice = Dice(seed * 7919);
        let most = damage(&folder.join("jobs.redb"), &mut dice);
        let log = work.path().join("log");
        let mut needs_repair = true;
        if let Some(server) = Program::try_start(&folder, &ARGUMENTS, &log) {
            let (lost, is_damaged) = compare(&server, &known).await;
            assert!(is_damaged || lost <= most, "seed {seed}: {lost} jobs lost, and {most} may be");
            needs_repair = is_damaged || lost > 0;
            if is_damaged {
                stopped += 1;
                assert_eq!(server.ended(), Some(1), "seed {seed}: it says why and ends");
            } else {
                assert_eq!(server.terminate(), Some(0));
            }
        } else {
            refused += 1;
        }
        let said = assert_no_panic(&log);
        assert!(!needs_repair || said.contains("jobs.redb") && said.contains("store repair"), "seed {seed}: {said}");
        let (status, said) = store("repair", &folder, &[]);
        let is_whole = !said.contains("left out") && !said.contains("read one by one");
        assert_eq!(status, i32::from(!is_whole), "seed {seed}: {said}");
        repaired += usize::from(said.contains("the old database is"));
        let server = Program::try_start(&folder, &ARGUMENTS, &log).unwrap_or_else(|| panic!("seed {seed}: {said}"));
        let (lost, is_damaged) = compare(&server, &known).await;
        assert!(!is_damaged && lost <= most, "seed {seed}: {lost} jobs lost, and {most} may be; {said}");
        assert_eq!(server.terminate(), Some(0));
        assert_no_panic(&log);
        let (status, said) = store("check", &folder, &[]);
        assert!(status == 0 || lost > 0 && said.contains("no job has these pictures"), "seed {seed}: {said}");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
    println!("{seeds} damaged databases: {refused} not opened, {stopped} found while serving, {repaired} repaired");
    assert!(repaired > 0);
}

/// The file of a job's picture.
fn picture(folder: &Path, job_id: &str, index: u32) -> PathBuf {
    folder.join("pictures").join(job_id).join(format!("{index}.png"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_are_altered_cut_or_gone_are_lost_with_the_reason() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let known = fill(work.path()).await;
    let server = Program::start(work.path(), &ARGUMENTS);
    let mut jobs = server.jobs().await;
    let ids: Vec<&String> = known.keys().collect();
    let flip = picture(work.path(), ids[0], 0);
    let mut bytes = std::fs::read(&flip).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&flip, &bytes).expect("written");
    std::fs::write(picture(work.path(), ids[1], 0), &bytes[..middle]).expect("written");
    std::fs::remove_file(picture(work.path(), ids[2], 0)).expect("removed");
    std::fs::remove_file(picture(work.path(), ids[3], 0)).expect("removed");
    std::fs::create_dir(picture(work.path(), ids[3], 0)).expect("made");
    for (id, reason) in
        [(ids[0], "is not what was written"), (ids[1], "shorter"), (ids[2], "missing"), (ids[3], "missing")]
    {
        let mut seen = Seen::default();
        for lost in [
            fetch(&mut jobs, id, 0).await.expect_err("it is not what it was"),
            watch(&mut jobs, id, &mut seen).await.expect_err("its pieces are not what they were"),
        ] {
            assert_eq!(lost.code(), Code::DataLoss, "{lost:?}");
            assert!(lost.message().contains(reason) && lost.message().contains(id.as_str()), "{lost:?}");
        }
        assert_eq!(fetch(&mut jobs, id, 1).await.expect("the other one is kept"), known[id].pictures[1]);
    }
    drop(jobs);
    assert_eq!(server.terminate(), Some(0));
    let (status, said) = store("check", work.path(), &[]);
    assert_eq!(status, 1);
    assert_eq!(said.lines().filter(|line| line.contains("0.png: job ")).count(), 4, "{said}");
    assert!(said.contains("4 problems"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_deleted_or_cut_while_it_is_open_stops_the_server() {
    for what in ["deleted", "emptied", "halved"] {
        let work = tempfile::tempdir().expect("a temporary folder");
        let folder = work.path().join("data");
        std::fs::create_dir(&folder).expect("made");
        let known = fill(&folder).await;
        let (log, file) = (work.path().join("log"), folder.join("jobs.redb"));
        let good = std::fs::read(&file).expect("there");
        let server = Program::try_start(&folder, &ARGUMENTS, &log).expect("it starts");
        let mut jobs = server.jobs().await;
        let cut = |len| std::fs::File::options().write(true).open(&file).and_then(|file| file.set_len(len));
        match what {
            "deleted" => std::fs::remove_file(&file),
            "emptied" => cut(0),
            _ => cut(good.len() as u64 / 2),
        }
        .expect("done");
        // No job is acknowledged that would be gone after a restart.
        let refused = jobs.create_job(request("late", 1)).await.expect_err("it cannot be kept");
        assert_eq!(refused.code(), Code::Unavailable, "{what}: {refused:?}");
        assert_eq!(refused.get_details_error_info().expect("ErrorInfo").reason, "STORE_DAMAGED");
        drop(jobs);
        assert_eq!(server.ended(), Some(1), "{what}");
        let said = assert_no_panic(&log);
        assert!(said.contains("jobs.redb") && said.contains("the store is damaged"), "{what}: {said}");
        // The next start refuses too, until the file is back.
        assert!(Program::try_start(&folder, &ARGUMENTS, &log).is_none(), "{what}");
        std::fs::write(&file, &good).expect("restored");
        assert_eq!(store("repair", &folder, &[]).0, 0);
        let server = Program::try_start(&folder, &ARGUMENTS, &log).expect("it starts again");
        assert_eq!(compare(&server, &known).await, (0, false), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_overwritten_while_it_is_open_is_found_by_the_next_start() {
    let work = tempfile::tempdir().expect("a temporary folder");
    let folder = work.path().join("data");
    std::fs::create_dir(&folder).expect("made");
    fill(&folder).await;
    let (log, file) = (work.path().join("log"), folder.join("jobs.redb"));
    let server = Program::try_start(&folder, &ARGUMENTS, &log).expect("it starts");
    let len = std::fs::metadata(&file).expect("there").len() as usize;
    let opened = std::fs::File::options().write(true).open(&file).expect("writable");
    opened.write_all_at(&vec![0xa5; len - 4096], 4096).expect("written");
    server.kill();
    assert!(Program::try_start(&folder, &ARGUMENTS, &log).is_none());
    let said = assert_no_panic(&log);
    assert!(said.contains("jobs.redb") && said.contains("store repair"), "{said}");
    let (status, said) = store("repair", &folder, &[]);
    assert_eq!((status, said.contains("0 jobs kept")), (1, true), "{said}");
}

#[test]
fn a_file_that_is_no_database_is_named_and_not_replaced() {
    for content in [&b"this is not a database\n".repeat(1000)[..], &[0; 40_960], b"x"] {
        let work = tempfile::tempdir().expect("a temporary folder");
        let (file, log) = (work.path().join("jobs.redb"), work.path().join("log"));
        std::fs::write(&file, content).expect("written");
        assert!(Program::try_start(work.path(), &ARGUMENTS, &log).is_none());
        let said = assert_no_panic(&log);
        assert!(said.contains("jobs.redb") && said.contains("store repair"), "{said}");
        assert_eq!(sha256_hex(&std::fs::read(&file).expect("there")), sha256_hex(content));
        let (status, said) = store("check", work.path(), &[]);
        assert!(status == 1 && said.contains("jobs.redb"), "{said}");
    }
}
