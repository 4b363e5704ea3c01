//! The program pulls a model, lists it, serves it by its name and deletes it.

use std::process::Output;

use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::{GenerateRequest, Sampling};
use sakuga_server::{App, Config};
use tonic::transport::Channel;

use crate::hub::{COMMIT, FakeHub, files_of};
use crate::process;
use crate::support::{SOURCE, TOKEN, model};

/// Runs the program without a terminal, with a proxy in the environment that nothing on this machine needs.
fn program(hub: &FakeHub, home: &std::path::Path, arguments: &[&str]) -> Output {
    let mut command = process::command(arguments);
    command.env("HOME", home).env("HF_ENDPOINT", hub.endpoint()).env("HF_TOKEN", TOKEN);
    command.env("HTTP_PROXY", "http://127.0.0.1:1").output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    assert!(!text.contains(TOKEN) && !text.contains('\u{1b}'), "{text}");
    text
}

#[test]
fn a_pulled_model_is_served_by_its_name_and_draws() {
    let (hub, home) = (FakeHub::start(model()), tempfile::tempdir().expect("a temporary folder"));
    let run = |arguments: &[&str]| program(&hub, home.path(), arguments);
    let refused = run(&["models", "pull", SOURCE]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    for part in ["licence: tiny-terms (", "You may draw.", "--accept-licence", "nothing was downloaded"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(hub.downloads().is_empty(), "nothing is downloaded before the licence is accepted");

    let pulled = run(&["models", "pull", SOURCE, "--accept-licence"]);
    let said = text(&pulled.stderr);
    assert_eq!(pulled.status.code(), Some(0), "{said}");
    for part in ["left out: ", "README.md", "unet/diffusion_pytorch_model.bin", "fp16.safetensors", "vae/model.onnx"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(text(&pulled.stdout).contains("sakuga-server --model tiny"));
    let models = home.path().join(".local/share/sakuga/models");
    let (files, expected) = (files_of(&models.join("tiny")), model());
    let left_out = [
        "README.md",
        "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/model.onnx",
    ];
    for (path, content) in &expected {
        let is_needed = !left_out.contains(&path.as_str());
        assert_eq!(files.get(path), is_needed.then_some(content), "{path}");
    }
    assert_eq!(files.len(), expected.len() - left_out.len() + 1, "the record, and nothing else: {:?}", files.keys());

    hub.downloads();
    let again = run(&["models", "pull", SOURCE, "--accept-licence"]);
    assert!(text(&again.stdout).contains("is there already") && hub.downloads().is_empty());
    let listed = text(&run(&["models", "list"]).stdout);
    assert!(
        listed.starts_with("tiny  ") && listed.contains(&COMMIT[..12]) && listed.contains("tiny-terms"),
        "{listed}"
    );

    let inspected = text(&run(&["models", "inspect", "tiny"]).stdout);
    for part in ["a Stable Diffusion XL model, as a folder", "prediction: epsilon", "unet: ", "sakuga-server --model"] {
        assert!(inspected.contains(part), "{part}: {inspected}");
    }
    let json = run(&["models", "inspect", "--json", "tiny"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text(&json.stdout)).expect("JSON")["usage"], "model");
    assert_eq!(run(&["models", "inspect", "/dev/null"]).status.code(), Some(1));

    draw(home.path());

    let unknown = run(&["--model", "other"]);
    assert_eq!(unknown.status.code(), Some(64));
    let said = text(&unknown.stderr);
    assert!(said.contains("there are `tiny`") && said.contains("sakuga-server models pull hf:OWNER/other"), "{said}");
    let unpulled = text(&run(&["--model", "hf:owner/other"]).stderr);
    assert!(unpulled.contains("`sakuga-server models pull hf:owner/other`"), "{unpulled}");

    assert!(text(&run(&["models", "remove", "tiny"]).stdout).starts_with("deleted tiny"));
    assert!(!models.join("tiny").exists());
    assert_eq!(run(&["models", "remove", "tiny"]).status.code(), Some(1));
    assert!(text(&run(&["models", "list"]).stdout).starts_with("no models in "));
}

/// Draws one picture with the model `tiny` of a home.
#[tokio::main(flavor = "current_thread")]
async fn draw(home: &std::path::Path) {
    let arguments = ["sakuga-server", "--model", "tiny", "--device", "cpu", "--listen", "127.0.0.1:0"];
    let home = home.to_str().expect("a plain path");
    let environment = |name: &str| (name == "HOME").then(|| home.to_owned());
    let config = Config::load(arguments.map(Into::into), environment).expect("a configuration");
    let server = App::build(config).await.unwrap_or_else(|error| panic!("{error}")).spawn();
    let channel = Channel::from_shared(server.url().to_owned()).expect("a URL").connect().await.expect("it listens");
    let mut client = GenerationServiceClient::new(channel);
    let request = GenerateRequest {
        prompt: Some(Prompt::Xml("1girl, red hat".into())),
        sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
        width: 32,
        height: 32,
        seed: Some(5),
        ..GenerateRequest::default()
    };
    let mut stream = client.generate(request).await.expect("accepted").into_inner();
    let mut last = None;
    while let Some(message) = stream.message().await.expect("the stream does not break") {
        last = message.event.and_then(|event| event.event);
    }
    assert!(matches!(last, Some(Event::Completed(_))), "{last:?}");
    drop((client, stream));
    server.stop().await.expect("a clean end");
}
