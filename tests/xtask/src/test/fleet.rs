//! The shared state and the roles of a fleet against real servers of NATS, which a package for Python holds.

use anyhow::bail;

use crate::python::Environment;
use crate::test::context::Context;
use crate::test::{Verdict, failures, tally};

/// Runs the tests of `server/fleet` that start servers, and those of the roles of `sakuga-server`.
pub(super) fn check(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let environment = match Environment::with(context.workspace(), "tests/xtask/python/nats.txt", "python-nats") {
        Ok(environment) => environment,
        Err(error) => return Ok(Verdict::skipped(format!("the fleet: no server of NATS: {error:#}"))),
    };
    // The whole workspace, so that dependencies have the features with which they are compiled already.
    let mut command = context.cargo([
        "test",
        "--workspace",
        "--features",
        "sakuga-fleet/nats",
        "--test",
        "jetstream",
        "--test",
        "fleet",
    ]);
    command.env("SAKUGA_NATS_SERVER", environment.program("nats-server")).args(["--", "--show-output"]);
    let (success, output) = context.tee(&mut command)?;
    let mut verdict = tally::read(&output);
    verdict.failures = failures::read(&output);
    if success && verdict.passed == 0 {
        bail!("cargo test ran no test");
    }
    if !success && verdict.failed == 0 {
        verdict.failed = 1;
    }
    Ok(verdict)
}
