//! `sakuga generate scene.toml`, run as a user runs it.

use sakuga_client::proto::generation::v1::generate_event::Event as WireEvent;
use sakuga_client::proto::generation::v1::generate_request::Prompt;
use sakuga_client::proto::generation::v1::{Accepted, scene};
use sakuga_client::proto::json;
use sakuga_client::proto::prompt::v1::{Diagnostic, Severity};

use crate::command::{PROMPT, generate};
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
