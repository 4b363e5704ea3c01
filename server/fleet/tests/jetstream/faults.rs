//! Gateways, workers and servers of NATS are killed at random while jobs are accepted, drawn and watched.
//!
//! Gateways and workers are processes: this program starts itself with the name of the test and a role in its environment.

use std::collections::{BTreeMap, HashSet};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sakuga_fleet::{Ask, Fleet, FleetError, Order, RecordChange, Role, Settings, WorkItem};
use sakuga_proto::generation::v1::JobState;
use tokio::sync::Mutex;

use crate::servers::Servers;
use crate::story::{create, name, work};

/// How long processes are killed.
const CHAOS: Duration = Duration::from_secs(60);
/// The pause between two kills.
const PAUSE: Duration = Duration::from_millis(700);
/// How long the fleet has afterwards until every job has ended.
const RECOVERY: Duration = Duration::from_secs(60);
/// Jobs that are accepted, evenly over the time.
const JOBS: u32 = 120;
/// Steps of a job, each as long as this.
const STEPS: u32 = 4;
const STEP: Duration = Duration::from_millis(200);
/// The name of the test, with which this program starts itself.
const TEST: &str = "faults::killed_processes_lose_no_job_and_draw_none_twice";
/// The role of a process, `gateway` or `worker`.
const ROLE: &str = "SAKUGA_FLEET_TEST_ROLE";
/// The addresses of the servers, for a process.
const ADDRESSES: &str = "SAKUGA_FLEET_TEST_SERVERS";

/// The processes of a role, each started again once it was killed.
struct Processes {
    role: &'static str,
    addresses: String,
    running: Vec<Child>,
}

impl Processes {
    fn start(role: &'static str, settings: &Settings, count: usize) -> Self {
        let mut processes = Self { role, addresses: settings.servers.join(","), running: Vec::new() };
        for _ in 0..count {
            let child = processes.spawn();
            processes.running.push(child);
        }
        processes
    }

    fn spawn(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", TEST, "--nocapture"]).env(ROLE, self.role).env(ADDRESSES, &self.addresses);
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process")
    }

    fn kill(&mut self, index: usize) {
        let next = self.spawn();
        let mut killed = std::mem::replace(&mut self.running[index], next);
        killed.kill().expect("it runs until it is killed");
        killed.wait().expect("ended");
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for child in &mut self.running {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_no_job_and_draw_none_twice() {
    match std::env::var(ROLE).as_deref() {
        Ok("worker") => return worker_process(&settings()).await,
        Ok(_) => return gateway_process(&settings()).await,
        Err(_) => {}
    }
    let Some(mut servers) = Servers::three() else { return };
    let settings = servers.settings();
    servers.set_up(&settings).await;
    let mut gateways = Processes::start("gateway", &settings, 2);
    let mut workers = Processes::start("worker", &settings, 4);
    let client = tokio::spawn(accept_and_watch(settings.clone()));

    let mut random = Random::seeded();
    let (begun, mut kills) = (Instant::now(), [0_u32; 3]);
    while begun.elapsed() < CHAOS {
        tokio::time::sleep(PAUSE).await;
        match random.below(10) {
            0..4 => {
                workers.kill(random.below(4));
                kills[0] += 1;
            }
            4..7 => {
                gateways.kill(random.below(2));
                kills[1] += 1;
            }
            _ => {
                let server = random.below(3);
                servers.kill(server);
                tokio::time::sleep(PAUSE).await;
                servers.restart(server);
                // One at a time: two of three are needed for everything.
                tokio::time::sleep(Duration::from_secs(2)).await;
                kills[2] += 1;
            }
        }
    }
    let watched = tokio::time::timeout(RECOVERY, client).await.expect("every job ends").expect("no panic");

    let fleet = Fleet::open(&settings, Role::Gateway).await.expect("a connection");
    let mut attempts = 0;
    for (job, seen) in &watched {
        let stored = fleet.log.read(job).await.unwrap_or_else(|error| panic!("{error}"));
        let events: Vec<_> = stored.iter().map(|stored| (stored.event.sequence, name(&stored.event))).collect();
        assert_eq!(*seen, events, "job {job}: each event once, over all gateways");
        let completed = events.iter().filter(|(_, name)| *name == "completed").count();
        assert_eq!((completed, events.last().map(|(_, name)| *name)), (1, Some("completed")), "job {job}: {events:?}");
        let last = stored.last().expect("an event");
        attempts += last.tail.attempt;
    }
    let [killed_workers, killed_gateways, killed_servers] = kills;
    println!(
        "{} jobs, {attempts} attempts, killed: {killed_workers} workers, {killed_gateways} gateways, {killed_servers} servers of NATS",
        watched.len()
    );
    assert_eq!(watched.len(), JOBS as usize);
    assert_eq!(fleet.dead.list().await.expect("the letters"), []);
    let until = Instant::now() + Duration::from_secs(20);
    while fleet.work.depth().await.expect("a number") > 0 {
        assert!(Instant::now() < until, "items of jobs that have ended are removed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What a client saw of each of its jobs: numbers and names of the events.
type Watched = BTreeMap<String, Vec<(u64, &'static str)>>;

/// Has jobs accepted, repeats calls whose answer is lost, and watches each job until its end, each on other connections.
async fn accept_and_watch(settings: Settings) -> Watched {
    let mut gateways = Vec::new();
    for _ in 0..2 {
        gateways.push(Fleet::open(&settings, Role::Gateway).await.unwrap_or_else(|error| panic!("{error}")));
    }
    let mut watches = Vec::new();
    for number in 0..JOBS {
        tokio::time::sleep(CHAOS / (JOBS + JOBS / 4)).await;
        let request_id = format!("request-{number}");
        let mut attempt = 0;
        let job = loop {
            let gateway = &gateways[(number + attempt) as usize % 2];
            match create(gateway, &format!("job-{number}-{attempt}"), &request_id).await {
                Ok(job) => break job,
                Err(_) => attempt += 1,
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        watches.push(tokio::spawn(watch(gateways.clone(), job)));
    }
    let mut watched = Watched::new();
    for one in watches {
        let (job, events) = one.await.expect("no panic");
        assert!(watched.insert(job, events).is_none(), "each call has its own job");
    }
    watched
}

/// Watches a job, and goes to the other gateway after every third event.
async fn watch(gateways: Vec<Fleet>, job: String) -> (String, Vec<(u64, &'static str)>) {
    let mut seen: Vec<(u64, &'static str)> = Vec::new();
    for turn in 0.. {
        let mut follower = gateways[turn % gateways.len()].log.follow(&job);
        let before = seen.len();
        loop {
            match follower.next().await {
                // Resumed behind the last number that was seen.
                Ok(Some(stored)) if seen.last().is_some_and(|(last, _)| stored.event.sequence <= *last) => {}
                Ok(Some(stored)) => seen.push((stored.event.sequence, name(&stored.event))),
                Ok(None) => return (job, seen),
                Err(FleetError::Nats { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            if seen.len() >= before + 3 {
                break;
            }
        }
    }
    unreachable!("the turns do not end")
}

/// The settings of a process of the test.
fn settings() -> Settings {
    let servers = std::env::var(ADDRESSES).expect("the addresses").split(',').map(str::to_owned).collect();
    Settings { replicas: 3, servers, ack_wait: Duration::from_secs(1), ..Settings::default() }
}

/// Calls something that fails while NATS is away, until it works.
async fn until_it_works<T>(mut call: impl AsyncFnMut() -> Result<T, FleetError>) -> T {
    loop {
        match call().await {
            Ok(done) => return done,
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Draws what it finds, until it is killed.
async fn worker_process(settings: &Settings) {
    let fleet = until_it_works(async || Fleet::open(settings, Role::Worker).await).await;
    let source = until_it_works(async || fleet.work.source("anime", "normal").await).await;
    let ask = Ask { worker: std::process::id().to_string(), loadable: vec!["anime".into()], ..Ask::default() };
    loop {
        // What another worker had, or what the scheduler picks.
        let taken = match source.take(Duration::from_millis(200)).await {
            Ok(None) => match fleet.dispatch.ask(&ask).await {
                Ok(Some(_)) => source.take(Duration::from_secs(1)).await,
                _ => continue,
            },
            taken => taken,
        };
        match taken {
            // An item that is dropped is delivered again.
            Ok(Some(taken)) => drop(work(&fleet, taken, STEPS, STEP).await),
            Ok(None) => {}
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// The jobs that wait, by the order of their revisions, as the bucket of records says.
#[derive(Default)]
struct Waiting {
    jobs: Arc<Mutex<BTreeMap<u64, String>>>,
    /// Those that this scheduler has published.
    published: HashSet<String>,
}

impl Order for Waiting {
    fn pick(&mut self, _: &Ask) -> Option<WorkItem> {
        let jobs = self.jobs.try_lock().ok()?;
        let job = jobs.values().find(|job| !self.published.contains(*job))?.clone();
        self.published.insert(job.clone());
        Some(WorkItem { job, attempt: 1, model: "anime".into(), class: "normal".into() })
    }

    fn restore(&mut self, item: WorkItem) {
        self.published.remove(&item.job);
    }
}

/// Schedules whenever no other process does, until it is killed.
async fn gateway_process(settings: &Settings) {
    let fleet = until_it_works(async || Fleet::open(settings, Role::Gateway).await).await;
    loop {
        let acquired = fleet.leases.acquire("scheduler", &std::process::id().to_string()).await;
        let Ok(Some(mut lease)) = acquired else {
            tokio::time::sleep(Duration::from_millis(250)).await;
            continue;
        };
        let mut order = Waiting::default();
        let jobs = order.jobs.clone();
        let watching = async {
            loop {
                let Ok(mut watch) = fleet.records.watch().await else { continue };
                while let Ok(change) = watch.next().await {
                    let RecordChange::Put(revised) = change else { continue };
                    let job = revised.record.job.unwrap_or_default();
                    let mut jobs = jobs.lock().await;
                    jobs.retain(|_, known| *known != job.job_id);
                    if job.state() == JobState::Queued {
                        jobs.insert(revised.revision, job.job_id);
                    }
                }
            }
        };
        tokio::select! {
            _ = fleet.dispatch.serve(&mut lease, &mut order) => {}
            () = watching => {}
        }
    }
}

/// A generator of numbers that prints its seed.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let seed =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        println!("seed {seed}");
        Self(seed | 1)
    }

    /// A number below `bound`, by xorshift.
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound).expect("small")
    }
}
