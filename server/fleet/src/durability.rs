//! Whether the servers of NATS write to their disks before they acknowledge, as their monitoring port says.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::FleetError;

/// How long a server has for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// What a server of NATS does before it acknowledges a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It writes the message to its disk.
    Synced,
    /// It writes it within this time. A loss of power on all replicas loses what was acknowledged since.
    Within(Duration),
}

impl Durability {
    /// What to tell the operator; `None` if there is nothing to tell.
    pub fn warning(self) -> Option<String> {
        match self {
            Self::Synced => None,
            Self::Within(time) => Some(format!(
                "this server of NATS acknowledges messages up to {} s before they are on its disk: a loss of power can lose jobs; \
                 set `jetstream {{ sync_interval: always }}`",
                time.as_secs()
            )),
        }
    }
}

#[derive(Deserialize)]
struct Status {
    jetstream: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// Asks the monitoring port (`host:8222`) of a server. Clients of NATS cannot read this setting.
///
/// # Errors
///
/// [`FleetError::Nats`] if the port does not answer as a server of NATS with JetStream does.
pub async fn durability(monitor: &str) -> Result<Durability, FleetError> {
    let failed =
        |reason: String| FleetError::Nats { action: "state its durability", reason: format!("{monitor}: {reason}") };
    let answer = tokio::time::timeout(PATIENCE, get(monitor)).await;
    let answer = answer.map_err(|_| failed("no answer".into()))?.map_err(|error| failed(error.to_string()))?;
    read(&answer).map_err(failed)
}

/// The smallest request of HTTP that there is: the server closes the connection after its answer.
async fn get(monitor: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(monitor).await?;
    stream.write_all(format!("GET /varz HTTP/1.0\r\nHost: {monitor}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn read(answer: &[u8]) -> Result<Durability, String> {
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map(|end| &answer[end + 4..]);
    let body = body.filter(|_| answer.starts_with(b"HTTP/1.") && answer[8..].starts_with(b" 200"));
    let body = body.ok_or("not the monitoring port of a server of NATS")?;
    let status: Status = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let config = status.jetstream.and_then(|jetstream| jetstream.config).ok_or("the server has no JetStream")?;
    Ok(match config.sync_always {
        true => Durability::Synced,
        false => Durability::Within(Duration::from_nanos(config.sync_interval)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_are_errors() {
        let answer = |body: &str| format!("HTTP/1.0 200 OK\r\nX: y\r\n\r\n{body}").into_bytes();
        let synced = r#"{"jetstream":{"config":{"sync_interval":120000000000,"sync_always":true}}}"#;
        assert_eq!(read(&answer(synced)), Ok(Durability::Synced));
        let lazy = read(&answer(r#"{"jetstream":{"config":{"sync_interval":120000000000}}}"#)).expect("an answer");
        assert_eq!(lazy, Durability::Within(Duration::from_secs(120)));
        assert!(
            lazy.warning()
                .is_some_and(|warning| warning.contains("120 s") && warning.contains("sync_interval: always"))
        );
        for other in
            [answer("{}"), answer("[]"), b"HTTP/1.0 404 Not Found\r\n\r\n{}".to_vec(), b"SSH-2.0".to_vec(), Vec::new()]
        {
            assert!(read(&other).is_err(), "{}", String::from_utf8_lossy(&other));
        }
    }
}
