//! OpenAI's clients for Python and Node.js against the images API of live servers. Each is set up here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::python::Environment;
use crate::server::{SCRIPTED_START_LIMIT, Server};
use crate::test::context::Context;
use crate::test::tally::{conclude, join};
use crate::test::{Verdict, tally};
use crate::{files, npm};

/// The servers draw gradients, and serve the API next to their own.
const FLAGS: [&str; 6] = ["--listen", "127.0.0.1:0", "--engine", "scripted", "--scripted-step-ms", "20"];
/// The folder of the tests.
const TESTS: &str = "tests/openai";
/// What OpenAI's client for Node.js needs.
const NODE: (u32, u32) = (20, 0);
/// The limit of the token: it is reached by the second call.
const LIMIT: &str = "rate=1/h";

/// Runs the tests of both clients, and names the one whose toolchain is missing.
pub(super) fn check(context: &Context<'_>, program: &Path) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    match Environment::with(context.workspace(), "tests/openai/requirements.txt", "python-openai") {
        Ok(environment) => {
            let found = with_servers(context, program, |variables| python(context, &environment, variables))?;
            join(&mut verdict, found);
        }
        Err(error) => verdict.skipped.push(format!("OpenAI's client for Python: {error:#}")),
    }
    if npm::is_installed(NODE) {
        let found = with_servers(context, program, |variables| node(context, variables))?;
        join(&mut verdict, found);
    } else {
        let reason = "Node.js 20 or later with npm is not installed";
        verdict.skipped.push(format!("OpenAI's client for Node.js: {reason}"));
    }
    Ok(verdict)
}

/// What tells the tests where the servers are.
type Variables = [(&'static str, String); 3];

/// Runs tests against an open server, and one that requires a token.
fn with_servers(
    context: &Context<'_>,
    program: &Path,
    tests: impl FnOnce(&Variables) -> anyhow::Result<Verdict>,
) -> anyhow::Result<Verdict> {
    let folder = context.workspace().target.join("openai-servers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let output = Command::new(program).args(["token", "new", "--name", "limited", "--scope", "generate"]).output()?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8(output.stderr)?;
    files::write(&folder.join("tokens"), format!("{} {LIMIT}\n", line.trim_end()))?;
    let start = |arguments: &[&str], log: &str| {
        let mut command = Command::new(program);
        command.args(FLAGS).args(arguments).current_dir(&folder);
        let server = Server::spawn(&mut command, &folder.join(log), SCRIPTED_START_LIMIT)?;
        let address = server.studio().with_context(|| format!("no port for HTTP; see {log}"))?;
        anyhow::Ok((server, address))
    };
    let (open, address) = start(&[], "open.log")?;
    let (closed, with_tokens) = start(&["--tokens", "tokens"], "tokens.log")?;
    let variables = [
        ("SAKUGA_TEST_HTTP", address),
        ("SAKUGA_TEST_HTTP_TOKENS", with_tokens),
        ("SAKUGA_TEST_HTTP_LIMITED", String::from_utf8(output.stdout)?.trim().to_owned()),
    ];
    let verdict = tests(&variables);
    open.stop()?;
    closed.stop()?;
    verdict
}

fn python(context: &Context<'_>, environment: &Environment, variables: &Variables) -> anyhow::Result<Verdict> {
    let mut command = Command::new(environment.python());
    // Nothing is written into the source folders.
    command.args(["-B", "-m", "pytest", "--quiet", "-ra", "-p", "no:cacheprovider", TESTS]);
    command.current_dir(&context.workspace().root).envs(variables.iter().cloned());
    let (success, output) = context.run_titled("OpenAI's client for Python", &mut command)?;
    conclude("OpenAI's client for Python", success, &output, tally::read_pytest(&output))
}

fn node(context: &Context<'_>, variables: &Variables) -> anyhow::Result<Verdict> {
    let (source, folder) = (context.workspace().root.join(TESTS), context.workspace().target.join("node-openai"));
    npm::install(&source, &folder)?;
    let name = "openai.test.mjs";
    fs::copy(source.join(name), folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "test"]).current_dir(&folder).envs(variables.iter().cloned());
    let (success, output) = context.run_titled("OpenAI's client for Node.js", &mut command)?;
    conclude("OpenAI's client for Node.js", success, &output, tally::read_tap(&output))
}
