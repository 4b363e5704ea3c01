//! `sakuga generate scene.toml`, run as a user runs it.

use sakuga_client::proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::{Accepted, GenerateRequest, ImageMetadata, ResizeMode, Scene, scene};
use sakuga_client::proto::json;
use sakuga_client::proto::prompt::v1::{Diagnostic, Severity};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::command::{PROMPT, generate, picture_with};
use crate::fake::{Act, Fake, job};

const SCENE: &str = r#"
[first]
prompt-file = "prompt.xml"
model = "newbie"
steps = 20

[scene]
prompt = "<caption>A forest.</caption>"
negative = "rain"
model = "sdxl"
strength = 0.5
protect = ["1,2,3,4"]
"#;

#[tokio::test]
async fn a_scene_is_sent_with_both_passes() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("scene.toml"), SCENE).unwrap();
    let mut acts = job(2, &[b"a whole png file"]);
    let finding = Diagnostic {
        code: "over-long".into(),
        severity: Severity::Warning.into(),
        message: "the encoder reads less".into(),
        path: "scene.prompt".into(),
        ..Diagnostic::default()
    };
    let accepted = acts.iter_mut().find_map(|act| match act {
        Act::Send(WireEvent::Accepted(accepted)) => Some(accepted),
        _ => None,
    });
    *accepted.unwrap() = Accepted { diagnostics: vec![finding], ..Accepted::default() };
    let fake = Fake::playing(acts).await;
    let run = generate(&fake, directory.path(), &["scene.toml", "--out", "out.png", "--steps", "9"]).await;
    run.expect(0).says("scene.toml [scene] prompt: 1 finding of the server").says("the encoder reads less");
    let (request, _) = fake.requests().remove(0);
    assert_eq!(request.prompt, Some(Prompt::Xml(PROMPT.into())));
    assert_eq!((request.model.as_str(), request.sampling.as_ref().unwrap().steps), ("newbie", 9), "options change it");
    let sent = request.scene.clone().unwrap();
    assert_eq!(sent.prompt, Some(scene::Prompt::Xml("<caption>A forest.</caption>".into())));
    assert_eq!(sent.negative, Some(scene::Negative::NegativeText("rain".into())));
    assert_eq!((sent.model.as_str(), sent.strength), ("sdxl", Some(0.5)));
    assert_eq!(sent.protection.unwrap().boxes[0].height, 4);

    // The request comes back from a record.
    std::fs::write(directory.path().join("record.json"), json::to_string(&request).unwrap()).unwrap();
    generate(&fake, directory.path(), &["--from", "record.json", "--out", "again.png"]).await.expect(0);
    let again = fake.requests().remove(1).0;
    assert_eq!((again.prompt, again.scene), (request.prompt, request.scene));
}

#[tokio::test]
async fn a_prompt_of_the_scene_that_is_not_valid_is_not_sent() {
    let directory = tempfile::tempdir().unwrap();
    let bad = SCENE.replace("prompt = \"<caption>A forest.</caption>\"", "prompt-file = \"bad.xml\"");
    std::fs::write(directory.path().join("scene.toml"), bad).unwrap();
    std::fs::write(directory.path().join("bad.xml"), "<character_1><n>a</n></character_1>").unwrap();
    let fake = Fake::playing(job(2, &[b"a whole png file"])).await;
    let refused = ["scene.toml", "--out", "out.png"];
    let run = generate(&fake, directory.path(), &refused).await;
    run.expect(1).says("bad.xml").says("error[missing-required]").says("nothing was sent");
    let both = ["scene.toml", "--from", "record.json", "--out", "out.png"];
    std::fs::write(directory.path().join("record.json"), "{\"xml\": \"1girl\"}").unwrap();
    generate(&fake, directory.path(), &both).await.expect(2).says("leave one of the two out");
    assert!(fake.requests().is_empty());
}

/// A picture whose record has every setting of its scene, as the server writes it.
fn drawn(scene: Scene) -> Vec<u8> {
    let scene = Scene { prompt: Some(scene::Prompt::Xml("forest".into())), model: "sdxl".into(), ..scene };
    let request = GenerateRequest {
        prompt: Some(Prompt::Xml(PROMPT.into())),
        model: "newbie".into(),
        seed: Some(7),
        width: 64,
        height: 48,
        scene: Some(scene),
        ..GenerateRequest::default()
    };
    picture_with(&ImageMetadata { version: 1, request: Some(request), seed: 7, ..ImageMetadata::default() })
}

#[tokio::test]
async fn the_scene_of_a_picture_follows_seed_and_size_unless_it_has_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let taken = Scene { seed: Some(8), width: 64, height: 48, strength: Some(0.4), ..Scene::default() };
    let own = Scene { seed: Some(3), width: 96, height: 96, resize: ResizeMode::Crop.into(), ..taken.clone() };
    std::fs::write(path.join("taken.png"), drawn(taken)).unwrap();
    std::fs::write(path.join("own.png"), drawn(own)).unwrap();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    let sent = async |arguments: &[&str]| {
        let run = generate(&fake, path, &[arguments, &["--out", "out.png"]].concat()).await;
        run.expect(0);
        let request = fake.requests().pop().unwrap().0;
        let scene = request.scene.unwrap();
        (request.seed, scene.seed, [scene.width, scene.height], scene.resize(), scene.strength, run)
    };
    let (seed, of_scene, size, .., run) = sent(&["--from", "taken.png"]).await;
    assert_eq!((seed, of_scene, size), (Some(7), Some(8), [64, 48]));
    assert!(
        run.stderr.contains("the pixels are the same") || run.stdout.contains("the pixels are the same"),
        "{run:#?}"
    );
    let (seed, of_scene, size, .., run) = sent(&["--from", "taken.png", "--seed", "5"]).await;
    assert_eq!((seed, of_scene, size), (Some(5), Some(6), [64, 48]), "as for the file of the scene");
    assert!(!run.stderr.contains("keeps its own"), "{run:#?}");
    let (seed, of_scene, ..) = sent(&["--from", "taken.png", "--seed", "-1"]).await;
    assert_eq!((seed, of_scene), (None, None));
    let (.., size, resize, strength, _) = sent(&["--from", "taken.png", "--size", "128x128"]).await;
    assert_eq!((size, resize, strength), ([0, 0], ResizeMode::Unspecified, Some(0.4)), "that of the first pass");
    let (.., resize, strength, _) = sent(&["--from", "taken.png", "--resize", "pad", "--strength", "0.6"]).await;
    assert_eq!((resize, strength), (ResizeMode::Pad, Some(0.6)));

    let (seed, of_scene, size, .., run) = sent(&["--from", "own.png", "--seed", "5", "--size", "128x128"]).await;
    assert_eq!((seed, of_scene, size), (Some(5), Some(3), [96, 96]));
    run.says("note: the scene keeps its own seed 3").says("note: the scene keeps its own size 96x96");
    let (_, of_scene, .., run) = sent(&["--from", "own.png"]).await;
    assert_eq!(of_scene, Some(3));
    assert!(!run.stderr.contains("keeps its own"), "{run:#?}");

    // Every value of a matrix has its own seed in both passes.
    let matrix = ["--from", "taken.png", "--matrix", "seed=5,9", "--out", "matrix", "--jobs", "1"];
    let before = fake.requests().len();
    generate(&fake, path, &matrix).await;
    let seeds = fake.requests().split_off(before).into_iter().map(|(request, _)| request.scene.unwrap().seed);
    assert_eq!(seeds.collect::<Vec<_>>(), [Some(6), Some(10)]);

    // A file with a seed of the scene's own.
    let scene = format!("{SCENE}seed = 3\n");
    std::fs::write(path.join("scene.toml"), scene).unwrap();
    let (seed, of_scene, .., run) = sent(&["scene.toml", "--seed", "5"]).await;
    assert_eq!((seed, of_scene), (Some(5), Some(3)));
    run.says("note: the scene keeps its own seed 3; --seed sets that of the first pass");
}

#[tokio::test]
async fn advice_on_a_scene_names_the_command_that_shows_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let fake = Fake::playing(job(1, &[b"png"])).await;
    std::fs::write(path.join("plain.txt"), "2girls, forest").unwrap();
    let scene = SCENE.replace("<caption>A forest.</caption>", "2girls, forest");
    std::fs::write(path.join("scene.toml"), scene.replace("prompt.xml", "plain.txt")).unwrap();
    let run = generate(&fake, path, &["scene.toml", "--out", "out.png"]).await;
    run.expect(0)
        .says("plain.txt: 1 piece of advice, shown by `sakuga validate plain.txt`")
        .says("scene.toml [scene] prompt: 1 piece of advice, shown by `sakuga validate scene.toml`");
    let run = generate(&fake, path, &["plain.txt", "--negative", "plain.txt", "--out", "out.png"]).await;
    run.expect(0).says("shown by `sakuga validate --negative plain.txt`");
}

#[tokio::test]
async fn a_scene_of_another_size_and_an_unknown_model_say_what_to_change() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("scene.toml"), SCENE).unwrap();
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("scene.resize", "the sizes differ; set `resize` to crop, pad or stretch");
    details.set_error_info("INVALID_REQUEST", "sakuga.dev", []);
    let refusal = Status::with_error_details(Code::InvalidArgument, "the request is wrong", details);
    let fake = Fake::start(Some(refusal), vec![]).await;
    let run = generate(&fake, directory.path(), &["scene.toml", "--out", "out.png"]).await;
    run.expect(3).says("scene.resize: the sizes differ").says("help: write --resize crop, pad or stretch");

    let details = ErrorDetails::with_error_info("MODEL_NOT_FOUND", "sakuga.dev", []);
    let refusal = Status::with_error_details(Code::NotFound, "there is no model", details);
    let fake = Fake::start(Some(refusal), vec![]).await;
    let arguments = ["prompt.xml", "--out", "out.png", "--model", "./newbie.safetensors"];
    let run = generate(&fake, directory.path(), &arguments).await;
    run.expect(3).says("there is no model").says("help: name a model of this server, as `sakuga models` lists them");
}
