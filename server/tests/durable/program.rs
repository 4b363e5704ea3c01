//! The server as a process over a data folder, and its commands for the folder.

use std::path::Path;
use std::process::{Command, Stdio};

use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use tonic::transport::Channel;

use crate::process::{self, ServerProcess};

/// Runs `sakuga-server store` over a folder; its exit status, and what it prints.
pub(crate) fn store(command: &str, folder: &Path, arguments: &[&str]) -> (i32, String) {
    let folder = folder.to_str().expect("a plain path");
    let (code, printed, errors) = process::run(&[&["store", command, "--data-dir", folder], arguments].concat());
    (code.expect("it ends by itself"), printed + &errors)
}

/// A client of a server.
pub(crate) type Jobs = JobServiceClient<Channel>;

/// A client of a server, for its assets.
pub(crate) type Assets = AssetServiceClient<Channel>;

/// A server with the scripted engine over a folder. It is killed when this is dropped.
pub(crate) struct Program(ServerProcess);

/// The program with the scripted engine over a folder.
fn over(folder: &Path, arguments: &[&str]) -> Command {
    let folder = folder.to_str().expect("a plain path");
    let scripted = ["--engine", "scripted", "--listen", "127.0.0.1:0", "--log", "error", "--data-dir", folder];
    process::command(&[&scripted, arguments].concat())
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
        Self(ServerProcess::spawn(over(folder, arguments).envs(variables)))
    }

    /// Starts a server whose folder may be damaged. Its log goes to `log`; `None` if it ends instead of listening.
    pub(crate) fn try_start(folder: &Path, arguments: &[&str], log: &Path) -> Option<Self> {
        let log = std::fs::File::create(log).expect("a file");
        match ServerProcess::try_spawn(over(folder, arguments).stderr(Stdio::from(log))) {
            Ok(server) => Some(Self(server)),
            Err(status) => {
                assert_eq!(status.code(), Some(1), "it says why and ends");
                None
            }
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(self) -> Option<i32> {
        self.0.ended().0
    }

    /// A client of it.
    pub(crate) async fn jobs(&self) -> Jobs {
        JobServiceClient::new(self.0.channel().await)
    }

    /// A client of it, for its assets.
    pub(crate) async fn assets(&self) -> Assets {
        AssetServiceClient::new(self.0.channel().await)
    }

    /// Where it listens.
    #[cfg(target_os = "linux")]
    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// Memory that it holds, in KiB.
    #[cfg(target_os = "linux")]
    pub(crate) fn resident_kib(&self) -> u64 {
        self.0.status_kib("VmRSS")
    }

    /// What it holds, and what of its pictures lies in its folder.
    #[cfg(target_os = "linux")]
    pub(crate) fn size(&self, folder: &Path) -> Size {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.0.id())).expect("it runs").count() as u64;
        let pictures = std::fs::read_dir(folder.join("pictures")).map_or(0, Iterator::count) as u64;
        let store_kib = std::fs::metadata(folder.join("jobs.redb")).expect("it is there").len() / 1024;
        Size { resident_kib: self.resident_kib(), files, pictures, store_kib }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(self) {
        self.0.kill();
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn terminate(self) -> Option<i32> {
        self.0.terminate().0
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
