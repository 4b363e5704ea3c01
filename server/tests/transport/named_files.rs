//! Files and folders that the configuration names: what is refused in their place, and what `--check-config` finds.

use std::ffi::OsString;
use std::path::Path;

use sakuga_server::config::{ConfigError, Loaded};

/// The problems that `--check-config` finds with these arguments.
fn problems(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let begin = ["sakuga-server", "--check-config", "--data-dir=memory"].map(OsString::from);
    match Loaded::load(begin.into_iter().chain(arguments), |_| None) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Values(problems)) => problems,
        Err(error) => panic!("{error}"),
    }
}

fn option(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(path);
    argument
}

/// Makes a pipe that nobody writes to.
#[cfg(target_os = "linux")]
pub(crate) fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}

#[cfg(target_os = "linux")]
mod in_place_of_files {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::support::Authority;

    /// A file for each option that names one.
    fn files(authority: &Authority) -> BTreeMap<&'static str, PathBuf> {
        let tls = authority.sign_server();
        for (name, text) in
            [("config.toml", String::new()), ("tokens", String::new()), ("crl", authority.revoke(&[1], false))]
        {
            std::fs::write(authority.path(name), text).expect("written");
        }
        BTreeMap::from([
            ("config", authority.path("config.toml")),
            ("tokens", authority.path("tokens")),
            ("tls-cert", tls.cert),
            ("tls-key", tls.key),
            ("tls-client-ca", authority.path("ca.pem")),
            ("tls-client-crl", authority.path("crl")),
        ])
    }

    /// The problems with `path` in place of the file of `name`.
    fn found(files: &BTreeMap<&str, PathBuf>, name: &str, path: &Path) -> Vec<String> {
        let with = |(known, file): (&&str, &PathBuf)| option(known, if *known == name { path } else { file.as_path() });
        problems(files.iter().map(with).chain([OsString::from("--engine=scripted")]))
    }

    #[test]
    fn devices_pipes_sockets_and_folders_are_refused_at_once() {
        let authority = Authority::new();
        let files = files(&authority);
        assert_eq!(found(&files, "", Path::new("")), Vec::<String>::new());
        let (fifo, socket) = (authority.path("fifo"), authority.path("socket"));
        make_fifo(&fifo);
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for (path, what) in [
            (Path::new("/dev/zero"), "a device"),
            (&fifo, "a pipe (FIFO)"),
            (&socket, "a socket"),
            (authority.folder.path(), "a folder"),
        ] {
            for name in files.keys() {
                let found = found(&files, name, path);
                let [problem] = found.as_slice() else { panic!("--{name}: {found:?}") };
                let shown = path.display().to_string();
                for part in [shown.as_str(), what, "not a regular file", "name a regular file"] {
                    assert!(problem.contains(part), "--{name}: {part} is not in {problem}");
                }
            }
        }
    }

    #[test]
    fn files_that_are_too_large_are_not_read() {
        let authority = Authority::new();
        let files = files(&authority);
        let large = authority.path("large");
        // A hole: it takes no space.
        std::fs::File::create(&large).and_then(|file| file.set_len(1 << 30)).expect("a sparse file");
        for name in files.keys() {
            let found = found(&files, name, &large);
            let [problem] = found.as_slice() else { panic!("--{name}: {found:?}") };
            assert!(problem.contains("more than the") && problem.contains("name another file"), "--{name}: {problem}");
        }
    }
}

#[cfg(feature = "burn")]
mod of_models {
    use super::*;

    /// What is found in place of weights.
    const WRONG_FILES: [(&str, &[u8], &str); 3] = [
        (
            "pointer.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "Git LFS pointer",
        ),
        ("page.safetensors", b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        ("pickle.safetensors", b"PK\x03\x04\0\0\0\0\0\0\0\0", "pickle"),
    ];

    #[track_caller]
    fn check(arguments: &[OsString], expected: &[&[&str]]) {
        let found = problems(arguments.iter().cloned());
        assert_eq!(found.len(), expected.len(), "{arguments:?}: {found:?}");
        for (problem, parts) in found.iter().zip(expected) {
            assert!(parts.iter().all(|part| problem.contains(part)), "{parts:?} are not in {problem}");
        }
    }

    #[test]
    fn missing_files_and_folders_are_all_found() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let gone = folder.path().join("gone");
        let shown = gone.display().to_string();
        check(
            &[
                "--model=Some-Owner/some-model".into(),
                option("lora", &gone),
                option("refiner", &gone),
                option("adapters", &gone),
                option("controlnets", &gone),
            ],
            &[
                &["--model", "models pull hf:Some-Owner/some-model"],
                &["--refiner", &shown, "name a file or folder"],
                &["--lora", &shown, "name a file or folder"],
            ],
        );
    }

    #[test]
    fn files_of_another_format_are_refused_as_at_the_start() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, content, kind) in WRONG_FILES {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            check(&[option("lora", &path)], &[&["--lora", name, kind]]);
            check(&[option("model", &path)], &[&["--model", name, kind]]);
            check(&[option("refiner", &path)], &[&["--refiner", name, kind]]);
        }
        #[cfg(target_os = "linux")]
        {
            let fifo = folder.path().join("fifo.safetensors");
            make_fifo(&fifo);
            check(&[option("lora", &fifo)], &[&["--lora", "a pipe (FIFO), not a regular file"]]);
            check(&[option("lora", Path::new("/dev/zero"))], &[&["--lora", "a device, not a regular file"]]);
        }
    }

    #[test]
    fn the_parts_of_a_model_are_checked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        sakuga_model::families::sdxl::synthetic::write(folder.path(), 1).expect("a checkpoint");
        let model = [option("model", folder.path())];
        check(&model, &[]);
        let weights = folder.path().join("vae/diffusion_pytorch_model.safetensors");
        assert!(weights.is_file());
        let (_, pointer, kind) = WRONG_FILES[0];
        let missing = folder.path().join("gone");
        let with_controls = [model[0].clone(), option("controlnets", &missing)];
        check(&with_controls, &[&["--controlnets", &missing.display().to_string(), "name a folder"]]);
        let twice = ["a", "a"].map(|name| {
            let mut argument = OsString::from(format!("--model={name}="));
            argument.push(folder.path());
            argument
        });
        check(&twice, &[&["two models have the name `a`"]]);
        std::fs::write(&weights, pointer).expect("written");
        check(&model, &[&["--model", &weights.display().to_string(), kind]]);
        std::fs::remove_dir_all(folder.path().join("vae")).expect("removed");
        check(&model, &[&["--model", "vae"]]);
    }
}
