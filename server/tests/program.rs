//! The program from outside: its first line, its exit codes, its end by signal.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sakuga-server"));
    command.args(arguments).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Ends the program if the test ends before it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already if all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg(unix)]
fn it_says_where_it_listens_and_ends_well_by_signal() {
    let arguments = ["--engine", "scripted", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let mut running = Running(program(&arguments).spawn().expect("the program starts"));
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on http://").expect("the promised line");
    let address: std::net::SocketAddr = address.parse().expect("an address");
    assert!(address.ip().is_loopback() && address.port() != 0);
    std::net::TcpStream::connect(address).expect("it listens");

    let killed = Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let until = Instant::now() + Duration::from_secs(20);
    let status = loop {
        if let Some(status) = running.0.try_wait().expect("the program can be waited for") {
            break status;
        }
        assert!(Instant::now() < until, "SIGTERM ends the program");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    running.0.stderr.take().expect("piped").read_to_string(&mut log).expect("UTF-8");
    assert!(log.lines().count() > 2, "{log}");
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "JSON lines: {log}");
}

#[test]
fn a_wrong_configuration_exits_64_with_every_problem() {
    let output = program(&["--listen", "0.0.0.0:1", "--queue-size", "0", "--device", "tpu"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(64));
    let printed = String::from_utf8_lossy(&output.stderr);
    for part in ["--insecure-listen", "--queue-size", "--device"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert_eq!(program(&["--no-such-flag"]).output().expect("it runs").status.code(), Some(64));
}

#[test]
fn the_help_is_the_manual() {
    let output = program(&["--help"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout);
    for setting in sakuga_server::config::settings() {
        assert!(printed.contains(&format!("--{}", setting.name)), "{}", setting.name);
    }
    assert!(printed.contains("SAKUGA_LISTEN"));
}

#[test]
fn a_port_that_is_taken_is_a_clear_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = program(&["--engine", "scripted", "--listen", &address]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        printed.contains("the port is taken") && printed.contains(&address) && printed.contains("--listen"),
        "{printed}"
    );
}

#[test]
fn a_second_server_on_a_port_says_that_the_port_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("a plain path");
    let mut first = Running(
        program(&["--engine", "scripted", "--listen", "127.0.0.1:0", "--data-dir", data]).spawn().expect("it starts"),
    );
    let mut line = String::new();
    BufReader::new(first.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.trim_end().strip_prefix("listening on http://").expect("the promised line");
    let second = program(&["--engine", "scripted", "--listen", address, "--data-dir", data]).output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("the port is taken"), "{error}");
}
