//! What an event costs for each reader: the server encodes it once and sends the same bytes to all.
//!
//! `SAKUGA_READERS=1 cargo test -p sakuga-server --test durable instructions_of_an_event -- --nocapture` prints the
//! instructions for each reader and event, counted by callgrind; without the variable the measurement is skipped, for it
//! takes minutes. `SAKUGA_READERS_SERVER` names another server program, such as one of an earlier release, to compare with.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sakuga_proto::generation::v1::job_service_client::JobServiceClient;

use crate::process::ServerProcess;
use crate::support::{Seen, request};

/// Readers of the one job.
const READERS: u64 = 200;
/// Steps of the short and of the long job. The difference has no connections, streams or pictures.
const STEPS: [u32; 2] = [10, 60];
/// A server under callgrind is about fifty times as slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server under callgrind, and callgrind's log.
struct Measured {
    server: ServerProcess,
    log: PathBuf,
}

impl Measured {
    fn start(program: &Path, folder: &Path) -> Self {
        let (out, log) = (folder.join("callgrind.out"), folder.join("callgrind.log"));
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(format!("--log-file={}", log.display()))
            .arg(program)
            .args(["--engine", "scripted", "--scripted-step-ms", "250", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(["--data-dir", "memory"])
            // Under callgrind on a busy machine a write may take longer than the timeout of clients that have stopped
            // reading.
            .args(["--keepalive-interval", "300", "--keepalive-timeout", "300"])
            .env_clear()
            .stdin(Stdio::null());
        Self { server: ServerProcess::spawn(&mut command), log }
    }

    /// Stops the server and returns the instructions of its whole run.
    fn instructions(self) -> u64 {
        self.server.terminate();
        let log = std::fs::read_to_string(&self.log).expect("callgrind's log");
        let collected = log.lines().find_map(|line| line.split_once("Collected :")).expect("a sum").1;
        collected.trim().parse().expect("a number")
    }
}

/// Instructions of a server that runs one job with `steps` steps and `readers` readers, and the events that all readers got.
async fn measure(program: &Path, steps: u32, readers: u64) -> (u64, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Measured::start(program, folder.path());
    let mut jobs = JobServiceClient::new(server.server.channel().await);
    let made = jobs.create_job(request("crowd", steps)).await.expect("accepted").into_inner().job.expect("a job");
    let mut reading = Vec::new();
    for _ in 0..readers {
        let (mut jobs, job_id) = (jobs.clone(), made.job_id.clone());
        reading.push(tokio::spawn(async move {
            let mut seen = Seen::default();
            seen.follow(&mut jobs, &job_id).await.expect("it lives");
            seen.events.len() as u64
        }));
    }
    let mut events = 0;
    for reader in reading {
        events += tokio::time::timeout(PATIENCE, reader).await.expect("in time").expect("no assertion failed");
    }
    drop(jobs);
    (server.instructions(), events)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instructions_of_an_event_for_each_reader() {
    if std::env::var_os("SAKUGA_READERS").is_none() {
        println!("skipped: the instructions of an event: takes minutes and needs valgrind; set SAKUGA_READERS=1");
        return;
    }
    let program = std::env::var_os("SAKUGA_READERS_SERVER");
    let program = program.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_sakuga-server")), PathBuf::from);
    let mut cost = Vec::new();
    for readers in [1, READERS] {
        let (short, few) = measure(&program, STEPS[0], readers).await;
        let (long, many) = measure(&program, STEPS[1], readers).await;
        assert!(many > few, "a longer job has more events");
        println!("{readers} readers: {} instructions for {} more events", long - short, many - few);
        cost.push((long as f64 - short as f64, (many - few) as f64));
    }
    let [(alone, _), (crowd, events)] = cost[..] else { panic!("two measurements") };
    let each = (crowd - alone) / (events * (READERS - 1) as f64 / READERS as f64);
    println!("{each:.0} instructions for each reader and event");
    assert!(each > 0.0);
}
