//! Why a command failed: message, facts, what to do, and the exit code.

use std::fmt::Display;
use std::path::Path;

use sakuga_client::{ClientError, ServerError};
use serde_json::{Value, json};

use super::exit::Exit;
use super::units;

/// A message, facts that belong to it, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    facts: Vec<String>,
    help: Option<String>,
    server_error: Option<Box<ServerError>>,
}

impl Failure {
    /// A failure with a message that starts in lower case and has no full stop.
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string(), facts: Vec::new(), help: None, server_error: None }
    }

    /// An input that cannot be read.
    pub(crate) fn unreadable(path: &Path, error: impl Display) -> Self {
        Self::new(Exit::Unreadable, format_args!("cannot read {}: {error}", path.display()))
    }

    /// An output that cannot be written.
    pub(crate) fn unwritable(path: &Path, error: impl Display) -> Self {
        Self::new(Exit::Unwritable, format_args!("cannot write {}: {error}", path.display()))
    }

    /// A server that did not answer in time.
    pub(crate) fn no_answer(address: &str, after: std::time::Duration) -> Self {
        let text = format!("the server at {address} did not answer within {}", units::duration(after));
        Self::new(Exit::Connection, text)
            .with_help("the program at this address may not be a Sakuga server, or the server is overloaded")
    }

    /// A message of the server that cannot be written as JSON.
    pub(crate) fn not_json(error: impl Display) -> Self {
        Self::new(Exit::Server, format_args!("the answer of the server cannot be written as JSON: {error}"))
    }

    /// Adds what to do.
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong, as one line that may hold text of a server or a file.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Facts below the message, one a line.
    pub(crate) fn facts(&self) -> &[String] {
        &self.facts
    }

    /// The advice that is printed below the message.
    pub(crate) fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The failure as `--json` prints it.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = json!({
            "status": if self.exit == Exit::Cancelled { "cancelled" } else { "failed" },
            "message": self.message,
            "help": self.help,
        });
        if let Some(error) = &self.server_error {
            object["code"] = json!(error.code_name());
            object["reason"] = json!(error.reason);
            object["domain"] = json!(error.domain);
            object["metadata"] = json!(error.metadata);
            object["retry_after_ms"] = json!(error.retry_after.map(|after| after.as_secs_f64() * 1e3));
            object["violations"] = error
                .violations
                .iter()
                .map(|violation| {
                    json!({
                        "field": violation.field,
                        "description": violation.description,
                        "reason": violation.reason,
                    })
                })
                .collect();
        }
        object
    }

    fn with_server_error(mut self, error: Box<ServerError>) -> Self {
        // The description of a single violation is often in the message already.
        let is_in_message = |text: &str| error.violations.len() == 1 && error.message.contains(text);
        for violation in error.violations.iter().filter(|violation| !is_in_message(&violation.description)) {
            let rule = if violation.reason.is_empty() { String::new() } else { format!(" [{}]", violation.reason) };
            self.facts.push(format!("{}: {}{rule}", violation.field, violation.description));
        }
        if let Some((kind, name)) = &error.resource {
            self.facts.push(format!("{kind}: {name}"));
        }
        if let Some(reason) = &error.reason {
            let facts: String = error.metadata.iter().map(|(name, value)| format!(", {name} = {value}")).collect();
            self.facts.push(format!("reason: {reason}{facts}"));
        }
        if let Some(id) = &error.request_id {
            self.facts.push(format!("request: {id}, as in the server's log"));
        }
        for (description, url) in &error.help {
            self.facts.push(format!("{description}: {url}"));
        }
        let needs_resize = error.violations.iter().any(|violation| violation.field == "scene.resize");
        self.help = match (error.retry_after, error.code) {
            (None, _) if error.reason.as_deref() == Some("MODEL_NOT_FOUND") => Some(
                "name a model of this server, as `sakuga models` lists them, not a file or a repository of a hub".to_owned(),
            ),
            (None, _) if needs_resize => Some(
                "write --resize crop, pad or stretch where no --init is given; in the file of a scene, set `resize` or `size` in \
                 [scene]"
                    .to_owned(),
            ),
            (Some(after), _) => Some(format!("try again in {}", units::duration(after))),
            (None, tonic::Code::Unauthenticated) => Some(
                "pass the token that the operator of the server issued, with --token-file or SAKUGA_TOKEN".to_owned(),
            ),
            (None, tonic::Code::Unimplemented) => {
                Some("the program at this address is not Sakuga, or an older version of it".to_owned())
            }
            _ => self.help,
        };
        self.server_error = Some(error);
        self
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Address { .. } => Self::new(Exit::Unreadable, message),
            ClientError::NothingListens { .. } => Self::new(Exit::Connection, message).with_help(
                "start a server with `sakuga-server` (in the repository: `cargo run --release -p sakuga-server`), or \
                 name another one with --server or SAKUGA_SERVER",
            ),
            ClientError::Unreachable { .. } => Self::new(Exit::Connection, message).with_help(
                "check the address, that this machine can reach the port, and that both sides use TLS (`https://`, with \
                 --ca for a private CA) or neither does",
            ),
            ClientError::ConnectionLost { .. } => Self::new(Exit::Connection, message)
                .with_help("the server went down, or the program at this address is not a Sakuga server"),
            ClientError::DeadlineExceeded { .. } => {
                Self::new(Exit::Cancelled, message).with_help("allow more time with --timeout")
            }
            ClientError::Refused(error) | ClientError::Failed(error) => {
                Self::new(Exit::Server, message).with_server_error(error)
            }
            ClientError::Damaged { .. } => Self::new(Exit::Server, message)
                .with_help("nothing was written; the same command with the same --seed draws the picture again"),
            _ => Self::new(Exit::Server, message),
        }
    }
}
