//! Files that are read are bounded, and files that are written replace nothing but regular files.

use std::path::Path;

use crate::GOOD;
use crate::support::run;

/// An address without a server: a command that connects to it exits with 4.
const NOBODY: &str = "127.0.0.1:1";

fn generate(directory: &Path, arguments: &[&str]) -> crate::support::Run {
    run(directory, &[&["generate", "a.xml", "--server", NOBODY], arguments].concat(), b"")
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.xml"), GOOD).unwrap();
    directory
}

#[test]
fn text_in_place_of_a_file_gets_a_hint() {
    let directory = directory();
    for (arguments, hint) in [
        (vec!["validate", "1girl, solo"], "echo '1girl, solo' | sakuga validate -"),
        (vec!["fmt", "1girl"], "echo '1girl' | sakuga fmt -"),
        (vec!["generate", "1girl, solo", "--out", "a.png"], "echo '1girl, solo' | sakuga generate -"),
        (vec!["generate", "a.xml", "--negative", "lowres", "--out", "a.png"], "echo 'lowres' | sakuga generate FILE"),
    ] {
        run(directory.path(), &arguments, b"").expect(2).says(hint);
    }
    let long = "1girl, ".repeat(200);
    run(directory.path(), &["validate", &long], b"").expect(2).says("echo '...' | sakuga validate -");
    let missing = run(directory.path(), &["validate", "missing.xml"], b"");
    assert!(!missing.expect(2).stderr.contains("echo"), "{missing:#?}");
    let both = ["generate", "-", "--negative", "-", "--out", "a.png"];
    run(directory.path(), &both, b"1girl").expect(2).says("stdin cannot be both");
}

#[test]
fn a_random_seed_can_be_written() {
    let directory = directory();
    for seed in ["-1", "0", "18446744073709551615"] {
        generate(directory.path(), &["--out", "a.png", "--seed", seed]).expect(4);
        generate(directory.path(), &["--out", "a.png", &format!("--seed={seed}")]).expect(4);
    }
    for seed in ["-2", "x", "1.5"] {
        generate(directory.path(), &["--out", "a.png", "--seed", seed]).expect(2).says("leave --seed out");
    }
}

#[test]
fn a_negative_number_is_a_wrong_value_and_no_option() {
    let directory = directory();
    // The ranges of these are the server's: nobody answers here.
    for option in ["--guidance", "--strength"] {
        generate(directory.path(), &["--out", "a.png", option, "-1"]).expect(4).says("nothing listens");
    }
    for option in ["--timeout", "--steps", "--images"] {
        let run = generate(directory.path(), &["--out", "a.png", option, "-1"]);
        let refused = run.expect(2);
        assert!(!refused.stderr.contains("-- -1"), "{option}: {refused:#?}");
        refused.says(option);
    }
    run(directory.path(), &["jobs", "list", "--limit", "-1"], b"").expect(2).says("--limit");
}

#[test]
fn other_picture_formats_are_refused_before_the_server_is_asked() {
    let directory = directory();
    for name in ["a.jpg", "a.JPEG", "a.webp", "a.txt", "a.png.gz"] {
        generate(directory.path(), &["--out", name]).expect(2).says("PNG only").says("--out a.png");
        let fetch = ["jobs", "fetch", "x", "--out", name, "--server", NOBODY];
        run(directory.path(), &fetch, b"").expect(2).says("PNG only");
    }
    generate(directory.path(), &["--out", "a.png"]).expect(4);
}

#[test]
fn arguments_without_effect_are_noted() {
    let directory = directory();
    std::fs::write(directory.path().join("n.txt"), "low_quality").unwrap();
    let noted = |arguments: &[&str], note: &str| {
        let run = generate(directory.path(), &[&["--out", "a.png"], arguments].concat());
        run.expect(4).says(note);
        let quiet = generate(directory.path(), &[&["--out", "a.png", "--quiet"], arguments].concat());
        assert!(!quiet.expect(4).stderr.contains("note:"), "{quiet:#?}");
    };
    noted(&["--negative", "n.txt", "--guidance", "1"], "note: guidance is off");
    noted(&["--negative", "n.txt", "--guidance-until", "0"], "note: guidance is off");
    noted(&["--preview", "linear"], "note: previews are drawn and not shown");
    noted(&["--preview-format", "png"], "note: --preview-format has no effect");
    noted(&["--preview", "none", "--preview-dir", "p"], "note: --preview-dir has no effect");
    for good in [&["--negative", "n.txt", "--guidance", "2"][..], &["--preview", "linear", "--preview-dir", "p"], &[]] {
        let run = generate(directory.path(), &[&["--out", "a.png"], good].concat());
        assert!(!run.expect(4).stderr.contains("note:"), "{run:#?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn links_pipes_and_devices_are_neither_replaced_nor_read_without_end() {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    assert!(std::process::Command::new("mkfifo").arg(path("fifo.png")).status().unwrap().success());
    std::fs::write(path("kept"), "kept").unwrap();
    symlink(path("kept"), path("link.png")).unwrap();
    for (out, reason) in [("fifo.png", "a device, pipe or socket"), ("link.png", "a link"), ("/dev/null", "a device")] {
        generate(directory.path(), &["--out", out]).expect(6).says(reason);
        generate(directory.path(), &["--out", "a.png", "--events", out]).expect(6).says(reason);
    }
    assert!(std::fs::symlink_metadata(path("fifo.png")).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read(path("kept")).unwrap(), b"kept");

    for option in ["--token-file", "--ca", "--vocabulary", "--negative", "--from"] {
        generate(directory.path(), &["--out", "a.png", option, "/dev/zero"]).expect(2).says("a device");
    }
    for arguments in [
        vec!["validate", "/dev/zero"],
        vec!["show", "/dev/zero"],
        vec!["bench", "compare", "/dev/zero", "/dev/zero"],
        vec!["bench", "report", "--events", "/dev/zero", "--out", "r.html"],
    ] {
        run(directory.path(), &arguments, b"").expect(2).says("a device");
    }
    // The pipe has no writer: no command waits for one or reads the pipe as empty.
    for arguments in [
        vec!["generate", "a.xml", "--out", "a.png", "--token-file", "fifo.png", "--server", NOBODY],
        vec!["generate", "a.xml", "--out", "a.png", "--negative", "fifo.png"],
        vec!["generate", "fifo.png", "--out", "a.png"],
        vec!["validate", "fifo.png"],
        vec!["fmt", "fifo.png"],
    ] {
        run(directory.path(), &arguments, b"").expect(2).says("it is a named pipe").says("<(cat PIPE)");
    }
    // A shell passes the output of a command as a pipe without a name, whose writer may be late.
    let script = format!("exec '{}' validate <(sleep 0.3; cat a.xml)", env!("CARGO_BIN_EXE_sakuga"));
    let shell = std::process::Command::new("bash").args(["-c", &script]).current_dir(directory.path()).output();
    let shell = shell.unwrap();
    assert!(shell.status.success(), "{}", String::from_utf8_lossy(&shell.stderr));
    std::fs::File::create(path("large")).unwrap().set_len(100 << 10).unwrap();
    generate(directory.path(), &["--out", "a.png", "--token-file", "large"]).expect(2).says("more than 64.0 KiB");
}

#[test]
fn a_prompt_without_text_is_not_drawn_and_one_that_says_so_is() {
    let directory = directory();
    let path = directory.path();
    let draw = |text: &[u8]| run(path, &["generate", "-", "--out", "a.png", "--server", NOBODY], text);
    for blank in [&b""[..], b" \n\t\n", b"\xef\xbb\xbf\n"] {
        draw(blank).expect(1).says("`<prompt></prompt>`").says("nothing was sent");
        run(path, &["validate", "-"], blank).expect(1).says("error[empty-prompt]");
        assert_eq!(run(path, &["validate", "-", "--json"], blank).expect(1).json()["valid"], false);
    }
    draw(b"<prompt></prompt>").expect(4).says("the picture will be unconditioned");
    run(path, &["validate", "-"], b"<prompt></prompt>").expect(0);
    std::fs::write(path.join("empty.txt"), "\n").unwrap();
    generate(path, &["--out", "a.png", "--negative", "empty.txt"]).expect(4);
}

#[test]
fn the_file_of_a_scene_is_not_one_prompt() {
    let directory = directory();
    let scene = b"[first]\nprompt = \"1girl\"\n[scene]\nprompt = \"forest\"\n";
    std::fs::write(directory.path().join("scene.toml"), scene).unwrap();
    std::fs::write(directory.path().join("scene.txt"), scene).unwrap();
    for arguments in [
        vec!["fmt", "scene.toml", "--write"],
        vec!["fmt", "scene.txt"],
        vec!["validate", "scene.txt"],
        vec!["generate", "scene.txt", "--out", "a.png"],
        vec!["generate", "a.xml", "--negative", "scene.toml", "--out", "a.png"],
    ] {
        run(directory.path(), &arguments, b"").expect(1).says("this is a scene").says("sakuga generate");
    }
    run(directory.path(), &["validate", "-"], scene).expect(1).says("stdin: this is a scene");
    assert_eq!(std::fs::read(directory.path().join("scene.toml")).unwrap(), scene);
}

#[cfg(unix)]
#[test]
fn every_picture_of_a_batch_is_checked_before_the_server_is_asked() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    std::fs::create_dir(path("m-1.png")).unwrap();
    std::os::unix::fs::symlink(path("elsewhere.png"), path("n-0.png")).unwrap();
    generate(directory.path(), &["--out", "m.png", "--images", "2"]).expect(6).says("cannot write m-1.png");
    generate(directory.path(), &["--out", "n.png", "--images", "2"])
        .expect(6)
        .says("cannot write n-0.png")
        .says("a link");
    // Pictures that are not drawn do not matter.
    generate(directory.path(), &["--out", "m.png", "--images", "4", "--image-index", "0,2"]).expect(4);
    generate(directory.path(), &["--out", "m.png", "--images", "4", "--image-index", "1"]).expect(4);
    std::fs::create_dir_all(path("matrix/000_steps-1.png")).unwrap();
    let matrix = ["--out", "matrix", "--matrix", "steps=1", "--json"];
    generate(directory.path(), &matrix).expect(6).says("cannot write matrix/000_steps-1.png");
    std::fs::write(path("b-1.png"), "an image").unwrap();
    let over_input = ["--out", "b.png", "--images", "2", "--init", "b-1.png"];
    generate(directory.path(), &over_input).expect(2).says("--out and --init name the same file: b-1.png");
}

#[test]
fn a_result_replaces_nothing_that_was_read() {
    let directory = directory();
    std::fs::write(directory.path().join("n.txt"), "lowres").unwrap();
    std::fs::create_dir(directory.path().join("sub")).unwrap();
    for (arguments, pair) in [
        (vec!["--out", "a.xml"], "--out and the prompt name the same file: a.xml"),
        (vec!["--out", "sub/../a.xml"], "--out and the prompt name the same file"),
        (vec!["--out", "a.png", "--events", "a.xml"], "--events and the prompt"),
        (vec!["--out", "a.png", "--negative", "n.txt", "--events", "n.txt"], "--events and --negative"),
        (vec!["--out", "a.png", "--events", "a.png"], "--events and --out"),
    ] {
        generate(directory.path(), &arguments).expect(2).says(pair);
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("a.xml")).unwrap(), GOOD);
    assert_eq!(std::fs::read_to_string(directory.path().join("n.txt")).unwrap(), "lowres");
}

#[test]
fn results_are_not_written_to_stdout() {
    let directory = directory();
    generate(directory.path(), &["--out", "-"]).expect(2).says("--out ./-");
    generate(directory.path(), &["--out", "a.png", "--events", "-"]).expect(2).says("--events ./-");
    generate(directory.path(), &["--out", "./-"]).expect(4);
    assert!(!directory.path().join("-").exists());
}

#[test]
fn previews_need_a_directory() {
    let directory = directory();
    let arguments = ["--out", "a.png", "--preview", "linear", "--preview-dir", "a.xml"];
    generate(directory.path(), &arguments).expect(6).says("it is not a directory");
}
