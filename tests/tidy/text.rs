//! Paths and downloads that no file may name, the size of the tree, and the sources of crates.

use crate::assert_none;
use crate::tree::{self, TrackedFile};

/// All files together, 36 MiB: a clone stays a matter of seconds.
const TREE_BYTES_MAX: usize = 36 << 20;

/// The only registry.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Folders that exist on one machine only. Put together here, so that this file does not name them.
const MACHINE_FOLDERS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/"),
];

/// The home folder that examples may name.
const ANYBODY: &str = concat!("/ho", "me/user");

/// Hosts and paths of files to download: a build gets what it needs through its package managers, by name.
const DOWNLOADS: &[&str] = &[
    concat!("artif", "actory"),
    concat!("index.crates", ".io"),
    concat!("static.crates", ".io"),
    concat!("pythonhosted", ".org"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("githubuser", "content.com"),
    concat!("/releases/", "download/"),
    concat!("/resolve/", "main/"),
];

/// Lines that name a folder of some machine.
fn machine_paths(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for folder in MACHINE_FOLDERS {
            // Within a longer path, as in `src/home/`, it is another folder.
            let absolute = |(at, _)| {
                let joined = line[..at].ends_with(|before: char| before.is_alphanumeric() || "_-.}$".contains(before));
                !joined && !line[at..].starts_with(ANYBODY)
            };
            if line.match_indices(folder).any(absolute) {
                findings.push(format!("{path}:{}: names {folder}", number + 1));
            }
        }
    }
    findings
}

/// Lines that name a download.
fn downloads(path: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for name in DOWNLOADS.iter().filter(|name| line.contains(**name)) {
            findings.push(format!("{path}:{}: names {name}", number + 1));
        }
    }
    findings
}

/// Sources of crates other than the one registry.
fn foreign_sources(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources.filter(|source| source.trim_matches('"') != REGISTRY);
    foreign.map(|source| format!("Cargo.lock: {source}")).collect()
}

/// The largest files, if all together are too large.
fn too_large(files: &[TrackedFile]) -> Vec<String> {
    let total: usize = files.iter().map(|file| file.content.len()).sum();
    if total < TREE_BYTES_MAX {
        return Vec::new();
    }
    let mut largest: Vec<_> = files.iter().map(|file| (file.content.len(), &file.path)).collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let head = format!("{total} bytes in all, {TREE_BYTES_MAX} allowed; the largest:");
    let rest = largest.iter().take(10).map(|(size, path)| format!("{size:>10} {path}"));
    std::iter::once(head).chain(rest).collect()
}

#[test]
fn no_file_names_a_machine_or_a_download() {
    let Some(files) = tree::files() else { return };
    let mut findings = Vec::new();
    for (file, text) in files.iter().filter_map(|file| Some((file, file.text()?))) {
        findings.extend(machine_paths(&file.path, text));
        findings.extend(downloads(&file.path, text));
    }
    assert_none(&findings);
}

#[test]
fn the_tree_is_small() {
    let Some(files) = tree::files() else { return };
    assert_none(&too_large(&files));
}

#[test]
fn every_crate_is_from_the_registry() {
    let lock = std::fs::read_to_string(sakuga_tidy::repository().join("Cargo.lock")).expect("Cargo.lock can be read");
    assert!(lock.matches("[[package]]").count() > 100, "Cargo.lock is not what it was");
    assert_none(&foreign_sources(&lock));
}

#[test]
fn a_machine_path_is_found() {
    let folder = MACHINE_FOLDERS[0];
    assert_eq!(machine_paths("a", &format!("one\nsee {folder}x")), [format!("a:2: names {folder}")]);
    assert_eq!(machine_paths("a", &format!("open(\"{folder}x\")")).len(), 1);
    assert!(machine_paths("a", &format!("src{folder}x ../net{folder} $HOME{folder} ./a-b{folder}")).is_empty());
    assert!(machine_paths("a", ANYBODY).is_empty());
}

#[test]
fn a_download_is_found() {
    let url = format!("curl https://github.com/a/b{}c.tar.gz", DOWNLOADS[7]);
    assert_eq!(downloads("a", &url), [format!("a:1: names {}", DOWNLOADS[7])]);
    assert!(downloads("a", "see https://github.com/a/b").is_empty());
}

#[test]
fn a_foreign_crate_is_found() {
    let lock = format!("source = \"{REGISTRY}\"\nsource = \"git+https://example.org/x#1\"\n");
    assert_eq!(foreign_sources(&lock), ["Cargo.lock: \"git+https://example.org/x#1\""]);
}

#[test]
fn a_large_tree_is_found_and_its_largest_file_named() {
    let file = |path: &str, size| TrackedFile { path: path.into(), content: vec![0; size] };
    let findings = too_large(&[file("small", 1), file("large", TREE_BYTES_MAX)]);
    assert_eq!(findings[1], format!("{TREE_BYTES_MAX:>10} large"));
    assert!(too_large(&[file("small", 1)]).is_empty());
}
