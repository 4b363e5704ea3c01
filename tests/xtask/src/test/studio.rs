//! The studio: its sources, and the page in a browser.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build;
use crate::studio::{self, NEEDED};
use crate::test::context::Context;
use crate::test::{Verdict, tally};

/// Where Debian and others put Chromium.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Builds the page, so that the programs of the later checks have it, and checks its sources.
pub(crate) fn page(context: &Context<'_>) -> anyhow::Result<Verdict> {
    if !studio::is_possible() {
        return Ok(Verdict::skipped(format!("the studio's page: {NEEDED}")));
    }
    let folder = studio::build(context.workspace())?;
    for script in ["check", "unit"] {
        context.check(Command::new("npm").args(["run", "--silent", script]).current_dir(&folder))?;
    }
    Ok(Verdict { passed: 3, ..Verdict::default() })
}

/// Uses the page of a server like a person, in a browser without a window.
pub(crate) fn browser(context: &Context<'_>) -> anyhow::Result<Verdict> {
    if !studio::is_possible() {
        return Ok(Verdict::skipped(format!("the studio in a browser: {NEEDED}")));
    }
    let Some(chromium) = chromium() else {
        return Ok(Verdict::skipped(
            "the studio in a browser: Chromium is not installed (Debian: `apt install chromium`)",
        ));
    };
    let folder = studio::build(context.workspace())?;
    let server = build::like_tests(context.workspace())?.server;
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "test"]).current_dir(&folder);
    command.env("SAKUGA_SERVER_BIN", server).env("SAKUGA_CHROMIUM", chromium);
    command.env("SAKUGA_STUDIO_SCREENSHOTS", folder.join("screenshots"));
    let (success, output) = context.tee(&mut command)?;
    let mut verdict = tally::read_tap(&output);
    if !success && verdict.failed == 0 {
        verdict.failed = 1;
    }
    Ok(verdict)
}

/// The browser in `SAKUGA_CHROMIUM`, or one of the search path.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SAKUGA_CHROMIUM") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .find_map(|folder| BROWSERS.iter().map(|name| folder.join(name)).find(|program: &PathBuf| is_file(program)))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file())
}
