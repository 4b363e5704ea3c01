//! The program from outside: its first line, its exit codes, its end by signal.

use std::process::Stdio;

use process::ServerProcess;

#[path = "shared/process.rs"]
mod process;

#[test]
#[cfg(unix)]
fn it_says_where_it_listens_and_ends_well_by_signal() {
    let arguments = ["--engine", "scripted", "--listen", "127.0.0.1:0", "--log-format", "json"];
    let server = ServerProcess::spawn(process::command(&arguments).stderr(Stdio::piped()));
    let address: std::net::SocketAddr =
        server.url.strip_prefix("http://").expect("no TLS").parse().expect("an address");
    assert!(address.ip().is_loopback() && address.port() != 0);
    std::net::TcpStream::connect(address).expect("it listens");

    let (code, log) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(log.lines().count() > 2, "{log}");
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "JSON lines: {log}");
}

#[test]
fn a_wrong_configuration_exits_64_with_every_problem() {
    let (code, _, printed) = process::run(&["--listen", "0.0.0.0:1", "--queue-size", "0", "--device", "tpu"]);
    assert_eq!(code, Some(64));
    for part in ["--insecure-listen", "--queue-size", "--device"] {
        assert!(printed.contains(part), "{part} is not in {printed}");
    }
    assert_eq!(process::run(&["--no-such-flag"]).0, Some(64));
}

#[test]
fn the_help_is_the_manual() {
    let (code, printed, _) = process::run(&["--help"]);
    assert_eq!(code, Some(0));
    for setting in sakuga_server::config::settings() {
        assert!(printed.contains(&format!("--{}", setting.name)), "{}", setting.name);
    }
    assert!(printed.contains("SAKUGA_LISTEN"));
}

#[test]
fn a_port_that_is_taken_is_a_clear_failure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, printed) = process::run(&["--engine", "scripted", "--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("the port is taken") && printed.contains(&address) && printed.contains("--listen"),
        "{printed}"
    );
}

#[test]
fn a_second_server_on_a_port_says_that_the_port_is_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().to_str().expect("a plain path");
    let scripted = ["--engine", "scripted", "--data-dir", data, "--listen"];
    let first = ServerProcess::spawn(&mut process::command(&[&scripted[..], &["127.0.0.1:0"]].concat()));
    let address = first.url.strip_prefix("http://").expect("no TLS");
    let (code, _, error) = process::run(&[&scripted[..], &[address]].concat());
    assert_eq!(code, Some(1));
    assert!(error.contains("the port is taken"), "{error}");
}
