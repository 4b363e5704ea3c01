//! Runs the built `sakuga` as a user would, without colours.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The result of a run of the program.
#[derive(Debug)]
pub(crate) struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    #[allow(dead_code, reason = "each test binary uses a part of this file")]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    #[allow(dead_code, reason = "each test binary uses a part of this file")]
    pub(crate) fn says(&self, part: &str) -> &Self {
        assert!(self.stdout.contains(part) || self.stderr.contains(part), "{part:?} is missing in {self:#?}");
        self
    }
}

/// The program with an empty environment but for what it needs.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sakuga"));
    command
        .current_dir(directory)
        .env("NO_COLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("SAKUGA_SERVER")
        .env_remove("SAKUGA_TOKEN")
        .env_remove("SAKUGA_TOKEN_FILE")
        .env_remove("SAKUGA_CA")
        .env_remove("CLICOLOR_FORCE");
    command
}

pub(crate) fn collect(output: Output) -> Run {
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program with `stdin`.
#[allow(dead_code, reason = "each test binary uses a part of this file")]
pub(crate) fn run(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Run {
    let mut child = command(directory)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that does not read its stdin closes it.
    let _ = child.stdin.take().expect("stdin is piped").write_all(stdin);
    collect(child.wait_with_output().expect("the program ends"))
}
