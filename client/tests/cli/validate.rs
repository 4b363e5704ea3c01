//! `sakuga validate`.

use crate::support::run;
use crate::{GOOD, NO_GENDER};

#[track_caller]
fn validate(text: &[u8], arguments: &[&str]) -> crate::support::Run {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("prompt.xml"), text).unwrap();
    let mut all = vec!["validate", "prompt.xml"];
    all.extend(arguments);
    run(directory.path(), &all, b"")
}

#[test]
fn a_valid_prompt_is_called_valid() {
    let run = validate(GOOD.as_bytes(), &[]);
    run.expect(0).says("prompt.xml: valid, 1 character");
    assert_eq!(run.stderr, "");
    validate(GOOD.as_bytes(), &["--strict"]).expect(0);
}

#[test]
fn an_invalid_prompt_is_shown_with_place_code_and_fix() {
    let run = validate(NO_GENDER.as_bytes(), &[]);
    run.expect(1)
        .says("error[missing-required]")
        .says("prompt.xml:")
        .says("character_1")
        .says("help:")
        .says("not valid");
    assert!(run.stdout.contains("<character_1>"), "the text is shown: {run:#?}");
}

#[test]
fn json_is_one_object_of_the_documented_shape() {
    for (text, is_valid, code) in [(GOOD, true, 0), (NO_GENDER, false, 1), ("<character_1>", false, 1)] {
        let run = validate(text.as_bytes(), &["--json"]);
        let object = run.expect(code).json();
        let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["canonical", "diagnostics", "valid"]);
        assert_eq!(object["valid"], is_valid);
        assert!(object["canonical"].is_string());
        for diagnostic in object["diagnostics"].as_array().unwrap() {
            let mut keys: Vec<&str> = diagnostic.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(
                keys,
                ["code", "column", "end_column", "end_line", "fix", "line", "message", "path", "severity"]
            );
        }
    }
    let object = validate(GOOD.as_bytes(), &["--json"]).json();
    assert_eq!(object["canonical"], GOOD);
    let object = validate(NO_GENDER.as_bytes(), &["--json"]).json();
    let missing = object["diagnostics"].as_array().unwrap().iter().find(|found| found["code"] == "missing-required");
    let missing = missing.expect("the gender is missed");
    assert_eq!(missing["severity"], "error");
    assert!(missing["path"].as_str().unwrap().starts_with("character_1"), "{missing}");
}

#[test]
fn strict_refuses_what_lenient_repairs() {
    let text = "<character_1><name>fox</name><gender>1girl</gender></character_1>";
    validate(text.as_bytes(), &[]).expect(0).says("warning[");
    validate(text.as_bytes(), &["--strict"]).expect(1).says("error[");
}

#[test]
fn stdin_is_read() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &["validate", "-"], GOOD.as_bytes()).expect(0).says("stdin: valid");
    run(directory.path(), &["validate", "-"], NO_GENDER.as_bytes()).expect(1).says("stdin:");
}

#[test]
fn what_cannot_be_read_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let run_in = |arguments: &[&str]| run(directory.path(), arguments, b"");
    let missing = run_in(&["validate", "no-such.xml"]);
    missing.expect(2).says("cannot read no-such.xml");
    assert_eq!(missing.stdout, "");
    run_in(&["validate", "."]).expect(2).says("cannot read .");
    run_in(&["validate"]).expect(2).says("Usage");
    run_in(&["validate", "no-such.xml", "--frobnicate"]).expect(2);
    let object = run_in(&["validate", "no-such.xml", "--json"]).expect(2).json();
    assert_eq!(object["diagnostics"][0]["code"], "unreadable-input");
    assert_eq!((&object["valid"], &object["canonical"]), (&false.into(), &"".into()));
}

#[test]
fn hostile_input_is_diagnosed() {
    let nested = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
    let bomb = "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><caption>&b;</caption>";
    let inputs: [(&[u8], &str); 6] = [
        (b"\xff\xfe\x00<", "bytes that are not UTF-8"),
        (b"<caption>a\0b</caption>", "a NUL"),
        (nested.as_bytes(), "deep nesting"),
        (bomb.as_bytes(), "entities"),
        (&[b'a'; 10_000_000], "ten megabytes"),
        (b"<character_1><gender>1girl</gender><n>\x1b[2J</n></character_1>", "an escape sequence"),
    ];
    for (input, what) in inputs {
        let run = validate(input, &[]);
        assert_eq!(run.code, Some(1), "{what}: {run:#?}");
        assert!(run.stdout.len() < 200_000, "{what}: {} bytes of output", run.stdout.len());
        assert!(!run.stdout.contains('\u{1b}'), "{what}: {run:#?}");
        let object = validate(input, &["--json"]).json();
        assert_eq!(object["valid"], false, "{what}");
    }
}

#[test]
fn negative_prompts_have_their_own_form() {
    let text = b"<danbooru_tags>low_quality</danbooru_tags>\n";
    validate(text, &["--negative"]).expect(0).says("a negative prompt");
    let object = validate(text, &["--negative", "--json"]).expect(0).json();
    assert!(object["canonical"].as_str().unwrap().contains("<danbooru_tags>low_quality</danbooru_tags>"), "{object}");
}

#[test]
fn what_was_split_off_is_in_the_json() {
    let text = format!("You are good. <Prompt Start>\n{GOOD}\nNegative prompt: You are bad. <Prompt Start> lowres\n");
    let object = validate(text.as_bytes(), &["--json"]).expect(0).json();
    assert_eq!((&object["canonical"], &object["negative"]), (&GOOD.into(), &"<caption>lowres</caption>\n".into()));
    assert_eq!(object["system_prompt"], "You are good. <Prompt Start>");
    assert_eq!(object["negative_system_prompt"], "You are bad. <Prompt Start>");
}

#[test]
fn a_tag_list_can_be_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.xml"), GOOD.replace("blue_eyes", "zorble_eyes")).unwrap();
    std::fs::write(
        directory.path().join("tags.csv"),
        "long_hair,0,9,\nzorble_eyes,0,9,\n1girl,0,9,\nsmile,0,9,\n>_<,0,9,\n",
    )
    .unwrap();
    let built_in = run(directory.path(), &["validate", "a.xml", "--json"], b"").expect(0).json();
    assert!(built_in.to_string().contains("zorble_eyes"), "{built_in}");
    let named =
        run(directory.path(), &["validate", "a.xml", "--json", "--vocabulary", "tags.csv"], b"").expect(0).json();
    assert!(!named["diagnostics"].to_string().contains("zorble_eyes"), "{named}");
    run(directory.path(), &["validate", "a.xml", "--vocabulary", "none.csv"], b"").expect(2).says("none.csv");
}

#[test]
fn a_request_in_json_is_recognised() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("request.json"), r#"{"xml": "1girl", "seed": "7"}"#).unwrap();
    let run = run(directory.path(), &["validate", "request.json"], b"");
    run.expect(0).says("it is a request in JSON; draw it with `sakuga generate --from request.json`");
}

#[test]
fn tags_that_the_model_was_not_trained_with_are_advice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let text = b"<character_1><n></n><gender>1girl</gender><appearance>teal_hair, blue_hair</appearance></character_1>";
    std::fs::write(folder.path().join("vocabulary.json"), r#"{"tags": {"appearance": ["blue_hair"]}}"#).unwrap();
    validate(text, &["--model", path]).expect(0).says("advice[unknown-to-model]").says("teal_hair").says("`blue_hair`");
    assert!(!validate(text, &[]).expect(0).stdout.contains("unknown-to-model"), "no model was named");
    std::fs::write(folder.path().join("vocabulary.json"), r#"{"tags": 3}"#).unwrap();
    validate(text, &["--model", path]).expect(2);
    std::fs::remove_file(folder.path().join("vocabulary.json")).unwrap();
    validate(text, &["--model", path]).expect(2);
}

#[test]
fn a_scene_is_checked_text_by_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::write(path.join("girl.xml"), GOOD).unwrap();
    let write = |text: &str| std::fs::write(path.join("scene.toml"), text).unwrap();
    let scene = "[first]\nprompt-file = \"girl.xml\"\n[scene]\nprompt = \"2girls, forest\"\nnegative = \"rain\"\n";
    let validate = |arguments: &[&str]| run(path, &[&["validate", "scene.toml"], arguments].concat(), b"");

    write(scene);
    validate(&[])
        .expect(0)
        .says("girl.xml: valid, 1 character")
        .says("advice[plain-text]")
        .says("scene.toml [scene] prompt: valid")
        .says("scene.toml [scene] negative: valid, a negative prompt");
    let object = validate(&["--json"]).expect(0).json();
    assert_eq!((&object["valid"], object["texts"].as_array().unwrap().len()), (&true.into(), 3));
    assert_eq!(object["texts"][1]["name"], "scene.toml [scene] prompt");
    assert_eq!(object["texts"][0]["canonical"], GOOD);

    std::fs::write(path.join("girl.xml"), NO_GENDER).unwrap();
    validate(&[]).expect(1).says("girl.xml: not valid").says("scene.toml [scene] prompt: valid");
    assert_eq!(validate(&["--json"]).expect(1).json()["valid"], false);
    write(&scene.replace("2girls, forest", " "));
    validate(&[]).expect(1).says("scene.toml [scene] prompt: not valid");
    write(&scene.replace("2girls, forest", "1girl\\nNegative prompt: lowres"));
    validate(&[]).expect(1).says("two negative prompts");
    write(&scene.replace("prompt =", "promt ="));
    validate(&[]).expect(2).says("[scene] prompt: there is nothing to draw");
    assert_eq!(validate(&["--json"]).expect(2).json()["diagnostics"][0]["code"], "unreadable-input");
    write(scene);
    validate(&["--negative"]).expect(2).says("is a scene");
}
