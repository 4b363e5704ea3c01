//! `sakuga import`.

use crate::support::run;

const INFOTEXT: &str = "1girl, solo, (blue hair:1.2), smile\nNegative prompt: lowres\n\
    Steps: 20, Sampler: Euler a, CFG scale: 6, Seed: 9, Size: 512x768, Model: other";

#[test]
fn the_request_goes_to_stdout_and_the_rest_to_stderr() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["import", "-"], INFOTEXT.as_bytes());
    let request = output.expect(0).json();
    assert_eq!((&request["seed"], &request["width"], &request["height"]), (&"9".into(), &512.into(), &768.into()));
    assert_eq!(request["sampling"]["steps"], 20);
    assert_eq!(request["typed"]["characters"][0]["appearance"]["tags"][0], "blue_hair");
    assert_eq!(request["negativePrompt"]["danbooruTags"]["tags"][0], "lowres");
    for expected in ["settings of AUTOMATIC1111; 3 settings", "(blue hair:1.2)", "Euler a", "Model other"] {
        output.says(expected);
    }
}

#[test]
fn a_file_without_settings_is_unreadable() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &["import", "-"], b"a fox in the snow");
    output.expect(2).says("no settings of AUTOMATIC1111, ComfyUI");
    assert_eq!(output.stdout, "");
}
