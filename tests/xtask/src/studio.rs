//! `cargo xtask studio`: the page that the server serves, built by npm.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, anyhow};

use crate::workspace::Workspace;
use crate::{files, npm, process};

/// The sources, and where the build of the server looks for the page.
const SOURCES: &str = "client/studio";
const PAGE: &str = "client/studio/dist";

/// The sources of the TypeScript client: the page uses them, and `src/sakuga` is a link to them.
const CLIENT: &str = "client/typescript/src";

/// What else a folder has in which somebody works.
const NOT_SOURCES: [&str; 2] = ["dist", "node_modules"];

/// The name of the file that says what was built.
const STAMP: &str = "built.json";

/// Bundling takes seconds.
const BUILD_LIMIT: Duration = Duration::from_secs(10 * 60);

/// The oldest Node.js that the bundler runs on.
const NODE: (u32, u32) = (20, 19);

/// What is needed where [`is_possible`] is false.
pub(crate) const NEEDED: &str = "Node.js 20.19 or later with npm is not installed";

/// Whether the page can be built here.
pub(crate) fn is_possible() -> bool {
    npm::is_installed(NODE)
}

/// Builds the page, unless it is that of the sources already, and returns the folder in which npm's programs and the sources
/// are.
///
/// # Errors
///
/// A package cannot be installed, the build fails, or a file cannot be written.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let folder = prepare(workspace)?;
    let page = workspace.root.join(PAGE);
    let sources =
        contents(&folder, &["src", "public"], &["index.html", "package-lock.json", "pack.mjs", "vite.config.ts"])?;
    let stamp = folder.join(STAMP);
    let is_current = |stamped: Vec<u8>| {
        let built = fs::read(folder.join("dist/index.html")).ok();
        stamped == sources && built.is_some() && built == fs::read(page.join("index.html")).ok()
    };
    if fs::read(&stamp).is_ok_and(is_current) {
        return Ok(folder);
    }
    files::remove(&folder.join("dist"))?;
    process::run(Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder), BUILD_LIMIT)?;
    replace(&folder.join("dist"), &page)?;
    files::write(&stamp, sources)?;
    Ok(folder)
}

/// Builds the page if that is possible, and otherwise says why not: the server is built either way.
pub(crate) fn build_if_possible(workspace: &Workspace) {
    let outcome = if is_possible() { build(workspace).map(|_| ()) } else { Err(anyhow!(NEEDED)) };
    if let Err(error) = outcome {
        println!("the server is built without the studio's page: {error:#}");
    }
}

/// Puts the sources, with what the links in them lead to, and the packages of npm into the target folder: nothing is written
/// into the source folders.
fn prepare(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let (source, folder) = (workspace.root.join(SOURCES), workspace.target.join("studio"));
    npm::install(&source, &folder)?;
    let entries = fs::read_dir(&source).with_context(|| format!("cannot read {}", source.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", source.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if NOT_SOURCES.contains(&name) {
            continue;
        }
        let copy = folder.join(name);
        if path.is_dir() {
            files::remove(&copy)?;
            files::copy(&path, &copy)?;
        } else {
            fs::copy(&path, &copy).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    let client = folder.join("src/sakuga");
    if !client.is_dir() {
        // A checkout without links has a file in its place.
        fs::remove_file(&client).with_context(|| format!("cannot replace {}", client.display()))?;
        files::copy(&workspace.root.join(CLIENT), &client)?;
    }
    Ok(folder)
}

/// Name and content of each of these files and of those in these folders, as one text.
fn contents(root: &Path, folders: &[&str], names: &[&str]) -> anyhow::Result<Vec<u8>> {
    let mut paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
    for folder in folders {
        paths.extend(files::list(&root.join(folder))?.into_iter().map(|path| Path::new(folder).join(path)));
    }
    let mut found = BTreeMap::new();
    for path in paths {
        let content = fs::read(root.join(&path)).with_context(|| format!("cannot read {}", path.display()))?;
        found.insert(path.display().to_string(), String::from_utf8_lossy(&content).into_owned());
    }
    serde_json::to_vec(&found).context("cannot write down the sources")
}

/// Replaces the files of a folder, except for hidden ones, by those of another.
fn replace(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.is_dir() {
        for path in files::list(to)? {
            if !path.to_string_lossy().starts_with('.') {
                fs::remove_file(to.join(&path)).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
    }
    files::copy(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_replaced_and_hidden_files_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        files::write(&from.join("assets/new.js"), "new").unwrap();
        files::write(&to.join("assets/old.js"), "old").unwrap();
        files::write(&to.join(".gitignore"), "*").unwrap();
        replace(&from, &to).unwrap();
        let left: Vec<String> = files::list(&to).unwrap().iter().map(|path| path.display().to_string()).collect();
        assert_eq!(left, [".gitignore", "assets/new.js"]);
    }

    #[test]
    fn any_change_of_a_source_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        files::write(&folder.path().join("src/a.ts"), "1").unwrap();
        files::write(&folder.path().join("b"), "2").unwrap();
        let read = || contents(folder.path(), &["src"], &["b"]).unwrap();
        let before = read();
        assert_eq!(read(), before);
        files::write(&folder.path().join("src/a.ts"), "3").unwrap();
        assert_ne!(read(), before);
    }
}
