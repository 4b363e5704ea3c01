//! `sakuga fmt`.

use crate::support::{Run, run};
use crate::{GOOD, NO_GENDER};

/// Valid, and not in canonical form: order, blanks, an envelope, an alias.
const UNTIDY: &str = "<img><general_tags><other>smile,  >_<</other><count>1girl</count></general_tags>
  <character_1><gender>1girl</gender><name></name><appearance>long_hair,blue_eyes</appearance></character_1></img>";

fn fmt(text: &str, arguments: &[&str]) -> (Run, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("prompt.xml");
    std::fs::write(&path, text).unwrap();
    let mut all = vec!["fmt", "prompt.xml"];
    all.extend(arguments);
    let run = run(directory.path(), &all, b"");
    (run, std::fs::read_to_string(path).unwrap())
}

#[test]
fn the_canonical_form_goes_to_stdout() {
    let (run, file) = fmt(UNTIDY, &[]);
    assert_eq!(run.expect(0).stdout, GOOD);
    assert_eq!(file, UNTIDY);
    assert!(run.stderr.contains("warning["), "repairs are reported: {run:#?}");
    let (run, _) = fmt(GOOD, &[]);
    assert_eq!((run.expect(0).stdout.as_str(), run.stderr.as_str()), (GOOD, ""));
}

#[test]
fn write_changes_the_file() {
    let (run, file) = fmt(UNTIDY, &["--write"]);
    assert_eq!((run.expect(0).stdout.as_str(), file.as_str()), ("", GOOD));
}

#[test]
fn check_changes_nothing() {
    let (run, file) = fmt(UNTIDY, &["--check"]);
    run.expect(1).says("prompt.xml: not in canonical form");
    assert_eq!((run.stdout.as_str(), file.as_str()), ("", UNTIDY));
    fmt(GOOD, &["--check"]).0.expect(0).says("in canonical form");
    fmt(GOOD, &["--check", "--write"]).0.expect(2);
}

#[test]
fn an_invalid_prompt_is_left_alone() {
    let (run, file) = fmt(NO_GENDER, &["--write"]);
    run.expect(1).says("error[missing-required]").says("nothing was written");
    assert_eq!(file, NO_GENDER);
}

#[test]
fn strict_refuses_what_needs_a_repair() {
    fmt(UNTIDY, &["--strict"]).0.expect(1).says("error[");
}

#[test]
fn fixes_are_applied_where_they_need_no_decision() {
    // Unescaped markup is an error in strict mode, and escaping it is a fix.
    let text = "<caption>Tom & Jerry</caption>\n";
    fmt(text, &["--strict"]).0.expect(1);
    let (run, _) = fmt(text, &["--strict", "--fix"]);
    assert_eq!(run.expect(0).stdout, "<caption>Tom &amp; Jerry</caption>\n");
    assert!(run.stderr.contains("fixed 1:"), "{run:#?}");
}

#[test]
fn a_system_prompt_is_reported_and_left_out() {
    let text = format!("You are an assistant. <Prompt Start>\n{GOOD}");
    let (run, _) = fmt(&text, &[]);
    assert_eq!(run.expect(0).stdout, GOOD);
    assert!(run.stderr.contains("--system-prompt 'You are an assistant."), "{run:#?}");
}

#[test]
fn the_system_prompt_of_a_negative_prompt_has_its_own_option() {
    let text = "You are bad. <Prompt Start>\n<danbooru_tags>lowres</danbooru_tags>\n";
    let (run, _) = fmt(text, &["--negative"]);
    assert_eq!(run.expect(0).stdout, "<danbooru_tags>lowres</danbooru_tags>\n");
    assert!(run.stderr.contains("--negative-system-prompt 'You are bad. <Prompt Start> '"), "{run:#?}");
    let (run, _) = fmt(&format!("{GOOD}\nNegative prompt: You are bad. <Prompt Start> lowres\n"), &[]);
    assert_eq!(run.expect(0).stdout, GOOD);
    assert!(run.stderr.contains("--negative-system-prompt 'You are bad. <Prompt Start> '"), "{run:#?}");
}

#[test]
fn stdin_goes_to_stdout() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(run(directory.path(), &["fmt", "-"], UNTIDY.as_bytes()).expect(0).stdout, GOOD);
    run(directory.path(), &["fmt", "-", "--write"], UNTIDY.as_bytes()).expect(2).says("leave out --write");
    run(directory.path(), &["fmt", "-"], b"\xff").expect(1);
}
