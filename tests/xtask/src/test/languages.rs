//! The clients in Go, TypeScript, Java and Python against live servers. Each is set up here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::python::Environment;
use crate::server::{SCRIPTED_START_LIMIT, Server};
use crate::test::context::Context;
use crate::test::tally::{conclude, join};
use crate::test::{Verdict, at_once, openai, tally};
use crate::workspace::Workspace;
use crate::{build, files, interrupt, npm, stubs};

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

/// The tests of one client. Longer ones come first.
const CLIENTS: [Client; 6] = [
    Client { name: "Python", needed: None, run: python },
    Client { name: "Java", needed: Some((["mvn", "--version"], "Java 17 or later with Maven")), run: java },
    Client {
        name: "TypeScript",
        needed: Some((["npm", "--version"], "Node.js 20 or later with npm")),
        run: typescript,
    },
    Client { name: "Go", needed: Some((["go", "version"], "Go 1.24 or later")), run: go },
    Client { name: "Python (oldest packages)", needed: None, run: oldest_python },
    Client { name: "OpenAI", needed: None, run: openai::check },
];

struct Client {
    name: &'static str,
    /// How its toolchain is asked for its version, and what is needed where that fails.
    needed: Option<([&'static str; 2], &'static str)>,
    /// Runs its tests with this server program.
    run: fn(&Context<'_>, &Path) -> anyhow::Result<Verdict>,
}

impl Client {
    fn check(&self, context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
        if let Some(([tool, argument], needed)) = self.needed
            && !Command::new(tool).arg(argument).output().is_ok_and(|output| output.status.success())
        {
            return Ok(Verdict::skipped(format!("the {} client: {needed} is not installed", self.name)));
        }
        let verdict = (self.run)(context, program).with_context(|| self.name.to_owned())?;
        let is_empty = verdict.passed + verdict.failed == 0 && verdict.skipped.is_empty();
        ensure!(!is_empty, "{}: no test ran", self.name);
        Ok(verdict)
    }
}

/// Runs the tests of every client whose toolchain is there, two clients at a time, and names the others.
pub(crate) fn check(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let program = build::like_tests(context.workspace())?.server;
    let found = at_once::run(&CLIENTS, |client| client.check(context, &program), |_| interrupt::raised());
    let mut verdict = Verdict::default();
    let mut failed = Vec::new();
    for found in found {
        match found {
            Ok(found) => join(&mut verdict, found),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
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
    /// Starts them for one client: limits that its tests reach are not reached by others.
    fn start(context: &Context<'_>, program: &Path, client: &str) -> anyhow::Result<Self> {
        let folder = context.workspace().target.join("languages").join(client);
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
            Err(reason) => servers.skipped.push(format!("TLS with a token: {reason}")),
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

    /// Runs the tests of the client and stops the servers. `read` counts what the tests printed.
    fn test(
        self,
        context: &Context<'_>,
        client: &str,
        mut command: Command,
        read: impl Fn(&str) -> Verdict,
    ) -> anyhow::Result<Verdict> {
        let (success, output) = context.run_titled(client, self.name_to(&mut command))?;
        let mut found = read(&output);
        found.skipped.extend(self.skipped);
        for server in self.running {
            server.stop()?;
        }
        conclude(client, success, &output, found)
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

fn go(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    let folder = context.workspace().root.join("client/go");
    context.check(Command::new("go").args(["vet", "./..."]).current_dir(&folder))?;
    let mut command = Command::new("go");
    // What is remembered of an earlier run is not what these servers do.
    command.args(["test", "-count=1", "-v", "./..."]).current_dir(&folder);
    Servers::start(context, program, "go")?.test(context, "Go", command, tally::read_go)
}

fn typescript(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    let folder = typescript_folder(context.workspace())?;
    context.check(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder))?;
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "test"]).current_dir(&folder);
    command.env("SAKUGA_TEST_COOKBOOK", context.workspace().root.join("client/COOKBOOK.md"));
    Servers::start(context, program, "typescript")?.test(context, "TypeScript", command, tally::read_tap)
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

fn java(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    let mut command = Command::new("mvn");
    let target = context.workspace().target.join("java");
    command
        .args(["--batch-mode", "--no-transfer-progress", "verify"])
        .arg(format!("-DbuildFolder={}", target.display()));
    command.current_dir(context.workspace().root.join("client/java"));
    Servers::start(context, program, "java")?.test(context, "Java", command, tally::read_surefire)
}

fn python(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    match context.python() {
        Ok(environment) => pytest(context, program, environment, "Python", &[]),
        Err(reason) => Ok(Verdict::skipped(format!("the Python client: {reason}"))),
    }
}

fn oldest_python(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    match Environment::with(context.workspace(), "client/python/oldest.txt", "python-oldest") {
        Ok(oldest) => pytest(context, program, &oldest, "Python (oldest packages)", WITH_OLDEST),
        Err(error) => Ok(Verdict::skipped(format!("Python with the oldest packages: {error:#}"))),
    }
}

/// Runs the tests of the Python client, all of them or these.
fn pytest(
    context: &Context<'_>,
    program: &Path,
    environment: &Environment,
    title: &str,
    tests: &[&str],
) -> anyhow::Result<Verdict> {
    let mut command = Command::new(environment.python());
    // Nothing is written into the source folders.
    command.args(["-B", "-m", "pytest", "--quiet", "-p", "no:cacheprovider"]).args(tests);
    command.env("SAKUGA_SERVER_BIN", program).current_dir(context.workspace().root.join(PYTHON_CLIENT));
    let (success, output) = context.run_titled(title, &mut command)?;
    conclude(title, success, &output, tally::read_pytest(&output))
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
