//! A rehearsal of the release: packed from the programs of the tests, unpacked, and used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::test::Verdict;
use crate::test::context::Context;
use crate::{build, dist, process};

/// Unpacking, checksums and printing a version take seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Packs a release, unpacks it, and checks its contents.
pub(crate) fn rehearse(context: &Context<'_>) -> anyhow::Result<Verdict> {
    let workspace = context.workspace();
    let environment = match context.python() {
        Ok(environment) => environment,
        Err(reason) => return Ok(Verdict::skipped(reason)),
    };
    let folder = workspace.target.join("dist-rehearsal");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let built = build::like_tests(workspace)?;
    let wheel = dist::wheel(workspace, environment, &folder.join("wheel"))?;
    let mut packer = Command::new(built.dist.as_ref().context("the workspace has no program sakuga-dist")?);
    // Debug builds are large, and this archive is not downloaded.
    packer.args(["--level", "1"]);
    let out = folder.join("out");
    dist::pack(workspace, packer, &built, &wheel, &out)?;

    let run = |program: &Path, arguments: &[&str], folder: &Path| -> anyhow::Result<String> {
        let mut command = Command::new(program);
        let (success, output) = process::run_captured(command.args(arguments).current_dir(folder), LIMIT)?;
        ensure!(success, "{}: {output}", process::display(&command));
        Ok(output)
    };
    run(Path::new("sha256sum"), &["--check", "--strict", "SHA256SUMS"], &out)?;
    let host = workspace.host()?;
    for (program, member) in [("sakuga-server", "redb"), ("sakuga", "ratatui")] {
        let (archive, root) = find(&out, program, &host)?;
        run(Path::new("tar"), &["-xzf", &archive], &out)?;
        let root = out.join(root);
        let version = run(&root.join(program), &["--version"], &root)?;
        ensure!(version.starts_with(program), "{program} --version prints {version}");
        let licences = read(&root.join("THIRD-PARTY-LICENSES.txt"))?;
        ensure!(licences.contains(&format!("\n{member} ")), "the licences of {program} do not name {member}");
        ensure!(
            read(&root.join("LICENSE"))?.contains("Apache License"),
            "the archive of {program} has another licence"
        );
        let bill: Value = serde_json::from_str(&read(&root.join("sbom.cdx.json"))?).context("the SBOM is not JSON")?;
        let components = bill["components"].as_array().map_or(0, Vec::len);
        ensure!(bill["bomFormat"] == "CycloneDX" && components > 100, "{program}: a bill of {components} components");
        ensure!(bill["metadata"]["component"]["name"].is_string(), "{program}: the bill names no program");
    }
    let name = wheel.file_name().unwrap_or_default();
    let mut import = Command::new(environment.python());
    // Python imports from a wheel without unpacking it.
    import.args(["-B", "-c", "import sakuga; print(sakuga.__file__)"]).env("PYTHONPATH", out.join(name));
    let (success, output) = process::run_captured(import.current_dir(&out), LIMIT)?;
    ensure!(success && output.contains(".whl"), "the wheel cannot be imported: {output}");
    Ok(Verdict { passed: 4, ..Verdict::default() })
}

/// The archive of a program, and the folder in it.
fn find(out: &Path, program: &str, host: &str) -> anyhow::Result<(String, PathBuf)> {
    let names = fs::read_dir(out).with_context(|| format!("cannot read {}", out.display()))?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    for name in names {
        let Some(root) = name.strip_suffix(&".tar.gz".to_owned()) else { continue };
        let version = root.strip_prefix(&format!("{program}-")).and_then(|rest| rest.strip_suffix(&format!("-{host}")));
        if version.is_some_and(is_version) {
            return Ok((name.clone(), PathBuf::from(root)));
        }
    }
    anyhow::bail!("there is no archive of {program} in {}", out.display())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
