//! Why a command did not do what it was asked, told so that the next try can succeed.

use std::fmt::Display;
use std::path::Path;

use sakuga_client::{ClientError, ServerError};
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::say;
use super::render::plain;
use super::terminal::Terminal;
use super::units;

/// A message, what belongs to it, and the code to exit with.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    /// Facts below the message, one a line.
    facts: Vec<String>,
    help: Option<String>,
    server_error: Option<Box<ServerError>>,
}

impl Failure {
    /// A failure with a message that starts in lower case and has no full stop.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string(), facts: Vec::new(), help: None, server_error: None }
    }

    /// An input that cannot be used.
    pub fn unreadable(path: &Path, error: impl Display) -> Self {
        Self::new(Exit::Unreadable, format_args!("cannot read {}: {error}", path.display()))
    }

    /// An output that cannot be written.
    pub fn unwritable(path: &Path, error: impl Display) -> Self {
        Self::new(Exit::Unwritable, format_args!("cannot write {}: {error}", path.display()))
    }

    /// Adds what to do.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The code to exit with.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What went wrong, on one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the user.
    pub fn print(&self, terminal: &Terminal) {
        let bold = terminal.error_style().bold();
        say(format_args!("{}: {}", bold.clone().red().apply_to("error"), plain(&self.message)));
        for fact in &self.facts {
            say(format_args!("  {}", plain(fact)));
        }
        if let Some(help) = &self.help {
            say(format_args!("{}: {}", bold.cyan().apply_to("help"), plain(help)));
        }
    }

    /// The failure as `--json` prints it.
    pub fn to_json(&self) -> Value {
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
        // A single violation is often the whole message already.
        let is_told = |text: &str| error.violations.len() == 1 && error.message.contains(text);
        for violation in error.violations.iter().filter(|violation| !is_told(&violation.description)) {
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
            self.facts.push(format!("request: {id}, as the server's log names it"));
        }
        for (description, url) in &error.help {
            self.facts.push(format!("{description}: {url}"));
        }
        if error.code == tonic::Code::Unimplemented {
            self.help = Some("the server at this address is another one than Sakuga, or an older version".to_owned());
        }
        if error.code == tonic::Code::Unauthenticated {
            self.help = Some(
                "give the token that the server's operator made for you with --token-file or SAKUGA_TOKEN".to_owned(),
            );
        }
        if let Some(after) = error.retry_after {
            self.help = Some(format!("try again in {}", units::duration(after)));
        }
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
                 name another with --server or SAKUGA_SERVER",
            ),
            ClientError::Unreachable { .. } => Self::new(Exit::Connection, message)
                .with_help("check the address, that the server's port can be reached from this machine, and that both sides speak TLS \
                 (`https://`, with --ca for a private CA) or neither"),
            ClientError::ConnectionLost { .. } => Self::new(Exit::Connection, message)
                .with_help("the server went down, or the program at this address is no Sakuga server"),
            ClientError::DeadlineExceeded { .. } => {
                Self::new(Exit::Cancelled, message).with_help("allow more with --timeout")
            }
            ClientError::Refused(error) | ClientError::Failed(error) => {
                Self::new(Exit::Server, message).with_server_error(error)
            }
            ClientError::Damaged { .. } => Self::new(Exit::Server, message)
                .with_help("nothing was written; the same command with the same --seed makes the picture again"),
            _ => Self::new(Exit::Server, message),
        }
    }
}
