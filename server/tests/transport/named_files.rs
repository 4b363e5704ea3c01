//! Files and folders that the configuration names: what is refused in their place, and what `--check-config` finds.

use std::ffi::OsString;
use std::path::Path;

use sakuga_server::config::{ConfigError, Loaded};

/// The problems that `--check-config` finds with these arguments.
fn problems(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let has_data_dir = arguments.iter().any(|argument| argument.to_string_lossy().starts_with("--data-dir"));
    let data_dir = if has_data_dir { None } else { Some("--data-dir=memory") };
    let begin = ["sakuga-server", "--check-config"].into_iter().chain(data_dir).map(OsString::from);
    match Loaded::load(begin.chain(arguments), |_| None) {
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

#[track_caller]
fn check(arguments: &[OsString], expected: &[&[&str]]) {
    let found = problems(arguments.iter().cloned());
    assert_eq!(found.len(), expected.len(), "{arguments:?}: {found:?}");
    for (problem, parts) in found.iter().zip(expected) {
        assert!(parts.iter().all(|part| problem.contains(part)), "{parts:?} are not in {problem}");
    }
}

#[test]
fn places_of_pictures_and_collectors_that_the_start_refuses_are_found() {
    let scripted = OsString::from("--engine=scripted");
    for url in ["file:///dev/zero", "/var/lib/pictures", "not a url", "gs://bucket"] {
        let artifacts = OsString::from(format!("--artifacts={url}"));
        check(&[scripted.clone(), artifacts], &[&["--artifacts: ", "leave it out"]]);
    }
    check(&[scripted.clone(), "--otlp-endpoint=http://127.0.0.1:4317".into()], &[]);
    check(&[scripted, "--otlp-endpoint=not a url".into()], &[&["--otlp-endpoint: "]]);
}

#[test]
fn a_data_folder_that_the_start_refuses_is_found_and_not_changed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments = ["--engine=scripted".into(), option("data-dir", folder.path())];
    let entries = || {
        let names =
            std::fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let again = |expected: &[&[&str]]| {
        let before = entries();
        check(&arguments, expected);
        assert_eq!(entries(), before);
    };
    again(&[]);
    std::fs::write(folder.path().join("pictures"), "no folder").expect("written");
    again(&[&["--data-dir", "pictures is not a folder"]]);
    std::fs::remove_file(folder.path().join("pictures")).expect("removed");
    std::fs::write(folder.path().join("jobs.redb"), "this is no database").expect("written");
    again(&[&["--data-dir", "jobs.redb", "store repair"]]);
    std::fs::remove_file(folder.path().join("jobs.redb")).expect("removed");
    #[cfg(target_os = "linux")]
    {
        make_fifo(&folder.path().join("jobs.redb"));
        again(&[&["--data-dir", "a pipe (FIFO), not a regular file"]]);
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

    /// A file of safetensors with one number under this name.
    fn safetensors(key: &str) -> Vec<u8> {
        let header = format!("{{\"{key}\":{{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}}}");
        let length = (header.len() as u64).to_le_bytes();
        [length.as_slice(), header.as_bytes(), &[0; 4]].concat()
    }

    #[test]
    fn what_the_embedded_model_does_not_take_is_found_before_its_files_are_written() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = option("cache-dir", &folder.path().join("cache"));
        check(std::slice::from_ref(&cache), &[]);
        let adapter = folder.path().join("text.safetensors");
        std::fs::write(&adapter, safetensors("lora_te1_layers_0_self_attn_q_proj.lora_down.weight")).expect("written");
        check(&[cache.clone(), option("lora", &adapter)], &[&["text.safetensors", "adapts a text encoder"]]);
        let fp8 = ["--device=cpu".into(), "--precision=fp8".into()];
        check(&[std::slice::from_ref(&cache), fp8.as_slice()].concat(), &[&["--precision fp8 was asked for"]]);
        if cfg!(not(feature = "cuda")) {
            check(&[cache.clone(), "--device=cpu,cuda:1".into()], &[&["--device cuda:1 was asked for"]]);
            check(&[cache.clone(), "--offload-text-encoders".into()], &[&["no GPU code"]]);
        }
        assert!(!folder.path().join("cache").exists(), "a check writes nothing");
        check(&[], &[&["cache folder", "--cache-dir"]]);
    }

    #[test]
    fn an_adapter_by_its_name_on_a_hub_is_to_be_pulled() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cache = option("cache-dir", folder.path());
        let expected =
            ["--lora", "`Some-Owner/some-adapter`", "name on a hub", "models pull hf:Some-Owner/some-adapter`"];
        check(
            &[cache.clone(), "--lora=hf:Some-Owner/some-adapter".into()],
            &[&["models pull hf:Some-Owner/some-adapter`"]],
        );
        check(&[cache.clone(), "--lora=Some-Owner/some-adapter".into()], &[&expected]);
        check(&[cache.clone(), "--lora=Some-Owner/some-adapter=0.8".into()], &[&expected]);
        check(&[cache, "--lora=./no-such-file".into()], &[&["--lora", "name a file or folder"]]);
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
