//! buf over the protos: their style, their comments, and that no change breaks the wire format of released clients.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::test::Verdict;
use crate::test::context::Context;
use crate::{files, process, stubs};

/// buf answers in less than a second.
const BUF_LIMIT: Duration = Duration::from_secs(60);

/// The protos of the first clients and stored jobs, in `proto/`: messages in their bytes stay readable.
const RELEASED: &str = "released.binpb.gz";

/// The protos since there are stubs for every language, in `proto/`: code that uses the stubs still compiles.
const BASELINE: &str = "baseline.binpb.gz";

/// In place of the rules in `buf.yaml`, for [`RELEASED`].
const WIRE: &str = r#"{"version":"v2","breaking":{"use":["WIRE"]}}"#;

/// A file that breaks rules, and the rules that buf must name for it.
const BAD: (&str, &str, &[&str]) = (
    "sakuga/bad/bad.proto",
    "syntax = \"proto3\";\n\npackage sakuga.bad;\n\nenum Size {\n  SMALL = 0;\n}\n\nmessage m {\n  Size someField = 1;\n}\n",
    &[
        "COMMENT_FIELD",
        "COMMENT_MESSAGE",
        "ENUM_VALUE_PREFIX",
        "ENUM_ZERO_VALUE_SUFFIX",
        "FIELD_LOWER_SNAKE_CASE",
        "MESSAGE_PASCAL_CASE",
        "PACKAGE_VERSION_SUFFIX",
    ],
);

/// A released field, a change that breaks clients that send it, and the rule that buf must name for it.
const BREAKING_WIRE: (&str, &str, &str, &str) = (
    "sakuga/prompt/v1/prompt_service.proto",
    "string xml = 1;",
    "bytes xml = 9;",
    "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED",
);

/// A change that keeps the bytes and breaks code that uses the stubs, and the rule that buf must name for it.
const BREAKING_FILE: (&str, &str, &str, &str) =
    ("sakuga/prompt/v1/prompt_service.proto", "string xml = 1;", "string text = 1;", "FIELD_SAME_NAME");

/// Runs buf; what it refuses is on the terminal.
pub(crate) fn check(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let workspace = context.workspace();
    let buf = match stubs::buf(workspace) {
        Ok(programs) => programs.join("buf"),
        Err(error) => {
            return Ok(Verdict::skipped(format!("protos: Node.js 18 or later with npm is needed for buf: {error:#}")));
        }
    };
    let protos = workspace.root.join("proto");
    let run = |arguments: &[&str]| context.check(Command::new(&buf).args(arguments).current_dir(&protos));
    run(&["lint"])?;
    run(&["format", "--diff", "--exit-code"])?;
    run(&["breaking", "--against", BASELINE])?;
    run(&["breaking", "--against", RELEASED, "--config", WIRE])?;
    refuses(&buf, &protos, &workspace.target.join("buf/refused"))?;
    Ok(Verdict { passed: 5, ..Verdict::default() })
}

/// Shows that the checks above can fail: copies of the protos with bad names, with a released field removed, and with a
/// field renamed.
fn refuses(buf: &Path, protos: &Path, scratch: &Path) -> anyhow::Result<()> {
    files::remove(scratch)?;
    for folder in ["sakuga", "google"] {
        files::copy(&protos.join(folder), &scratch.join(folder))?;
    }
    for file in ["buf.yaml", BASELINE, RELEASED] {
        fs::copy(protos.join(file), scratch.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let refused = |arguments: &[&str], rules: &[&str]| -> anyhow::Result<()> {
        let mut command = Command::new(buf);
        command.args(arguments).args(["--error-format", "json"]).current_dir(scratch);
        let (success, output) = process::run_captured(&mut command, BUF_LIMIT)?;
        let missing: Vec<&&str> =
            rules.iter().filter(|rule| !output.contains(&format!("\"type\":\"{rule}\""))).collect();
        ensure!(
            !success && missing.is_empty(),
            "buf {arguments:?} does not name {missing:?} for a bad file:\n{output}"
        );
        Ok(())
    };
    let (path, text, rules) = BAD;
    files::write(&scratch.join(path), text)?;
    refused(&["lint"], rules)?;
    fs::remove_file(scratch.join(path)).with_context(|| format!("cannot remove {path}"))?;
    let breaking = [
        (BREAKING_WIRE, vec!["breaking", "--against", RELEASED, "--config", WIRE]),
        (BREAKING_FILE, vec!["breaking", "--against", BASELINE]),
    ];
    for ((path, before, after, rule), arguments) in breaking {
        let text = fs::read_to_string(scratch.join(path)).with_context(|| format!("cannot read {path}"))?;
        ensure!(text.contains(before), "{path} has no `{before}` to break");
        files::write(&scratch.join(path), text.replacen(before, after, 1))?;
        refused(&arguments, &[rule])?;
        files::write(&scratch.join(path), text)?;
    }
    Ok(())
}
