//! The program from outside: making tokens, checking its configuration, keeping secrets, reading again on SIGHUP; and the
//! files that come with it for those who run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sakuga_server::config::settings;

use crate::process::{self, ServerProcess};
use crate::support::{Authority, ask, eventually, exchange, line};

/// Starts a server whose log is kept.
fn start(arguments: &[&str]) -> ServerProcess {
    ServerProcess::spawn(process::command(arguments).stderr(Stdio::piped()))
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_token_and_its_line_can_be_redirected_apart() {
    let arguments = ["token", "new", "--scope", "generate", "--name", "alice", "--rate", "60/min"];
    let (code, secret, printed_line) = process::run(&arguments);
    assert_eq!(code, Some(0));
    let secret = secret.strip_suffix('\n').expect("one line");
    assert!(secret.starts_with("sakuga_") && !secret.contains(char::is_whitespace), "{secret}");
    assert_eq!(printed_line, line("alice", "generate", secret, "rate=60/min"));
    assert_eq!(process::run(&["token", "new"]).0, Some(64));
    assert_eq!(process::run(&["token", "--help"]).0, Some(0));
}

#[test]
fn a_certificate_that_has_expired_is_found_by_the_check() {
    let authority = Authority::new();
    let tls = authority.sign_expired_server();
    let flags = [
        "--check-config",
        "--engine=scripted",
        &format!("--tls-cert={}", text(&tls.cert)),
        &format!("--tls-key={}", text(&tls.key)),
    ];
    let (code, _, complained) = process::run(&flags);
    assert_eq!(code, Some(64), "{complained}");
    assert!(complained.contains("server.pem") && complained.contains("expired"), "{complained}");
}

#[test]
fn a_folder_that_cannot_be_written_is_found_by_the_check() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let folder = format!("--data-dir={}", text(&file.path().join("jobs")));
    let (code, _, complained) = process::run(&["--check-config", "--engine=scripted", &folder]);
    assert_eq!(code, Some(64), "{complained}");
    assert!(complained.contains("--data-dir"), "{complained}");
}

/// A start offers no adapters then, until the folder is there.
#[cfg(unix)]
#[test]
fn the_check_warns_of_what_a_start_warns_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let adapters = folder.path().join("gone");
    let flags = ["--engine=scripted", "--data-dir=memory", "--listen=127.0.0.1:0", "--adapters", text(&adapters)];
    let (code, printed, warned) = process::run(&[&["--check-config"], flags.as_slice()].concat());
    assert_eq!(code, Some(0), "{warned}");
    assert!(printed.contains("adapters = "), "{printed}");
    let server = ServerProcess::spawn(process::command(&flags).stderr(Stdio::piped()));
    let (code, logged) = server.terminate();
    assert_eq!(code, Some(0), "{logged}");
    for log in [warned, logged] {
        let is_warning = |line: &&str| line.contains("WARN") && line.contains("the folder of adapters cannot be read");
        let warnings: Vec<_> = log.lines().filter(is_warning).collect();
        assert!(matches!(warnings[..], [warning] if warning.contains(text(&adapters))), "{log}");
    }
}

#[cfg(all(unix, feature = "burn"))]
#[test]
fn a_signal_during_the_start_ends_the_process_at_once() {
    use std::io::{BufRead as _, BufReader, Read as _};

    let folder = tempfile::tempdir().expect("a temporary folder");
    let flags = [
        "--data-dir=memory",
        "--listen=127.0.0.1:0",
        "--device=cpu",
        // Pictures that take a minute on a CPU.
        "--warm-up=1024x1024,1024x1008,1008x1024",
        &format!("--cache-dir={}", text(folder.path())),
    ];
    let mut child = process::command(&flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.contains("model loaded") {
        line.clear();
        assert_ne!(log.read_line(&mut line).expect("UTF-8"), 0, "it ended before the model was loaded");
    }
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    let (mut rest, mut printed) = (String::new(), String::new());
    log.read_to_string(&mut rest).expect("UTF-8");
    child.stdout.take().expect("piped").read_to_string(&mut printed).expect("UTF-8");
    assert_eq!(child.wait().expect("it ended").code(), Some(0), "{rest}");
    assert!(printed.is_empty() && rest.contains("ended by a signal"), "{printed}{rest}");
}

#[cfg(unix)]
#[test]
fn connections_are_bounded_by_the_open_files() {
    let program = env!("CARGO_BIN_EXE_sakuga-server");
    let script = format!("ulimit -n 300; exec {program} --engine=scripted --listen=127.0.0.1:0 --max-connections=4096");
    let mut command = Command::new("sh");
    let running = ServerProcess::spawn(command.args(["-c", &script]).env_clear().stderr(Stdio::piped()));
    let (status, log) = running.terminate();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("fewer connections than configured") && log.contains("allowed=150"), "{log}");
}

#[tokio::test]
async fn a_flood_of_refused_calls_does_not_fill_the_log() {
    let authority = Authority::new();
    let tokens = authority.path("tokens");
    std::fs::write(&tokens, line("alice", "generate", "a", "")).expect("written");
    let flags = ["--engine=scripted", "--listen=127.0.0.1:0", &format!("--tokens={}", text(&tokens))];
    let running = start(&flags);
    let channel = running.channel().await;
    for _ in 0..500 {
        ask(channel.clone(), Some("wrong")).await.expect_err("refused");
    }
    drop(channel);
    let (_, log) = running.terminate();
    let lines = log.lines().filter(|line| line.contains("TOKEN_UNKNOWN")).count();
    assert!((1..100).contains(&lines), "{lines} lines for 500 refused calls");
}

#[test]
fn a_configuration_is_checked_with_its_files_and_printed_to_be_read_again() {
    let authority = Authority::new();
    let tls = authority.sign_server();
    let tokens = authority.path("tokens");
    let secret = "sakuga_the_secret_of_alice";
    std::fs::write(&tokens, line("alice", "generate", secret, "")).expect("written");
    let flags = [
        "--check-config",
        "--engine=scripted",
        "--listen=0.0.0.0:50051",
        &format!("--tls-cert={}", text(&tls.cert)),
        &format!("--tls-key={}", text(&tls.key)),
        &format!("--tokens={}", text(&tokens)),
        "--cors-origin=https://a.example",
        "--cors-origin=https://b.example",
        "--lora=s3://user:password@host/adapter",
    ];
    let (checked, printed, complained) = process::run(&flags);
    assert_eq!(checked, Some(0), "{complained}");
    assert!(printed.contains("listen = \"0.0.0.0:50051\" # --listen"), "{printed}");
    assert!(printed.contains("cors-origin = [\"https://a.example\", \"https://b.example\"]"), "{printed}");
    assert!(printed.contains("queue-size = \"64\" # the default"), "{printed}");
    assert!(printed.contains("s3://***@host/adapter"), "{printed}");
    let hash = line("", "", secret, "").trim().to_owned();
    for never in ["password", secret, &hash] {
        assert!(!printed.contains(never), "{never} in {printed}");
    }

    let file = authority.path("printed.toml");
    std::fs::write(&file, &printed).expect("written");
    let (again, printed_again, complained) = process::run(&["--check-config", "--config", text(&file)]);
    assert_eq!(again, Some(0), "{complained}");
    let values = |printed: &str| -> Vec<String> {
        printed.lines().map(|line| line.split(" # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&printed), values(&printed_again));

    std::fs::write(&tokens, secret).expect("written");
    let (bad, _, complained) = process::run(&flags);
    assert_eq!(bad, Some(64));
    assert!(complained.contains("line 1") && !complained.contains(secret), "{complained}");
}

#[test]
fn half_a_lock_is_a_problem() {
    for (flags, named) in [
        (&["--tls-cert=a"][..], "--tls-key is missing"),
        (&["--tls-key=a"], "--tls-cert is missing"),
        (&["--tls-client-ca=a"], "--tls-cert is missing"),
        (&["--tls-cert=a", "--tls-key=b", "--tls-client-crl=c"], "--tls-client-ca is missing"),
        (&["--listen=0.0.0.0:1"], "--tls-cert and --tls-key"),
        (&["--metrics-listen=0.0.0.0:1"], "--insecure-listen"),
        (&["--cors-origin=studio.example"], "not an origin"),
        (&["--cors-origin=https://studio.example/"], "not an origin"),
        (&["--idle-timeout=0"], "--idle-timeout: `0` is out of range"),
    ] {
        let (code, _, complained) = process::run(&[&["--check-config", "--engine=scripted"], flags].concat());
        assert_eq!(code, Some(64), "{flags:?}");
        assert!(complained.contains(named), "{flags:?}: {complained}");
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let authority = Authority::new();
    let tokens = authority.path("tokens");
    let known = "sakuga_known_0123456789abcdef";
    let unknown = "sakuga_unknown_fedcba9876543210";
    std::fs::write(&tokens, line("alice", "generate", known, "")).expect("written");
    let running = start(&[
        "--engine=scripted",
        "--listen=127.0.0.1:0",
        "--log=trace",
        "--log-format=json",
        &format!("--tokens={}", text(&tokens)),
    ]);
    let channel = running.channel().await;
    ask(channel.clone(), Some(known)).await.expect("admitted");
    ask(channel.clone(), Some(unknown)).await.expect_err("refused");
    drop(channel);
    let (status, log) = running.terminate();
    assert_eq!(status, Some(0));
    assert!(log.contains("TOKEN_UNKNOWN") && log.contains("\"client\":\"alice\""), "the log is there, with names");
    assert!(log.contains("\"level\":\"TRACE\""), "at the finest level");
    for never in [known, unknown, "0123456789abcdef", "fedcba9876543210"] {
        assert!(!log.contains(never), "{never} is in the log");
        let bytes: Vec<String> = never.bytes().map(|byte| byte.to_string()).collect();
        assert!(!log.contains(&bytes.join(", ")), "{never} is in the log, as bytes");
    }
}

#[tokio::test]
async fn sighup_reads_the_files_again() {
    let authority = Authority::new();
    let tokens = authority.path("tokens");
    std::fs::write(&tokens, line("alice", "generate", "a", "")).expect("written");
    let running = start(&[
        "--engine=scripted",
        "--listen=127.0.0.1:0",
        "--reload-interval=0",
        &format!("--tokens={}", text(&tokens)),
    ]);
    let channel = running.channel().await;
    exchange(&tokens, &line("bob", "generate", "b", ""));
    ask(channel.clone(), Some("a")).await.expect("no signal has come");
    running.signal("-HUP");
    eventually("bob is admitted", || async { ask(channel.clone(), Some("b")).await.is_ok() }).await;
    drop(channel);
    assert_eq!(running.terminate().0, Some(0));
}

pub(crate) fn deployed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(deployed(file)).expect("it comes with the program")
}

/// Every `--flag` in a text.
fn flags(text: &str) -> Vec<String> {
    let words = text.split(|byte: char| !(byte.is_ascii_alphanumeric() || byte == '-'));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_unit_and_the_container_start_the_program_as_it_can_be_started() {
    let mut known: Vec<String> = settings().into_iter().map(|setting| setting.name).collect();
    known.extend(["config", "check-config"].map(str::to_owned));
    let starts = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with("ExecStart") || line.starts_with("CMD") || line.starts_with("ENTRYPOINT"))
            .map(str::to_owned)
            .collect()
    };
    for file in ["sakuga-server.service", "Containerfile"] {
        let starts = starts(&read(file));
        assert!(starts.len() >= 2, "{file}: {starts:?}");
        for flag in starts.iter().flat_map(|line| flags(line)) {
            assert!(known.contains(&flag), "{file}: there is no --{flag}");
        }
    }
    // The unit waits longer than the drain may take, or systemd would cut it off.
    let unit = read("sakuga-server.service");
    let stop =
        unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.parse::<u64>().ok()).expect("a limit");
    let drain = settings().into_iter().find(|setting| setting.name == "drain-timeout").expect("a setting").default;
    let drain = drain.expect("a default");
    assert!(stop >= drain.parse::<u64>().expect("seconds") + 15);
    for hardening in ["NoNewPrivileges=", "ProtectSystem=strict", "DynamicUser=", "RestrictAddressFamilies="] {
        assert!(unit.contains(hardening), "{hardening}");
    }
}

#[test]
fn the_unit_is_one_that_systemd_reads() {
    let unit = deployed("sakuga-server.service");
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() else {
        println!("skipped: there is no systemd here");
        return;
    };
    let complained = String::from_utf8_lossy(&verified.stderr);
    assert!(!complained.contains("Unknown key") && !complained.contains("Failed to parse"), "{complained}");
}

#[test]
fn the_runbook_names_what_there_is() {
    let runbook = read("RUNBOOK.md");
    let mut known: Vec<String> = settings().into_iter().map(|setting| setting.name).collect();
    let others =
        ["config", "check-config", "help", "name", "scope", "rate", "concurrent", "expires", "out", "accept-licence"];
    let of_client = ["server", "ca", "cert", "key", "token-file", "once", "profile", "json"];
    known.extend(others.into_iter().chain(of_client).map(str::to_owned));
    let foreign = ["systemctl", "podman", "cargo ", "groupadd", "tar --"];
    let own: Vec<&str> = runbook.lines().filter(|line| !foreign.iter().any(|word| line.contains(word))).collect();
    for flag in flags(&own.join("\n")) {
        assert!(known.contains(&flag), "there is no --{flag}");
    }
}

#[test]
fn the_runbook_leads_from_an_empty_host_to_a_running_unit_and_back() {
    let runbook = read("RUNBOOK.md");
    for command in [
        "cargo build --release --locked",
        "groupadd --system sakuga",
        "openssl req -x509",
        "sakuga-server token new",
        "sakuga-server --check-config",
        "systemctl enable --now sakuga-server",
        "tar --create",
        "tar --extract",
        "systemctl restart sakuga-server",
    ] {
        assert!(runbook.contains(command), "`{command}` is not in the runbook");
    }
    assert!(read("Containerfile").contains("AS cuda"), "a container for GPUs");
}
