//! The server as a process that can be killed.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use tonic::transport::{Channel, Endpoint};

/// Runs `sakuga-server store` over a folder; its exit status, and what it prints.
pub(crate) fn store(command: &str, folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sakuga-server"))
        .args(["store", command, "--data-dir"])
        .arg(folder)
        .args(arguments)
        .env_clear()
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ends by itself"), text(&output.stdout) + &text(&output.stderr))
}

/// A client of a server.
pub(crate) type Jobs = JobServiceClient<Channel>;

/// A client of a server, for its assets.
pub(crate) type Assets = AssetServiceClient<Channel>;

/// A running server. It dies with this.
pub(crate) struct Program {
    child: Child,
    pub url: String,
}

impl Program {
    /// Starts a server over a folder.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, [])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(
        folder: &Path,
        arguments: &[&str],
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sakuga-server"))
            .args(["--engine", "scripted", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
            .arg(folder)
            .args(arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("listening on ").expect("an address").to_owned();
        Self { child, url }
    }

    /// Starts a server whose folder may be damaged. Its log goes to `log`; `None` if it ends instead of listening.
    pub(crate) fn try_start(folder: &Path, arguments: &[&str], log: &Path) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sakuga-server"))
            .args(["--engine", "scripted", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir"])
            .arg(folder)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(log).expect("a file"))
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line, or the end");
        match line.trim().strip_prefix("listening on ") {
            Some(url) => Some(Self { url: url.to_owned(), child }),
            None => {
                assert_eq!(child.wait().expect("it ended").code(), Some(1), "it says why and ends");
                None
            }
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait().expect("it ended").code()
    }

    /// A client of it.
    pub(crate) async fn jobs(&self) -> Jobs {
        let channel = Endpoint::from_shared(self.url.clone()).expect("a URL").connect().await.expect("it listens");
        JobServiceClient::new(channel)
    }

    /// A client of it, for its assets.
    pub(crate) async fn assets(&self) -> Assets {
        let channel = Endpoint::from_shared(self.url.clone()).expect("a URL").connect().await.expect("it listens");
        AssetServiceClient::new(channel)
    }

    /// Memory that it holds, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// What it holds, and what of its pictures lies in its folder.
    #[cfg(target_os = "linux")]
    pub(crate) fn size(&self, folder: &Path) -> Size {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count() as u64;
        let pictures = std::fs::read_dir(folder.join("pictures")).map_or(0, Iterator::count) as u64;
        let store_kib = std::fs::metadata(folder.join("jobs.redb")).expect("it is there").len() / 1024;
        Size { resident_kib: self.resident_kib(), files, pictures, store_kib }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ended");
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        self.child.wait().expect("it ended").code()
    }
}

/// What a server holds.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub resident_kib: u64,
    /// Open files and connections.
    pub files: u64,
    /// Jobs whose pictures are kept.
    pub pictures: u64,
    pub store_kib: u64,
}

#[cfg(target_os = "linux")]
impl std::fmt::Display for Size {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resident_kib, files, pictures, store_kib } = self;
        write!(formatter, "{resident_kib} KiB resident, {files} files, {pictures} pictures, store {store_kib} KiB")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
