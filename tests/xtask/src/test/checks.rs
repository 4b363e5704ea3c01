//! What `cargo xtask test` checks, cheapest first. A new check, also one of another language, is one more entry here.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::test::context::Context;
use crate::test::{
    Verdict, deny, dist, failures, fleet, languages, programs, protos, slowest, studio, tally, training,
};
use crate::{demo, llvm};

pub(crate) struct Check {
    /// What a person types to run it alone.
    pub name: &'static str,
    /// What it checks, for the list of checks.
    pub what: &'static str,
    /// Finds it out. An error is a failed check; its message says what is wrong.
    pub run: fn(&Context<'_>) -> anyhow::Result<Verdict>,
}

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "format", what: "Rust is formatted", run: format },
    Check { name: "fetch", what: "Cargo.lock is current and every crate can be downloaded", run: fetch },
    Check { name: "python", what: "our Python is formatted, has no lint, and its types fit", run: python },
    Check { name: "protos", what: "the protos keep buf's rules and break no released client", run: protos::check },
    Check {
        name: "stubs",
        what: "the generated code of the clients is that of the protos",
        run: languages::stubs_are_current,
    },
    Check {
        name: "page",
        what: "the studio's page is built for what follows; its types fit, and its unit tests pass",
        run: studio::page,
    },
    Check { name: "kernels", what: "the GPU's own kernels compile", run: kernels },
    Check { name: "licences", what: "licences, bans and sources of the crates (cargo-deny)", run: deny::licences },
    Check { name: "advisories", what: "known faults in the crates (cargo-deny)", run: deny::advisories },
    Check { name: "clippy", what: "no warning in any crate, test or example, GPU code included", run: clippy },
    Check { name: "no-engine", what: "no warning in the server without burn", run: clippy_without_burn },
    Check { name: "library", what: "no warning in the client library without its command line", run: clippy_library },
    Check { name: "docs", what: "the documentation builds without a warning", run: docs },
    Check { name: "test", what: "every test, among them the invariants of the tree", run: test },
    Check {
        name: "fleet",
        what: "what many hosts share, and the roles of a fleet, against servers of NATS",
        run: fleet::check,
    },
    Check {
        name: "training",
        what: "a rehearsal of the training, and its checkpoint in the crate",
        run: training::rehearse,
    },
    Check { name: "demo", what: "the demo, with the programs that the tests use", run: demo },
    Check {
        name: "dist",
        what: "a rehearsal of the release, with the programs that the tests use",
        run: dist::rehearse,
    },
    Check {
        name: "languages",
        what: "the clients in Go, TypeScript, Java and Python, and those of OpenAI, against live servers",
        run: languages::check,
    },
    Check { name: "studio", what: "the studio in a browser, on a live server", run: studio::browser },
];

fn format(context: &Context<'_>) -> anyhow::Result<Verdict> {
    context.check(&mut context.cargo(["fmt", "--all", "--check"]))
}

/// Fetches for every platform: tests that ask Cargo about the dependency graph do so without the network.
fn fetch(context: &Context<'_>) -> anyhow::Result<Verdict> {
    context.check(&mut context.cargo(["fetch", "--locked"]))
}

fn python(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let environment = match context.python() {
        Ok(environment) => environment,
        Err(reason) => return Ok(Verdict::skipped(reason)),
    };
    let root = &context.workspace().root;
    for arguments in [["check", "--quiet"], ["format", "--check"]] {
        // ruff leaves out what git ignores.
        let mut command = Command::new(environment.program("ruff"));
        command.args(arguments).arg("--no-cache").arg(".").current_dir(root);
        context.check(&mut command)?;
    }
    let mut command = Command::new(environment.program("mypy"));
    // mypy reads its configuration, and the paths in it, where it is started.
    command
        .arg("--cache-dir")
        .arg(context.workspace().target.join("mypy"))
        .current_dir(root.join(languages::PYTHON_CLIENT));
    context.check(&mut command)?;
    Ok(Verdict { passed: 3, ..Verdict::default() })
}

/// Cargo takes kernels for text; their compiler needs no GPU.
fn kernels(context: &Context<'_>) -> anyhow::Result<Verdict> {
    if cfg!(not(target_os = "linux")) {
        return Ok(Verdict::skipped("kernels: their compiler is fetched on Linux alone"));
    }
    let environment = match context.python() {
        Ok(environment) => environment,
        Err(reason) => return Ok(Verdict::skipped(reason)),
    };
    let mut command = Command::new(environment.python());
    command.args(["-B", "model/scripts/compile_kernels.py", "compute_80", "compute_90"]);
    context.check(command.current_dir(&context.workspace().root))
}

/// The whole workspace with its GPU code: it is compiled here on machines without a GPU, and without it in the tests. Also the tests
/// that need servers of NATS.
const WITH_GPU_CODE: [&str; 3] = ["--workspace", "--features", "sakuga-server/cuda,sakuga-fleet/nats"];

fn clippy(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let mut command = context.cargo(["clippy", "--all-targets"]);
    llvm::prepare(context.workspace()).context("LLVM cannot be prepared")?.apply(&mut command);
    context.check(command.args(WITH_GPU_CODE).args(["--", "-D", "warnings"]))
}

fn clippy_without_burn(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let scope = ["clippy", "--package", "sakuga-server", "--no-default-features", "--all-targets"];
    context.check(context.cargo(scope).args(["--", "-D", "warnings"]))
}

fn clippy_library(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let scope = ["clippy", "--package", "sakuga-client", "--no-default-features", "--lib"];
    context.check(context.cargo(scope).args(["--", "-D", "warnings"]))
}

fn docs(context: &Context<'_>) -> anyhow::Result<Verdict> {
    // With examples Cargo uses the features of dev-dependencies, as in `clippy`, and checks no dependency again. Programs
    // named like a library would overwrite its pages, so the others are named.
    let mut command = context.cargo(["doc", "--no-deps", "--lib", "--examples"]);
    command.args(["--bin", "sakuga", "--bin", "sakuga-dist", "--bin", "xtask"]);
    llvm::prepare(context.workspace()).context("LLVM cannot be prepared")?.apply(&mut command);
    command.args(WITH_GPU_CODE);
    context.check(command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn test(context: &Context<'_>) -> anyhow::Result<Verdict> {
    // Property tests draw the same cases in every run, so that what fails is due to a change. `cargo test` alone draws new ones.
    let mut variables = vec![("PROPTEST_RNG_SEED", "20251130")];
    let mut skipped = Vec::new();
    let python = context.python().map(|environment| environment.python().display().to_string());
    match &python {
        Ok(python) => variables.push(("SAKUGA_PYTHON", python)),
        Err(reason) => skipped.push(format!("agreement with lxml: {reason}")),
    }
    // What `cargo test` runs, except for examples in documentation: they do not accept the arguments for times. With the output
    // of passing tests: a test that skips itself prints the reason there.
    let (success, output) = programs::run(context, &["--lib", "--bins", "--tests"], &["--show-output"], &variables)?;
    let (documented, examples) = context.tee(&mut context.cargo(["test", "--workspace", "--no-fail-fast", "--doc"]))?;
    let success = success && documented;
    let mut verdict = tally::read(&format!("{output}{examples}"));
    verdict.timed = slowest::read(&output);
    verdict.failures = failures::read(&output);
    verdict.failures.extend(failures::read(&examples));
    verdict.skipped.append(&mut skipped);
    if success && verdict.passed == 0 {
        bail!("cargo test ran no test");
    }
    if !success && verdict.failed == 0 {
        // A test program that does not compile, crashes, or runs past the limit leaves no line to count.
        verdict.failed = 1;
    }
    Ok(verdict)
}

fn demo(context: &Context<'_>) -> anyhow::Result<Verdict> {
    demo::rehearse(context.workspace()).map(|()| Verdict::passed())
}
