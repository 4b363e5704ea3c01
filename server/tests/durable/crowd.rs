//! Many readers that do not read cost neither time nor memory, and many clients at once are served quickly.
//!
//! `SAKUGA_CROWD=1` lets the clients come as often as for the figures in tests/BENCHMARKS.md, and keeps jobs on a file system in
//! memory too.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::watch_job_response::Message;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateEvent, GenerateRequest, ImageFormat, PreviewMethod, PreviewOptions, WatchJobRequest,
    WatchJobResponse,
};
use tempfile::TempDir;
use tonic::Streaming;
use tonic::transport::Endpoint;

use crate::program::{Jobs, Program};
use crate::support::{Dice, PATIENCE, Seen, is_terminal, request};

/// Streams that are not read.
const STREAMS: usize = 1000;
/// Of them on one connection.
const ON_ONE: usize = 100;
/// The most KiB that each may cost the server: a bound for leaks. Measured values are in tests/BENCHMARKS.md.
const STREAM_KIB_MAX: u64 = 64;

/// A job with large previews on every step.
fn heavy(name: &str, steps: u32) -> CreateJobRequest {
    let CreateJobRequest { request: Some(request), options } = request(name, steps) else { panic!("a request") };
    let preview = PreviewOptions {
        method: PreviewMethod::Decoder.into(),
        format: ImageFormat::Png.into(),
        max_edge: 256,
        ..PreviewOptions::default()
    };
    let request = GenerateRequest { width: 256, height: 256, preview: Some(preview), ..request };
    CreateJobRequest { request: Some(request), options }
}

/// Steps of a measured job, and those at its end that count: by then every stream is open and full.
const STEPS: u32 = 160;
const COUNTED: usize = 80;

/// The median time between two of the counted steps, by the server's clock.
fn step_time(seen: &Seen) -> Duration {
    let steps = seen.events.iter().filter(|event| matches!(event.event, Some(Event::Step(_))));
    let steps = steps.skip(STEPS as usize - COUNTED);
    let times: Vec<_> = steps.map(|event| std::time::SystemTime::try_from(event.time.expect("a time"))).collect();
    let mut gaps: Vec<Duration> = times
        .windows(2)
        .map(|pair| match pair {
            [Ok(one), Ok(next)] => next.duration_since(*one).unwrap_or_default(),
            _ => panic!("the server's clock is right"),
        })
        .collect();
    gaps.sort_unstable();
    gaps[gaps.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_that_nobody_reads_cost_neither_time_nor_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Program::start(folder.path(), &["--scripted-step-ms", "25"]);
    let mut jobs = server.jobs().await;
    let mut measure = async |name: &str| {
        let made = jobs.create_job(heavy(name, STEPS)).await.expect("accepted").into_inner().job.expect("a job");
        let mut seen = Seen::default();
        let mut streams: Vec<Streaming<WatchJobResponse>> = Vec::new();
        if name == "crowd" {
            for _ in 0..STREAMS / ON_ONE {
                let mut connection = server.jobs().await;
                for _ in 0..ON_ONE {
                    let call = WatchJobRequest { job_id: made.job_id.clone(), ..WatchJobRequest::default() };
                    streams.push(connection.watch_job(call).await.expect("there").into_inner());
                }
            }
        }
        seen.follow(&mut jobs, &made.job_id).await.expect("it lives");
        (step_time(&seen), server.resident_kib(), streams.len())
    };
    let (alone, before_kib, _) = measure("alone").await;
    let (crowded, after_kib, streams) = measure("crowd").await;
    assert_eq!(streams, STREAMS);
    let kib = after_kib.saturating_sub(before_kib) / STREAMS as u64;
    println!(
        "{STREAMS} streams: a step takes {:.2} ms instead of {:.2} ms, {kib} KiB a stream",
        crowded.as_secs_f64() * 1e3,
        alone.as_secs_f64() * 1e3,
    );
    assert!(kib <= STREAM_KIB_MAX, "{before_kib} KiB became {after_kib} KiB");
    // A machine that builds meanwhile jitters; a worker that waited for readers would stand still.
    assert!(crowded < alone * 3 / 2, "{alone:?} became {crowded:?}");
}

/// Clients at the same time.
const CLIENTS: u64 = 200;

/// Whether the figures of tests/BENCHMARKS.md are taken.
fn is_measured() -> bool {
    std::env::var_os("SAKUGA_CROWD").is_some()
}

/// Where a server keeps its jobs, and how fast that is.
struct Place {
    name: &'static str,
    /// `None`: in memory.
    folder: Option<TempDir>,
}

impl Place {
    /// Memory and the disk, and for the figures a file system in memory where there is one.
    fn all() -> Vec<Self> {
        let shared = if is_measured() { tempfile::tempdir_in("/dev/shm").ok() } else { None };
        let shared = shared.map(|folder| Self { name: "tmpfs", folder: Some(folder) });
        let disk = Self { name: "disk", folder: Some(tempfile::tempdir().expect("a temporary folder")) };
        [Some(Self { name: "memory", folder: None }), shared, Some(disk)].into_iter().flatten().collect()
    }

    fn path(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new("memory"), TempDir::path)
    }

    /// How long writing 8 KiB takes until they are safe: what a commit waits for at the least, shortest first.
    fn syncs(&self) -> Option<Vec<Duration>> {
        let mut file = File::create(self.folder.as_ref()?.path().join("sync")).expect("room");
        let mut sync = || {
            let begun = Instant::now();
            file.rewind().and_then(|()| file.write_all(&[1; 8192])).and_then(|()| file.sync_data()).expect("room");
            begun.elapsed()
        };
        let mut times: Vec<Duration> = (0..200).map(|_| sync()).collect();
        times.sort_unstable();
        Some(times)
    }
}

/// The time below which this share of them lie, in milliseconds.
fn percentile(times: &[Duration], share: usize) -> f64 {
    times[(times.len() - 1) * share / 100].as_secs_f64() * 1e3
}

/// The results of many clients.
struct Crowd {
    /// From each call of CreateJob to its job's first event, shortest first.
    first: Vec<Duration>,
    events: u64,
    took: Duration,
}

impl Crowd {
    /// Has each client create some jobs, each within `pace` of the previous one, and read every event.
    async fn come(jobs_each: u64, pace: Duration, place: &Path) -> Self {
        let server = Program::start(place, &["--scripted-step-ms", "0", "--queue-size", "1000"]);
        let begun = Instant::now();
        let connections = [server.jobs().await, server.jobs().await, server.jobs().await, server.jobs().await];
        let mut running = Vec::new();
        for client in 0..CLIENTS {
            let mut jobs = connections[client as usize % connections.len()].clone();
            running.push(tokio::spawn(async move {
                let mut dice = Dice(client);
                let (mut first, mut events) = (Vec::new(), 0_u64);
                for round in 0..jobs_each {
                    let pause = Duration::from_micros(dice.roll(pace.as_micros() as u64 + 1));
                    tokio::time::sleep(pause).await;
                    let asked = Instant::now();
                    let made = jobs.create_job(request(&format!("{client}-{round}"), 20)).await.expect("accepted");
                    let job_id = made.into_inner().job.expect("a job").job_id;
                    let call = WatchJobRequest { job_id, ..WatchJobRequest::default() };
                    let mut stream = jobs.watch_job(call).await.expect("there").into_inner();
                    let before = events;
                    while let Some(response) = stream.message().await.expect("it lives") {
                        if let Some(Message::Event(_)) = response.message {
                            if events == before {
                                first.push(asked.elapsed());
                            }
                            events += 1;
                        }
                    }
                }
                (first, events)
            }));
        }
        let (mut first, mut events) = (Vec::new(), 0);
        for client in running {
            let (times, seen) = tokio::time::timeout(PATIENCE * 2, client).await.expect("it ends").expect("no panic");
            first.extend(times);
            events += seen;
        }
        first.sort_unstable();
        assert_eq!(first.len() as u64, CLIENTS * jobs_each, "every job was seen");
        Self { first, events, took: begun.elapsed() }
    }

    fn tell(&self, what: &str) {
        let (jobs, took) = (self.first.len() as f64, self.took.as_secs_f64());
        println!(
            "{CLIENTS} clients {what}: first event after {:.1} ms (median), {:.1} ms (99 %); {:.0} events a second, \
             {:.0} jobs a minute",
            percentile(&self.first, 50),
            percentile(&self.first, 99),
            self.events as f64 / took,
            jobs / took * 60.0,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_are_answered_at_once() {
    for place in Place::all() {
        let (jobs_each, pace_s) = if is_measured() { (2, 8) } else { (1, 2) };
        let crowd = Crowd::come(jobs_each, Duration::from_secs(pace_s), place.path()).await;
        crowd.tell(&format!("that come one after the other, jobs in {}", place.name));
        if let Some(syncs) = place.syncs() {
            let (half, most) = (percentile(&syncs, 50), percentile(&syncs, 99));
            println!("{}: 8 KiB are safe after {half:.2} ms (median), {most:.2} ms (99 %)", place.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_that_never_rest_are_served() {
    for place in Place::all() {
        let jobs_each = if is_measured() { 3 } else { 2 };
        let crowd = Crowd::come(jobs_each, Duration::ZERO, place.path()).await;
        crowd.tell(&format!("that never rest, jobs in {}", place.name));
        assert!(crowd.events > 25 * jobs_each * CLIENTS, "20 steps and what is around them");
    }
}

/// Streams that are not read, each at another preview.
const STALLED: u32 = 120;
/// Edge of their previews: 768 KiB each, 90 MiB together.
const STALLED_EDGE_PX: u32 = 512;
/// The budget for what is not read.
const UNSENT_MIB: u64 = 16;
/// What they may take together: the budget, and 128 KiB a stream for its call, its connection and its small events.
const STALLED_KIB_MAX: u64 = UNSENT_MIB * 1024 + 128 * STALLED as u64;
/// Of them on one connection.
const STALLED_ON_ONE: usize = 10;
/// Bytes of a stream that the client takes without reading them.
const WINDOW_BYTES: u32 = 65_535;

/// A client with room for what it does not read of [`STALLED_ON_ONE`] streams.
async fn small_windows(url: &str) -> Jobs {
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL");
    let endpoint = endpoint
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * STALLED_ON_ONE as u32 * WINDOW_BYTES);
    JobServiceClient::new(endpoint.connect().await.expect("it listens"))
}

/// Reads a stream to its end; the steps and whether the last event is the terminal one.
async fn read_to_the_end(mut stream: Streaming<WatchJobResponse>) -> (Vec<u32>, bool) {
    let (mut steps, mut is_over) = (Vec::new(), false);
    while let Some(response) = stream.message().await.expect("it lives") {
        if let Some(Message::Event(event)) = response.message {
            is_over = is_terminal(&event);
            steps.extend(match event.event {
                Some(Event::Step(step)) => Some(step.index),
                _ => None,
            });
        }
    }
    (steps, is_over)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_streams_at_different_previews_stay_within_the_budget_and_lose_no_step() {
    let arguments = ["--scripted-step-ms", "25", "--max-unsent-mib", &UNSENT_MIB.to_string()];
    let server = Program::start(Path::new("memory"), &arguments);
    let mut jobs = server.jobs().await;
    let mut create = async |name: &str, steps| {
        let CreateJobRequest { request: Some(request), options } = heavy(name, steps) else { panic!("a request") };
        let preview = request.preview.map(|preview| PreviewOptions { max_edge: STALLED_EDGE_PX, ..preview });
        let request = GenerateRequest { width: STALLED_EDGE_PX, height: STALLED_EDGE_PX, preview, ..request };
        let made = jobs.create_job(CreateJobRequest { request: Some(request), options }).await.expect("accepted");
        made.into_inner().job.expect("a job").job_id
    };
    let warm = create("warm", 10).await;
    Seen::default().follow(&mut server.jobs().await, &warm).await.expect("it lives");
    let before_kib = server.resident_kib();

    let job_id = create("crowd", STALLED).await;
    let call = WatchJobRequest { job_id: job_id.clone(), ..WatchJobRequest::default() };
    let mut reader = server.jobs().await.watch_job(call.clone()).await.expect("there").into_inner();
    let (mut connection, mut stalled) = (small_windows(server.url()).await, Vec::new());
    let mut is_over = false;
    while let Some(response) = reader.message().await.expect("it lives") {
        let Some(Message::Event(event)) = response.message else { continue };
        is_over = is_terminal(&event);
        if let Some(Event::Step(step)) = &event.event {
            if stalled.len() % STALLED_ON_ONE == STALLED_ON_ONE - 1 {
                connection = small_windows(server.url()).await;
            }
            let call = WatchJobRequest { after_sequence: Some(event.sequence), ..call.clone() };
            stalled.push((step.index, connection.watch_job(call).await.expect("there").into_inner()));
        }
    }
    assert!(is_over, "a reader that keeps up gets the end");
    assert_eq!(stalled.len(), STALLED as usize, "it got every step");
    let kib = server.resident_kib().saturating_sub(before_kib);
    println!("{STALLED} unread streams at different previews of 768 KiB take {kib} KiB");
    assert!(kib <= STALLED_KIB_MAX, "{before_kib} KiB grew by {kib} KiB");

    let read = stalled.into_iter().map(async |(seen, stream)| {
        let (steps, is_over) = tokio::time::timeout(PATIENCE, read_to_the_end(stream)).await.expect("in time");
        assert!(is_over, "the stream after step {seen} has its end");
        let first = seen + 1;
        assert!(steps.iter().copied().eq(first..first + steps.len() as u32), "after step {seen}: {steps:?}");
        steps.len()
    });
    // One after the other on each connection would wait for those that are not read.
    let counts = futures::future::join_all(read).await;
    assert!(counts.iter().rev().copied().eq(0..STALLED as usize), "every step after the one that was seen: {counts:?}");
}

/// Streams that stop within a picture.
const HALTED: usize = 200;
/// What each may hold: a piece of 256 KiB with its frame, and 128 KiB for its call and its connection.
const HALTED_KIB_MAX: u64 = 256 + 128;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_stop_within_a_picture_hold_a_piece_each_and_the_budget() {
    let server =
        Program::start(Path::new("memory"), &["--scripted-step-ms", "0", "--max-unsent-mib", &UNSENT_MIB.to_string()]);
    let mut jobs = server.jobs().await;
    let CreateJobRequest { request: Some(request), options } = request("large", 2) else { panic!("a request") };
    let request = GenerateRequest { width: 1536, height: 1536, ..request };
    let made = jobs.create_job(CreateJobRequest { request: Some(request), options }).await.expect("accepted");
    let job_id = made.into_inner().job.expect("a job").job_id;
    let mut seen = Seen::default();
    seen.follow(&mut jobs, &job_id).await.expect("it lives");
    let last_before = |event: &&GenerateEvent| !matches!(event.event, Some(Event::ImageChunk(_)));
    let before = seen.events.iter().take_while(last_before).last().expect("steps").sequence;
    let pieces = seen.events.iter().filter(|event| matches!(event.event, Some(Event::ImageChunk(_)))).count();
    assert!(pieces > 1, "the picture has {pieces} pieces");
    let call = WatchJobRequest { job_id, after_sequence: Some(before), ..WatchJobRequest::default() };
    let before_kib = server.resident_kib();
    let mut halted = Vec::new();
    for place in 0..HALTED {
        if place % STALLED_ON_ONE == 0 {
            jobs = small_windows(server.url()).await;
        }
        halted.push(jobs.watch_job(call.clone()).await.expect("there").into_inner());
    }
    // Until what the server hands over has reached the windows.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let kib = server.resident_kib().saturating_sub(before_kib);
    println!("{HALTED} streams that stop within a picture take {kib} KiB");
    assert!(kib <= UNSENT_MIB * 1024 + HALTED as u64 * HALTED_KIB_MAX, "{before_kib} KiB grew by {kib} KiB");
    let mut others = server.jobs().await.watch_job(call).await.expect("there").into_inner();
    let mut read = 0;
    while let Some(response) =
        tokio::time::timeout(PATIENCE, others.message()).await.expect("in time").expect("it lives")
    {
        read += usize::from(matches!(response.message, Some(Message::Event(_))));
    }
    assert!(read > pieces, "a reader that reads gets all of it meanwhile");
}
