//! Where a story happens: the single server, or a fleet of two gateways and two workers.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sakuga_server::auth::token_file;
use tonic::transport::{Channel, Endpoint};

use crate::process::{self, ServerProcess};
use crate::servers::{Choice, Servers};

/// The tokens of a place that asks for them: name, scopes and secret.
const TOKENS: [(&str, &str, &str); 3] =
    [("alice", "generate", "secret-a"), ("bob", "generate", "secret-b"), ("ops", "admin", "secret-o")];

/// How clients are known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Every call may do everything.
    None,
    /// By the tokens `secret-a` of alice, `secret-b` of bob and `secret-o` of an admin.
    Tokens,
}

/// The single server or a fleet. Its processes are killed when this is dropped.
pub(crate) struct Place {
    /// Where clients call: two gateways, or twice the single server.
    urls: [String; 2],
    _single: Option<ServerProcess>,
    _fleet: Option<Fleet>,
    _folder: tempfile::TempDir,
}

impl Place {
    /// The single server.
    pub(crate) fn single(identity: Identity, step_ms: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tokens = tokens(folder.path(), identity);
        let mut arguments =
            vec!["--listen", "127.0.0.1:0", "--data-dir", "memory", "--log", "error", "--engine", "scripted"];
        let step = step_ms.to_string();
        arguments.extend(["--scripted-step-ms", &step]);
        arguments.extend(tokens.iter().map(String::as_str));
        let server = ServerProcess::spawn(&mut process::command(&arguments));
        let urls = [server.url.clone(), server.url.clone()];
        Some(Self { urls, _single: Some(server), _fleet: None, _folder: folder })
    }

    /// A fleet; `None`, with a message, without a server of NATS.
    pub(crate) fn fleet(identity: Identity, step_ms: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tokens = tokens(folder.path(), identity);
        let mut fleet = Fleet::start(step_ms)?;
        let gateways = [fleet.gateway(0, &tokens), fleet.gateway(0, &tokens)];
        let urls = gateways.each_ref().map(|gateway| gateway.url.clone());
        fleet.gateways.extend(gateways.map(Some));
        for _ in 0..2 {
            let worker = fleet.worker();
            fleet.workers.push(Some(worker));
        }
        Some(Self { urls, _single: None, _fleet: Some(fleet), _folder: folder })
    }

    /// A connection to the first or the second gateway.
    pub(crate) async fn channel(&self, gateway: usize) -> Channel {
        connect(&self.urls[gateway]).await
    }
}

/// A connection without TLS.
pub(crate) async fn connect(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).expect("a URL").connect().await.expect("it listens")
}

/// The flag that names the file of tokens.
fn tokens(folder: &Path, identity: Identity) -> Vec<String> {
    if identity == Identity::None {
        return Vec::new();
    }
    let path = folder.join("tokens");
    let line = |(name, scopes, secret): &(&str, &str, &str)| {
        format!("{name} {scopes} sha256:{}\n", token_file::hex(&token_file::hash(secret.as_bytes())))
    };
    std::fs::write(&path, TOKENS.iter().map(line).collect::<String>()).expect("a file");
    vec!["--tokens".into(), path.to_str().expect("a plain path").into()]
}

/// The processes of a fleet, and what they share.
pub(crate) struct Fleet {
    nats: Servers,
    pictures: tempfile::TempDir,
    step_ms: u64,
    /// Whether NATS has the users of the configuration that is shipped, with the password `secret`.
    has_users: bool,
    /// `None`: it was killed.
    pub(crate) gateways: Vec<Option<ServerProcess>>,
    pub(crate) workers: Vec<Option<Worker>>,
}

impl Fleet {
    /// A fleet without gateways and workers; `None`, with a message, without a server of NATS.
    pub(crate) fn start(step_ms: u64) -> Option<Self> {
        Servers::one().map(|nats| Self::on(nats, step_ms, false))
    }

    /// The same with the users and permissions of the configuration that is shipped. Its streams exist.
    pub(crate) fn start_with_users(step_ms: u64) -> Option<Self> {
        let shipped = include_str!("../../fleet/nats.conf");
        let (_, users) = shipped.split_once("\nauthorization ").expect("users");
        let users = ["GATEWAY", "WORKER", "SETUP"]
            .iter()
            .fold(users.to_owned(), |users, role| users.replace(&format!("$SAKUGA_{role}_PASSWORD"), "secret"));
        let choice = Choice { authorization: format!("authorization {users}"), ..Choice::default() };
        let fleet = Self::on(Servers::start(1, &choice)?, step_ms, true);
        let nats = format!("nats://setup:secret@{}", fleet.nats.address());
        let (code, printed, errors) = process::run(&["fleet-setup", "--nats", &nats, "--log", "error"]);
        assert_eq!((code, printed.as_str()), (Some(0), "the fleet `sakuga` is set up\n"), "{errors}");
        Some(fleet)
    }

    fn on(nats: Servers, step_ms: u64, has_users: bool) -> Self {
        let pictures = tempfile::tempdir().expect("a temporary folder");
        Self { nats, pictures, step_ms, has_users, gateways: Vec::new(), workers: Vec::new() }
    }

    /// A gateway on this port; 0: one that is free.
    pub(crate) fn gateway(&self, port: u16, arguments: &[String]) -> ServerProcess {
        let listen = format!("127.0.0.1:{port}");
        let mut command = self.command("gateway");
        command.args(["--listen", &listen, "--queue-size", "1000"]).args(arguments);
        ServerProcess::spawn(&mut command)
    }

    /// A worker with one device.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn worker_with(&self, arguments: &[&str]) -> Worker {
        let mut command = self.command("worker");
        command.args(["--engine", "scripted", "--scripted-step-ms", &self.step_ms.to_string()]);
        // Short, so that a test does not wait for long.
        command.args(["--worker-silence", "2", "--max-attempts", "1000"]);
        command.args(arguments);
        Worker::spawn(&mut command)
    }

    fn command(&self, role: &str) -> Command {
        let user = if self.has_users { format!("{role}:secret@") } else { String::new() };
        let nats = format!("nats://{user}{}", self.nats.address());
        let pictures = format!("file://{}", self.pictures.path().display());
        process::command(&[role, "--log", "error", "--nats", &nats, "--artifacts", &pictures])
    }
}

/// A running worker. It is killed when this is dropped.
pub(crate) struct Worker(Child);

impl Worker {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
        assert!(line.starts_with("drawing as "), "the worker says its name: `{line}`");
        Self(child)
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        for _ in 0..6000 {
            if let Some(status) = self.0.try_wait().expect("it can be waited for") {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the worker does not end");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
