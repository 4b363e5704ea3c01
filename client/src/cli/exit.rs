//! Exit codes, which scripts rely on.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success.
    Ok = 0,
    /// The prompt is not valid, or `fmt --check` found something to change.
    Invalid = 1,
    /// The command line is wrong, or an input cannot be read.
    Unreadable = 2,
    /// The server refused the request or failed, or its answer is wrong.
    Server = 3,
    /// No connection, or it was lost.
    Connection = 4,
    /// The job was cancelled: Ctrl-C, a deadline, or the server.
    Cancelled = 5,
    /// A result cannot be written.
    Unwritable = 6,
}

/// The table of the manual.
pub(crate) const MANUAL: &str = "\
Exit codes:
  0  done; for `validate`: the prompt is valid
  1  the prompt is not valid; for `fmt --check`: it is not in canonical form
  2  the command line is wrong, or a file cannot be read
  3  the server refused the request or failed, or a picture arrived damaged
  4  no server can be reached, or the connection broke
  5  cancelled: by Ctrl-C, by a deadline, or by the server
  6  a result cannot be written";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_code() {
        for exit in [
            Exit::Ok,
            Exit::Invalid,
            Exit::Unreadable,
            Exit::Server,
            Exit::Connection,
            Exit::Cancelled,
            Exit::Unwritable,
        ] {
            assert!(MANUAL.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
