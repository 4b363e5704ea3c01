//! Servers of NATS that a test starts, kills and starts again.

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use sakuga_fleet::{Fleet, Role, Settings};

/// How long a server or a cluster has until it answers.
const START: Duration = Duration::from_secs(30);

/// One server or a cluster of three, with the settings that the documents recommend. Dropping it kills them.
pub(crate) struct Servers {
    program: PathBuf,
    folder: tempfile::TempDir,
    running: Vec<Option<Child>>,
    ports: Vec<Ports>,
}

#[derive(Clone, Copy)]
struct Ports {
    client: u16,
    cluster: u16,
    monitor: u16,
}

/// What a test changes in the configuration of its servers.
#[derive(Clone, Default)]
pub(crate) struct Choice {
    /// Instead of `sync_interval: always`.
    pub(crate) sync: Option<&'static str>,
    /// The block `authorization`.
    pub(crate) authorization: String,
}

impl Servers {
    /// One server; `None`, with a message, if there is no program.
    pub(crate) fn one() -> Option<Self> {
        Self::start(1, &Choice::default())
    }

    /// A cluster of three; `None`, with a message, if there is no program.
    pub(crate) fn three() -> Option<Self> {
        Self::start(3, &Choice::default())
    }

    pub(crate) fn start(count: usize, choice: &Choice) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ports: Vec<Ports> = free_ports(3 * count)
            .chunks(3)
            .map(|three| Ports { client: three[0], cluster: three[1], monitor: three[2] })
            .collect();
        let mut servers = Self { program, folder, running: (0..count).map(|_| None).collect(), ports };
        for index in 0..count {
            let config = servers.config(index, choice);
            std::fs::write(servers.config_path(index), config).expect("a configuration");
            servers.restart(index);
        }
        Some(servers)
    }

    /// Starts a server that was killed.
    pub(crate) fn restart(&mut self, index: usize) {
        assert!(self.running[index].is_none(), "it runs");
        let log = std::fs::File::create(self.folder.path().join(format!("{index}.log"))).expect("a log");
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.config_path(index)).stdout(Stdio::null()).stderr(log);
        self.running[index] = Some(command.spawn().expect("nats-server starts"));
        let port = self.ports[index].client;
        let until = Instant::now() + START;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "nats-server does not listen: {}", self.log(index));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends a server at once, without a chance to write anything.
    pub(crate) fn kill(&mut self, index: usize) {
        let mut child = self.running[index].take().expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }

    /// The settings of a fleet on these servers.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            servers: self.ports.iter().map(|ports| format!("nats://127.0.0.1:{}", ports.client)).collect(),
            replicas: self.ports.len(),
            ack_wait: Duration::from_secs(1),
            ..Settings::default()
        }
    }

    /// A fleet on these servers, set up. Waits until a cluster has elected its leaders.
    pub(crate) async fn fleet(&self, role: Role) -> Fleet {
        let settings = self.settings();
        self.set_up(&settings).await;
        Fleet::open(&settings, role).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Creates the streams; repeated while a cluster elects its leader.
    pub(crate) async fn set_up(&self, settings: &Settings) {
        let until = Instant::now() + START;
        while let Err(error) = Fleet::set_up(settings).await {
            assert!(Instant::now() < until, "no JetStream: {error}; {}", self.log(0));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The monitoring port of the first server.
    pub(crate) fn monitor(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0].monitor)
    }

    /// The address of the first server.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0].client)
    }

    fn config_path(&self, index: usize) -> PathBuf {
        self.folder.path().join(format!("{index}.conf"))
    }

    fn log(&self, index: usize) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{index}.log"))).unwrap_or_default()
    }

    fn config(&self, index: usize, choice: &Choice) -> String {
        let Ports { client, cluster, monitor } = self.ports[index];
        let store = self.folder.path().join(format!("store-{index}"));
        let sync = choice.sync.unwrap_or("always");
        let mut config = format!(
            "server_name: n{index}\nlisten: \"127.0.0.1:{client}\"\nhttp: \"127.0.0.1:{monitor}\"\n{}\n\
             jetstream {{ store_dir: \"{}\", max_mem: 256MB, max_file: 2GB, sync_interval: {sync} }}\n",
            choice.authorization,
            store.display(),
        );
        if self.ports.len() > 1 {
            let routes: Vec<_> = self.ports.iter().map(|ports| format!("nats://127.0.0.1:{}", ports.cluster)).collect();
            writeln!(config, "cluster {{ name: c, listen: \"127.0.0.1:{cluster}\", routes: [{}] }}", routes.join(", "))
                .expect("a String");
        }
        config
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The program, or `None` with a message.
fn program() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let named = std::env::var_os("SAKUGA_NATS_SERVER").map(PathBuf::from);
        let program = named.clone().unwrap_or_else(|| Path::new("nats-server").to_owned());
        let output = Command::new(&program).arg("--version").output().ok().filter(|output| output.status.success());
        let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        assert!(named.is_none() || version.is_some(), "SAKUGA_NATS_SERVER names no program that starts");
        version.filter(|version| is_recent(version)).map(|_| program)
    });
    if found.is_none() {
        println!("skipped: there is no nats-server 2.11 or newer; `cargo xtask test fleet` installs it");
    }
    found.clone()
}

/// Whether the line `nats-server: v2.15.1` names 2.11 or newer.
fn is_recent(version: &str) -> bool {
    let mut numbers = version.rsplit('v').next().unwrap_or_default().split('.').map(|part| part.trim().parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (2, 11),
        _ => false,
    }
}

/// Ports that are free now. The system does not give one out again soon.
fn free_ports(count: usize) -> Vec<u16> {
    let bind = || TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let bound: Vec<TcpListener> = (0..count).map(|_| bind()).collect();
    bound.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}

#[test]
fn versions_are_compared_by_number() {
    assert!(is_recent("nats-server: v2.15.1\n") && is_recent("nats-server: v2.11.0"));
    assert!(!is_recent("nats-server: v2.9.10") && !is_recent("nats-server") && !is_recent(""));
}
