//! The files that git tracks, and those that it would if they were added.

use std::path::PathBuf;
use std::process::Command;

use sakuga_tidy::repository;

/// One file of the repository.
#[derive(Debug)]
pub(crate) struct TrackedFile {
    /// Its path in the repository, with `/`.
    pub path: String,
    pub content: Vec<u8>,
}

impl TrackedFile {
    /// Its text, unless it is not text.
    pub(crate) fn text(&self) -> Option<&str> {
        str::from_utf8(&self.content).ok()
    }
}

/// Every file, or `None`, with a message, where the tree is not a checkout of git.
pub(crate) fn files() -> Option<Vec<TrackedFile>> {
    let root = repository();
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        println!("skipped: the tree is not a git checkout, or there is no git");
        return None;
    };
    let listed = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files: Vec<TrackedFile> = listed
        .split_terminator('\0')
        // A file that was removed stays listed until the removal is added.
        .filter_map(|path| Some(TrackedFile { path: path.to_owned(), content: read(root.join(path))? }))
        .collect();
    assert!(files.len() > 50, "git lists only {} files", files.len());
    Some(files)
}

/// The file as git has it: a link is the path that it holds.
fn read(path: PathBuf) -> Option<Vec<u8>> {
    if let Ok(target) = std::fs::read_link(&path) {
        return Some(target.into_os_string().into_encoded_bytes());
    }
    if path.is_dir() {
        return None;
    }
    match std::fs::read(&path) {
        Ok(content) => Some(content),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
