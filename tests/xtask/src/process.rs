//! Processes with a time limit: ended on Ctrl-C and at the limit, with SIGTERM before SIGKILL.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::interrupt;

/// The beginning of the message about a process that ran past its limit.
pub(crate) const AT_LIMIT: &str = "no end after ";

/// How often a wait looks at the process and at the interrupt flag.
const POLL: Duration = Duration::from_millis(50);

/// How long a process may take between SIGTERM and SIGKILL. A server drains its running job in this time.
const GRACE: Duration = Duration::from_secs(20);

/// Waits until the process has ended.
///
/// # Errors
///
/// An interrupt came, or the limit passed; the process has been ended.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<ExitStatus> {
    let ended = end_of(child, limit);
    if !matches!(ended, Ok(Some(_))) {
        stop(child);
    }
    ended?.with_context(|| format!("{AT_LIMIT}{} s", limit.as_secs()))
}

/// How the process ended by itself; `None` at the limit.
///
/// # Errors
///
/// An interrupt came, or the process cannot be waited for.
fn end_of(child: &mut Child, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a process")? {
            return Ok(Some(status));
        }
        if interrupt::raised() {
            bail!("interrupted");
        }
        if start.elapsed() > limit {
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Ends a process that leads its group, and what is left of the group.
fn stop_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    // The child has not been waited for, so the group's id is still its own.
    let _ = signal(Signal::TERM);
    let start = Instant::now();
    while start.elapsed() < GRACE && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(POLL);
    }
    let _ = signal(Signal::KILL);
    let _ = child.wait();
}

/// Ends a process: SIGTERM by its id, a while to comply, then SIGKILL. Returns how it ended, if that is known.
pub(crate) fn stop(child: &mut Child) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    // The child has not been waited for, so its id cannot belong to another process yet.
    if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(id, Signal::TERM);
    }
    let start = Instant::now();
    while start.elapsed() < GRACE {
        match child.try_wait() {
            Ok(None) => thread::sleep(POLL),
            Ok(Some(status)) => return Some(status),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    child.wait().ok()
}

/// Runs a command on the inherited terminal.
///
/// # Errors
///
/// It cannot be started, was interrupted, ran past the limit, or ended with a failure.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    let mut child = command.spawn().with_context(|| format!("cannot start {}", display(command)))?;
    let status = wait(&mut child, limit).with_context(|| display(command))?;
    if !status.success() {
        bail!("{}: {status}", display(command));
    }
    Ok(())
}

/// Runs a command whose standard output and error are both passed on and returned. The bool says whether it succeeded. At the
/// limit its whole process group ends, and [`AT_LIMIT`] follows what it had printed.
///
/// # Errors
///
/// It cannot be started, or was interrupted.
pub(crate) fn run_tee(command: &mut Command, limit: Duration) -> anyhow::Result<(bool, String)> {
    let read = run_read(command, limit, |line| println!("{line}"), |line| eprintln!("{line}"));
    let _ = std::io::stdout().flush();
    read
}

/// [`run_tee`] without showing the output.
///
/// # Errors
///
/// As [`run_tee`].
pub(crate) fn run_captured(command: &mut Command, limit: Duration) -> anyhow::Result<(bool, String)> {
    run_read(command, limit, |_| {}, |_| {})
}

/// Runs a command, hands each line of its output to `out` and of its errors to `err`, and returns both.
fn run_read(
    command: &mut Command,
    limit: Duration,
    out: impl Fn(&str) + Send + 'static,
    err: impl Fn(&str) + Send + Clone + 'static,
) -> anyhow::Result<(bool, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What it started itself holds the pipes: it must end with it.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", display(command)))?;
    let show_limit = err.clone();
    let out = child.stdout.take().map(|pipe| thread::spawn(move || copy_lines(pipe, out)));
    let err = child.stderr.take().map(|pipe| thread::spawn(move || copy_lines(pipe, err)));
    let ended = end_of(&mut child, limit);
    if !matches!(ended, Ok(Some(_))) {
        stop_group(&mut child);
    }
    let status = ended.with_context(|| display(command))?;
    let mut text = String::new();
    for reader in [out, err].into_iter().flatten() {
        text.push_str(&reader.join().unwrap_or_default());
    }
    if status.is_none() {
        let line = format!("{AT_LIMIT}{} s: {}", limit.as_secs(), display(command));
        show_limit(&line);
        text.push_str(&line);
        text.push('\n');
    }
    Ok((status.is_some_and(|status| status.success()), text))
}

/// Hands each line to `show` as it comes, and returns them all.
fn copy_lines(pipe: impl Read, show: impl Fn(&str)) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        let shown = String::from_utf8_lossy(&line);
        let shown = shown.trim_end_matches(['\n', '\r']);
        show(shown);
        text.push_str(shown);
        text.push('\n');
        line.clear();
    }
    text
}

/// The command as a person would type it.
pub(crate) fn display(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    // Cargo is started by its full path; its name says as much.
    let name = program.rsplit(['/', '\\']).next().unwrap_or(&program).to_owned();
    command.get_args().fold(name, |text, argument| format!("{text} {}", argument.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_and_the_verdict_come_back() {
        let (success, text) = run_tee(&mut shell("echo one; echo two >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert!(!success);
        assert!(text.contains("one\n") && text.contains("two\n"), "{text:?}");
    }

    #[test]
    fn a_process_that_does_not_end_is_ended_at_the_limit() {
        let start = Instant::now();
        let error = run(&mut shell("exec sleep 30"), Duration::from_millis(200)).unwrap_err();
        assert!(format!("{error:#}").contains("no end after"), "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(25));
    }

    #[test]
    fn at_the_limit_the_output_is_kept_and_the_whole_group_ends() {
        let start = Instant::now();
        let (success, text) = run_captured(&mut shell("echo one; sleep 60 & wait"), Duration::from_secs(2)).unwrap();
        assert!(!success);
        let [first, last] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(first == "one" && last.starts_with("no end after 2 s: sh -c"), "{text}");
        // The output ends when the last process that holds it does.
        assert!(start.elapsed() < Duration::from_secs(50), "what the shell started ended by itself");
    }

    #[test]
    fn a_stopped_process_got_the_chance_to_comply() {
        let mut child = shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.02; done")
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let mut ready = [0; 6];
        child.stdout.as_mut().expect("piped").read_exact(&mut ready).expect("the shell says ready");
        assert_eq!(stop(&mut child).and_then(|status| status.code()), Some(7));
    }

    #[test]
    fn failures_name_the_command() {
        let error = run(&mut shell("exit 4"), Duration::from_secs(10)).unwrap_err();
        assert!(format!("{error:#}").starts_with("sh -c exit 4: "), "{error:#}");
        let error = run(&mut Command::new("/nowhere/at-all"), Duration::from_secs(1)).unwrap_err();
        assert!(format!("{error:#}").contains("cannot start at-all"), "{error:#}");
    }
}
