//! The server as a process of its own: for tests of its output, its exit, and what a kill leaves. Every test program that
//! starts one includes this file.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};

/// Longer than a server takes to end after SIGTERM, on a busy machine too.
const END_LIMIT: Duration = Duration::from_secs(120);

/// The program with these arguments, an empty environment and no input.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sakuga-server"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// Runs the program with these arguments to its end: its exit code, standard output and standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A running server. It is killed when this is dropped.
pub(crate) struct ServerProcess {
    child: Child,
    /// The URL that it printed.
    pub url: String,
    /// Its whole standard error, complete after it has ended. `None` unless the command pipes it.
    log: Option<JoinHandle<String>>,
}

impl ServerProcess {
    /// Starts a server and waits until it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self::try_spawn(command).unwrap_or_else(|status| panic!("the server ended before it listened: {status}"))
    }

    /// Starts a server and waits until it listens, or until it ends: its exit status is the error then.
    pub(crate) fn try_spawn(command: &mut Command) -> Result<Self, ExitStatus> {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let log = child.stderr.take().map(|mut errors| {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                let _ = errors.read_to_end(&mut bytes);
                String::from_utf8_lossy(&bytes).into_owned()
            })
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("UTF-8");
        match line.trim_end().strip_prefix("listening on ") {
            Some(url) => Ok(Self { child, url: url.to_owned(), log }),
            None => {
                assert_eq!(line, "", "the first line is the address");
                Err(child.wait().expect("it ended"))
            }
        }
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// A new connection, without TLS.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url.clone()).expect("a URL").connect().await.expect("it listens")
    }

    /// Sends a signal, such as `-HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Ends it by SIGTERM; its exit code, and its log if it is piped.
    pub(crate) fn terminate(self) -> (Option<i32>, String) {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits until it has ended; its exit code, and its log if it is piped.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + END_LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(Instant::now() < until, "the server ends in time");
            std::thread::sleep(Duration::from_millis(10));
        };
        let log = self.log.take().map(|log| log.join().expect("a log"));
        (status.code(), log.unwrap_or_default())
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ended");
    }

    /// A number of KiB in its `/proc/PID/status`, such as that of `VmRSS`.
    #[cfg(target_os = "linux")]
    pub(crate) fn status_kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
