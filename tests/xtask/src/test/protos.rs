//! buf over the protos: their style, their comments, and that no change breaks the wire format of released clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::process;
use crate::test::Verdict;
use crate::test::context::Context;

/// 20 MB come over the network.
const INSTALL_LIMIT: Duration = Duration::from_secs(5 * 60);

/// buf answers in less than a second.
const BUF_LIMIT: Duration = Duration::from_secs(60);

/// The files of `proto/` that say which buf to install.
const PACKAGE: [&str; 2] = ["package.json", "package-lock.json"];

/// The protos as they were released, in `proto/`.
const RELEASED: &str = "released.binpb.gz";

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
const BREAKING: (&str, &str, &str, &str) = (
    "sakuga/prompt/v1/prompt_service.proto",
    "string xml = 1;",
    "bytes xml = 9;",
    "FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED",
);

/// Runs buf; what it refuses is on the terminal.
pub fn check(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let workspace = context.workspace();
    let buf = match install(&workspace.root.join("proto"), &workspace.target.join("buf")) {
        Ok(buf) => buf,
        Err(error) => {
            return Ok(Verdict::skipped(format!("protos: Node.js 18 or later with npm is needed for buf: {error:#}")));
        }
    };
    let protos = workspace.root.join("proto");
    let run = |arguments: &[&str]| context.check(Command::new(&buf).args(arguments).current_dir(&protos));
    run(&["lint"])?;
    run(&["format", "--diff", "--exit-code"])?;
    run(&["breaking", "--against", RELEASED])?;
    refuses(&buf, &protos, &workspace.target.join("buf/refused"))?;
    Ok(Verdict { passed: 4, ..Verdict::default() })
}

/// Installs the pinned buf, unless it is there, and returns its program.
fn install(protos: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
    let buf = folder.join("node_modules/.bin/buf");
    let current = |name: &&str| fs::read(folder.join(name)).ok() == fs::read(protos.join(name)).ok();
    if buf.exists() && PACKAGE.iter().all(current) {
        return Ok(buf);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in PACKAGE {
        fs::copy(protos.join(name), folder.join(name)).with_context(|| format!("cannot copy {name}"))?;
    }
    let mut command = Command::new("npm");
    // A package per platform contains the program; the installation script would download it if that package were missing.
    command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(folder);
    if let Err(error) = process::run(&mut command, INSTALL_LIMIT) {
        // The next call shall not take what is there for a whole installation.
        let _ = fs::remove_file(folder.join(PACKAGE[0]));
        return Err(error);
    }
    Ok(buf)
}

/// Shows that the checks above can fail: a copy of the protos with bad names, and one with a released field removed.
fn refuses(buf: &Path, protos: &Path, scratch: &Path) -> anyhow::Result<()> {
    if scratch.exists() {
        fs::remove_dir_all(scratch).with_context(|| format!("cannot remove {}", scratch.display()))?;
    }
    for folder in ["sakuga", "third_party"] {
        copy(&protos.join(folder), &scratch.join(folder))?;
    }
    for file in ["buf.yaml", RELEASED] {
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
    write(&scratch.join(path), text)?;
    refused(&["lint"], rules)?;
    fs::remove_file(scratch.join(path)).with_context(|| format!("cannot remove {path}"))?;
    let (path, before, after, rule) = BREAKING;
    let text = fs::read_to_string(scratch.join(path)).with_context(|| format!("cannot read {path}"))?;
    ensure!(text.contains(before), "{path} has no `{before}` to break");
    write(&scratch.join(path), text.replacen(before, after, 1))?;
    refused(&["breaking", "--against", RELEASED], &[rule])
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", from.display()))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            write(&target, content)?;
        }
    }
    Ok(())
}

/// Writes a file and the folders above it.
fn write(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
