//! The clients in Go, TypeScript, Java and Python against live servers. Each is set up here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::python::Environment;
use crate::server::{SCRIPTED_START_LIMIT, Server};
use crate::test::context::Context;
use crate::test::tally::{conclude, join};
use crate::test::{Verdict, openai, tally};
use crate::workspace::Workspace;
use crate::{build, files, npm, stubs};

/// The servers draw gradients. A small queue is full soon, and pages in a browser may call.
const FLAGS: [&str; 7] = ["--listen", "127.0.0.1:0", "--engine", "scripted", "--queue-size", "8", "--grpc-web"];

/// The folder of the Python client.
pub(crate) const PYTHON_CLIENT: &str = "client/python";

/// The tests that use what differs between versions of gRPC and protobuf.
const WITH_OLDEST: &[&str] = &[
    "tests/test_async.py",
    "tests/test_arguments.py",
    "tests/test_connection.py",
    "tests/test_errors.py",
    "tests/test_generate.py",
    "tests/test_watch.py",
];

/// A client, how its toolchain is asked for its version, and what is needed where that fails.
const LANGUAGES: [(&str, [&str; 2], &str, Run); 3] = [
    ("Go", ["go", "version"], "Go 1.24 or later", go),
    ("TypeScript", ["npm", "--version"], "Node.js 20 or later with npm", typescript),
    ("Java", ["mvn", "--version"], "Java 17 or later with Maven", java),
];

type Run = fn(&Context<'_>, &Servers) -> anyhow::Result<Verdict>;

/// Runs the tests of every client whose toolchain is there, and names the others.
pub(crate) fn check(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let program = build::like_tests(context.workspace())?.server;
    let servers = Servers::start(context, &program)?;
    let mut verdict = Verdict { skipped: servers.skipped.clone(), ..Verdict::default() };
    let mut failed = Vec::new();
    for (language, [tool, argument], needed, run) in LANGUAGES {
        if !Command::new(tool).arg(argument).output().is_ok_and(|output| output.status.success()) {
            verdict.skipped.push(format!("the {language} client: {needed} is not installed"));
            continue;
        }
        println!("--- {language}");
        match run(context, &servers) {
            Ok(found) => {
                if found.passed + found.failed == 0 {
                    failed.push(format!("{language}: no test ran"));
                }
                join(&mut verdict, found);
            }
            Err(error) => failed.push(format!("{language}: {error:#}")),
        }
    }
    for server in servers.running {
        server.stop()?;
    }
    println!("--- Python");
    let found = python(context, &program)?;
    join(&mut verdict, found);
    let found = openai::check(context, &program)?;
    join(&mut verdict, found);
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(verdict)
}

/// The generated code of the clients is that of the protos.
pub(crate) fn stubs_are_current(context: &Context<'_>) -> anyhow::Result<Verdict> {
    for (tool, argument, needed) in [("go", "version", "Go"), ("npm", "--version", "Node.js with npm")] {
        if !Command::new(tool).arg(argument).output().is_ok_and(|output| output.status.success()) {
            return Ok(Verdict::skipped(format!("the stubs: {needed} is not installed")));
        }
    }
    stubs::compare(context.workspace()).map(|()| Verdict::passed())
}

/// Servers on the loopback: a plain one, and one with TLS that requires a token.
struct Servers {
    running: Vec<Server>,
    /// What tells the tests where they are.
    variables: Vec<(&'static str, String)>,
    skipped: Vec<String>,
}

impl Servers {
    fn start(context: &Context<'_>, program: &Path) -> anyhow::Result<Self> {
        let folder = context.workspace().target.join("languages");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let spawn = |arguments: &[&str], log: &str| {
            let mut command = Command::new(program);
            command.args(FLAGS).args(arguments).current_dir(&folder);
            Server::spawn(&mut command, &folder.join(log), SCRIPTED_START_LIMIT)
        };
        let plain = spawn(&["--scripted-step-ms", "20"], "plain.log")?;
        let mut servers = Self {
            variables: vec![("SAKUGA_TEST_SERVER", plain.url().to_owned())],
            running: vec![plain],
            skipped: Vec::new(),
        };
        match context.python() {
            Err(reason) => servers.skipped.push(format!("TLS with a token in Go, TypeScript and Java: {reason}")),
            Ok(environment) => {
                let mut certificates = Command::new(environment.python());
                certificates.args(["-m", "trustme", "--quiet", "--identities", "localhost", "127.0.0.1"]);
                context.check(certificates.current_dir(&folder))?;
                let token = new_token(program, &folder.join("tokens"))?;
                let flags = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tokens", "tokens"];
                let secured = spawn(&flags, "secured.log")?;
                servers.variables.extend([
                    ("SAKUGA_TEST_TLS_SERVER", secured.url().to_owned()),
                    ("SAKUGA_TEST_CA", folder.join("client.pem").display().to_string()),
                    ("SAKUGA_TEST_TOKEN", token),
                ]);
                servers.running.push(secured);
            }
        }
        Ok(servers)
    }

    /// Tells a test where the servers are, and nothing about others.
    fn name_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for variable in ["SAKUGA_SERVER", "SAKUGA_TOKEN", "SAKUGA_CA"] {
            command.env_remove(variable);
        }
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)))
    }
}

/// Makes a token, writes its line to the file of tokens, and returns it.
fn new_token(program: &Path, file: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    let output = command.args(["token", "new", "--name", "languages", "--scope", "generate"]).output()?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    files::write(file, &output.stderr)?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn go(context: &Context<'_>, servers: &Servers) -> anyhow::Result<Verdict> {
    let folder = context.workspace().root.join("client/go");
    context.check(Command::new("go").args(["vet", "./..."]).current_dir(&folder))?;
    let mut command = Command::new("go");
    // What is remembered of an earlier run is not what these servers do.
    command.args(["test", "-count=1", "-v", "./..."]).current_dir(&folder);
    let (success, output) = context.tee(servers.name_to(&mut command))?;
    conclude("Go", success, &output, tally::read_go(&output))
}

fn typescript(context: &Context<'_>, servers: &Servers) -> anyhow::Result<Verdict> {
    let folder = typescript_folder(context.workspace())?;
    context.check(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder))?;
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "test"]).current_dir(&folder);
    command.env("SAKUGA_TEST_COOKBOOK", context.workspace().root.join("client/COOKBOOK.md"));
    let (success, output) = context.tee(servers.name_to(&mut command))?;
    conclude("TypeScript", success, &output, tally::read_tap(&output))
}

/// The package in the target folder, with its dependencies: nothing is written into the source folders.
fn typescript_folder(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let (source, folder) = (workspace.root.join("client/typescript"), workspace.target.join("typescript"));
    npm::install(&source, &folder)?;
    for name in ["src", "test", "examples", "dist"] {
        files::remove(&folder.join(name))?;
    }
    for name in ["src", "test", "examples"] {
        files::copy(&source.join(name), &folder.join(name))?;
    }
    for name in ["tsconfig.json", "README.md"] {
        fs::copy(source.join(name), folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    Ok(folder)
}

fn java(context: &Context<'_>, servers: &Servers) -> anyhow::Result<Verdict> {
    let mut command = Command::new("mvn");
    let target = context.workspace().target.join("java");
    command
        .args(["--batch-mode", "--no-transfer-progress", "verify"])
        .arg(format!("-DbuildFolder={}", target.display()));
    command.current_dir(context.workspace().root.join("client/java"));
    let (success, output) = context.tee(servers.name_to(&mut command))?;
    conclude("Java", success, &output, tally::read_surefire(&output))
}

fn python(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    let environment = match context.python() {
        Ok(environment) => environment,
        Err(reason) => return Ok(Verdict::skipped(format!("the Python client: {reason}"))),
    };
    let mut verdict = pytest(context, program, environment, "newest", &[])?;
    match Environment::with(context.workspace(), "client/python/oldest.txt", "python-oldest") {
        Ok(oldest) => {
            let with_oldest = pytest(context, program, &oldest, "oldest", WITH_OLDEST)?;
            join(&mut verdict, with_oldest);
        }
        Err(error) => verdict.skipped.push(format!("Python with the oldest packages: {error:#}")),
    }
    Ok(verdict)
}

/// Runs the tests of the Python client, all of them or these.
fn pytest(
    context: &Context<'_>,
    program: &Path,
    environment: &Environment,
    packages: &str,
    tests: &[&str],
) -> anyhow::Result<Verdict> {
    println!("with the {packages} packages");
    let mut command = Command::new(environment.python());
    // Nothing is written into the source folders.
    command.args(["-B", "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]).args(tests);
    command.env("SAKUGA_SERVER_BIN", program).current_dir(context.workspace().root.join(PYTHON_CLIENT));
    let (success, output) = context.tee(&mut command)?;
    conclude("Python", success, &output, tally::read_pytest(&output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::failures::Failure;

    #[test]
    fn every_client_has_the_version_of_the_workspace() {
        let root = Workspace::locate().expect("cargo metadata answers").root;
        let version = env!("CARGO_PKG_VERSION");
        for (file, line) in [
            ("client/java/pom.xml", format!("<artifactId>sakuga-client</artifactId>\n  <version>{version}</version>")),
            ("client/python/pyproject.toml", format!("version = \"{version}\"")),
            ("client/typescript/package.json", format!("\"version\": \"{version}\"")),
            ("client/studio/package.json", format!("\"version\": \"{version}\"")),
        ] {
            let text = fs::read_to_string(root.join(file)).expect("the file is there");
            assert!(text.contains(&line), "{file} has no `{line}`");
        }
    }

    #[test]
    fn a_failure_that_no_line_counts_is_one() {
        let verdict = conclude("Go", false, "FAIL\n", Verdict::default()).unwrap();
        assert_eq!(verdict.failed, 1);
        assert_eq!(verdict.failures, [Failure::new("the Go client", "FAIL")]);
        let skipped = Verdict { passed: 2, skipped: vec!["TestA".into()], ..Verdict::default() };
        assert_eq!(conclude("Go", true, "", skipped).unwrap().skipped, ["Go: TestA"]);
    }
}
