//! A server of our own, on a free port of the loopback interface, that does not outlive it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::{interrupt, process};

/// What the server prints on standard output once it accepts connections.
const READY: &str = "listening on ";

/// What it prints next if it serves the studio.
const STUDIO: &str = "studio at ";

/// The second line follows the first at once.
const STUDIO_LIMIT: Duration = Duration::from_secs(10);

/// A server without a model listens at once; the machine may be loaded.
pub(crate) const SCRIPTED_START_LIMIT: Duration = Duration::from_secs(60);

/// Loading the embedded model takes seconds.
const START_LIMIT: Duration = Duration::from_secs(180);

/// How many of the log's last lines an error shows.
const TAIL_LINES: usize = 20;

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
    studio: Receiver<String>,
}

impl Server {
    /// Starts the program with these models and waits until it listens. It unpacks the embedded ones into `cache`; what it
    /// prints goes to `log`.
    ///
    /// # Errors
    ///
    /// It does not start, ends at once, or does not listen in time.
    pub(crate) fn start(
        program: &Path,
        models: &[&str],
        device: &str,
        cache: &Path,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--device", device]);
        command.args(models.iter().flat_map(|model| ["--model", model]));
        command.arg("--cache-dir").arg(cache);
        Self::spawn(&mut command, log, START_LIMIT)
    }

    /// Starts a server with this command, and waits until it listens.
    ///
    /// # Errors
    ///
    /// It does not start, ends at once, or does not listen within the limit.
    pub(crate) fn spawn(command: &mut Command, log: &Path, limit: Duration) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let shared = file.try_clone().context("cannot share the log")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(shared)
            .spawn()
            .with_context(|| format!("cannot start {}", process::display(command)))?;
        let stdout = child.stdout.take();
        // One line is ever sent through each.
        let (sender, receiver) = sync_channel(1);
        let (studio_sender, studio) = sync_channel(1);
        let mut server = Self { child, url: String::new(), studio };
        if let Some(stdout) = stdout {
            thread::spawn(move || copy(BufReader::new(stdout), file, &[(READY, sender), (STUDIO, studio_sender)]));
        }
        let start = Instant::now();
        loop {
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(url) => {
                    server.url = url;
                    return Ok(server);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = process::stop(&mut server.child).map(|status| status.to_string());
                    let status = status.unwrap_or_else(|| "no exit status".into());
                    bail!("the server ended before it listened ({status}){}", tail_of(log));
                }
                Err(RecvTimeoutError::Timeout) if interrupt::raised() => bail!("interrupted"),
                Err(RecvTimeoutError::Timeout) if start.elapsed() > limit => {
                    bail!("the server does not listen after {} s{}", limit.as_secs(), tail_of(log));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Where it listens, as a URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where it serves the studio; `None` if it does not.
    pub(crate) fn studio(&self) -> Option<String> {
        self.studio.recv_timeout(STUDIO_LIMIT).ok()
    }

    /// Waits until it has ended or an interrupt has come, and stops it.
    ///
    /// # Errors
    ///
    /// Its exit code is not 0.
    pub(crate) fn stay(mut self) -> anyhow::Result<()> {
        while !interrupt::raised() {
            match self.child.try_wait().context("cannot wait for the server")? {
                None => {}
                // Ctrl-C in a terminal ends it too.
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server ended by itself: {status}"),
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.stop()
    }

    /// Stops it and waits for its end.
    ///
    /// # Errors
    ///
    /// Its exit code is not 0.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        match process::stop(&mut self.child) {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the server did not end cleanly: {status}"),
            None => bail!("the server's end could not be seen"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::stop(&mut self.child);
    }
}

/// Copies the server's lines to the log, and sends the address of the first that begins with each of these words.
fn copy(lines: impl BufRead, mut log: File, addresses: &[(&str, SyncSender<String>)]) {
    for line in lines.lines().map_while(Result::ok) {
        for (words, sender) in addresses {
            if let Some(url) = line.strip_prefix(words) {
                // The waiting thread may have stopped at its limit.
                let _ = sender.try_send(url.trim().to_owned());
            }
        }
        let _ = writeln!(log, "{line}");
    }
}

/// The log's last lines, for the end of an error message.
pub(crate) fn tail_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return String::from("; the server said nothing");
    }
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n  ");
    format!("; the server's last words in {}:\n  {tail}\n", log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str, limit: Duration) -> (tempfile::TempDir, anyhow::Result<Server>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("sh");
        let server = Server::spawn(command.args(["-c", script]), &folder.path().join("server.log"), limit);
        (folder, server)
    }

    #[test]
    fn the_address_is_read_and_the_server_is_stopped() {
        let script = "trap 'exit 0' TERM; echo hello; echo listening on http://127.0.0.1:4242; echo studio at http://x/; while :; do sleep 0.02; done";
        let (folder, server) = start(script, Duration::from_secs(20));
        let server = server.unwrap();
        assert_eq!(server.url(), "http://127.0.0.1:4242");
        assert_eq!(server.studio().as_deref(), Some("http://x/"));
        server.stop().unwrap();
        assert!(fs::read_to_string(folder.path().join("server.log")).unwrap().starts_with("hello\n"));
    }

    #[test]
    fn a_server_that_ends_early_is_quoted() {
        let (_folder, server) = start("echo the port is taken >&2; exit 2", Duration::from_secs(20));
        let error = server.unwrap_err().to_string();
        assert!(error.contains("exit status: 2") && error.contains("the port is taken"), "{error}");
    }

    #[test]
    fn a_server_that_never_listens_is_an_error() {
        let start_time = Instant::now();
        let (_folder, server) = start("exec sleep 30", Duration::from_millis(300));
        let error = server.unwrap_err().to_string();
        assert!(error.contains("does not listen") && error.contains("said nothing"), "{error}");
        assert!(start_time.elapsed() < Duration::from_secs(10));
    }
}
