//! Help, schema, completions, and servers that are not there.

use std::process::Stdio;

use crate::GOOD;
use crate::support::{command, run};

#[test]
fn help_is_the_manual() {
    let directory = tempfile::tempdir().unwrap();
    let help = run(directory.path(), &["--help"], b"");
    for command in ["validate", "fmt", "generate", "show", "info", "schema", "completions"] {
        help.expect(0).says(command);
    }
    help.says("Exit codes:");
    for command in ["validate", "fmt", "generate", "show", "info", "schema"] {
        run(directory.path(), &[command, "--help"], b"").expect(0).says("Exit codes:");
    }
    run(directory.path(), &["generate", "--help"], b"")
        .says("SAKUGA_SERVER")
        .says("--from")
        .says("http://127.0.0.1:50051");
    run(directory.path(), &[], b"").expect(2).says("Usage");
}

#[test]
fn the_language_and_the_api_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(directory.path(), &["schema"], b"").expect(0).stdout, sakuga_schema::XSD);
    assert_eq!(run(directory.path(), &["schema", "--xsd"], b"").expect(0).stdout, sakuga_schema::XSD);
    run(directory.path(), &["schema", "--reference"], b"").expect(0).says("# Prompt grammar").says("missing-required");
    let output = command(directory.path()).args(["schema", "--descriptor"]).output().unwrap();
    assert_eq!(output.stdout, sakuga_client::proto::FILE_DESCRIPTOR_SET);
    run(directory.path(), &["schema", "--xsd", "--descriptor"], b"").expect(2);
}

#[test]
fn completions_are_printed() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        run(directory.path(), &["completions", shell], b"").expect(0).says("sakuga");
    }
}

#[test]
fn a_reader_that_hangs_up_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = command(directory.path())
        .args(["schema", "--descriptor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_missing_server_is_reported_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.xml"), GOOD).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("127.0.0.1:{port}");
    for arguments in
        [vec!["info", "--server", &server], vec!["generate", "a.xml", "--out", "a.png", "--server", &server]]
    {
        run(directory.path(), &arguments, b"")
            .expect(4)
            .says(&format!("nothing listens at http://127.0.0.1:{port}"))
            .says("sakuga-server");
    }
    assert!(!directory.path().join("a.png").exists());
    let missing = ["info", "--server", &server, "--token-file", "no-such-file"];
    run(directory.path(), &missing, b"").expect(2).says("no-such-file");
    run(directory.path(), &["info", "--server", &server, "--cert", "a.pem"], b"").expect(2).says("--key");
    std::fs::write(directory.path().join("token"), "a secret").unwrap();
    let bad = run(directory.path(), &["info", "--server", &server, "--token-file", "token"], b"");
    bad.expect(2).says("one word");
    assert!(!bad.stderr.contains("a secret"), "{bad:#?}");
}
