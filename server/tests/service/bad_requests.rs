//! Every fault of a request is reported at once, with places and remedies.

use std::collections::BTreeMap;

use sakuga_proto::generation::v1::{Expansion, GenerateRequest, PreviewOptions, Sampling, generate_request};
use sakuga_proto::prompt::v1::{Character, NegativePrompt, Prompt, Strictness, TagList};
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

use crate::support::{Server, XML, expect_event, name, quick, request, run, scripted};

/// Field to (reason, description) of every violation.
pub(crate) fn violations(status: &Status) -> BTreeMap<String, (String, String)> {
    use prost::Message as _;
    let rpc = pb::Status::decode(status.details()).expect("google.rpc.Status");
    assert_eq!((rpc.code, rpc.message.as_str()), (status.code() as i32, status.message()));
    let packed = rpc.details.iter().find(|any| any.type_url.ends_with("/google.rpc.BadRequest")).expect("BadRequest");
    let bad = pb::BadRequest::decode(packed.value.as_slice()).expect("BadRequest decodes");
    bad.field_violations.into_iter().map(|found| (found.field, (found.reason, found.description))).collect()
}

async fn refuse(server: &Server, request: GenerateRequest) -> Status {
    server.generation().generate(request).await.expect_err("the request is wrong")
}

#[tokio::test]
async fn every_fault_of_a_request_is_reported_at_once() {
    let server = Server::start(scripted(quick())).await;
    let mut sampling = Sampling { solver: 77, steps: 201, shift: Some(0.0), ..Sampling::default() };
    (sampling.guidance_scale, sampling.guidance_until) = (Some(f32::NAN), Some(2.0));
    sampling.guidance_renorm = Some(-1.0);
    let status = refuse(
        &server,
        GenerateRequest {
            request_id: "x".repeat(65),
            width: 1000,
            height: 9000,
            images: 99,
            sampling: Some(sampling),
            preview: Some(PreviewOptions { method: 9, format: 9, max_edge: 8, ..PreviewOptions::default() }),
            ..GenerateRequest::default()
        },
    )
    .await;
    assert_eq!(status.code(), Code::InvalidArgument);
    let found = violations(&status);
    for (field, reason, part) in [
        ("prompt", "required", "set `xml`"),
        ("request_id", "bad-text", "at most 64"),
        ("width", "not-a-multiple", "992 or 1008"),
        ("height", "not-a-multiple", "use 8192"),
        ("images", "out-of-range", "1 to 8"),
        ("sampling.solver", "unknown-value", "77"),
        ("sampling.steps", "out-of-range", "1 to 200"),
        ("sampling.guidance_scale", "out-of-range", "1 to 30"),
        ("sampling.guidance_until", "out-of-range", "0 to 1"),
        ("sampling.guidance_renorm", "out-of-range", "0 to"),
        ("sampling.shift", "out-of-range", "0.1 to 20"),
        ("preview.method", "unknown-value", "9"),
        ("preview.format", "unknown-value", "9"),
        ("preview.max_edge", "out-of-range", "16 to 2048"),
    ] {
        let (found_reason, description) = found.get(field).unwrap_or_else(|| panic!("{field} is not in {found:?}"));
        assert_eq!(found_reason, reason, "{field}");
        assert!(description.contains(part), "{field}: {description}");
    }
    assert_eq!(found.len(), 14, "{found:?}");
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_REQUEST", "sakuga.dev"));
    server.stop().await;
}

#[tokio::test]
async fn pictures_that_the_batch_does_not_have_are_named() {
    let server = Server::start(scripted(quick())).await;
    let given = |images, image_indices| GenerateRequest { images, image_indices, ..request(1) };
    let found = violations(&refuse(&server, given(4, vec![1, 4, 1])).await);
    assert_eq!(found["image_indices[1]"].0, "out-of-range", "{found:?}");
    assert!(found["image_indices[1]"].1.contains("use 0 to 3, or raise `images`"), "{found:?}");
    assert_eq!((found["image_indices[2]"].0.as_str(), found.len()), ("duplicate", 2), "{found:?}");
    let found = violations(&refuse(&server, given(0, vec![1])).await);
    assert!(found["image_indices[0]"].1.contains("the batch of 1 has no picture 1"), "{found:?}");
    let found = violations(&refuse(&server, given(2, vec![0; 3])).await);
    assert_eq!((found["image_indices"].0.as_str(), found.len()), ("out-of-range", 1), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn what_a_prompt_was_made_from_is_bounded() {
    let server = Server::start(scripted(quick())).await;
    let templates = [
        Expansion { template: "x".repeat(200 << 10), ..Expansion::default() },
        Expansion { choices: vec!["y".repeat(1000); 200], ..Expansion::default() },
    ];
    for expansion in templates {
        let found = violations(&refuse(&server, GenerateRequest { expansion: Some(expansion), ..request(1) }).await);
        assert_eq!((found["expansion"].0.as_str(), found.len()), ("bad-text", 1), "{found:?}");
        assert!(found["expansion"].1.contains("use at most 131072"), "{found:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn findings_about_the_prompt_carry_code_place_and_remedy() {
    let server = Server::start(scripted(quick())).await;
    let xml = XML.replace("<gender>1girl</gender>\n", "");
    let prompt = Some(generate_request::Prompt::Xml(xml));
    let strictness = Strictness::Strict.into();
    let status = refuse(&server, GenerateRequest { prompt, strictness, ..request(1) }).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    let found = violations(&status);
    let (field, (reason, description)) = found.first_key_value().expect("a violation");
    assert!(field.starts_with("character_1"), "{field}");
    assert!(
        !reason.is_empty() && reason.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'),
        "{reason}"
    );
    assert!(description.contains("line ") && description.contains("column "), "{description}");
    server.stop().await;
}

#[tokio::test]
async fn a_typed_prompt_is_checked_by_the_same_grammar() {
    let server = Server::start(scripted(quick())).await;
    let typed = Prompt { characters: vec![Character { gender: 99, ..Character::default() }], ..Prompt::default() };
    let prompt = Some(generate_request::Prompt::Typed(typed));
    let found = violations(&refuse(&server, GenerateRequest { prompt, ..request(1) }).await);
    assert_eq!(found["character_1/gender"].0, "unknown-value", "{found:?}");
    let tags = TagList { tags: vec!["".into(), "a,b".into()] };
    let negative = NegativePrompt { danbooru_tags: Some(tags), ..NegativePrompt::default() };
    let negative = Some(generate_request::Negative::NegativePrompt(negative));
    let found = violations(&refuse(&server, GenerateRequest { negative, ..request(1) }).await);
    assert!(found.contains_key("negative"), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn too_many_pixels_and_two_system_prompts_are_refused() {
    let server = Server::start(scripted(quick())).await;
    let own = format!("You are an assistant designed to generate anime images. <Prompt Start> {XML}");
    let twice = GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml(own)),
        system_prompt: Some("Another one. ".into()),
        ..request(1)
    };
    let found = violations(&refuse(&server, twice).await);
    assert_eq!(found["system_prompt"].0, "conflict", "{found:?}");
    let found = violations(&refuse(&server, GenerateRequest { width: 4096, height: 4096, ..request(1) }).await);
    assert!(found["width"].1.contains("16777216 pixels"), "{found:?}");
    server.stop().await;
}

#[tokio::test]
async fn system_prompts_have_the_characters_of_prompts() {
    let server = Server::start(scripted(quick())).await;
    let negative = || Some(generate_request::Negative::NegativeText("lowres".into()));
    let with = |system_prompt: &str, own: &str| GenerateRequest {
        system_prompt: Some(system_prompt.into()),
        negative: negative(),
        negative_system_prompt: Some(own.into()),
        ..request(1)
    };
    for text in ["Draw \0 well. ", "Draw \u{1b}[31m well. "] {
        let found = violations(&refuse(&server, with(text, text)).await);
        for field in ["system_prompt", "negative_system_prompt"] {
            let (reason, description) = found.get(field).unwrap_or_else(|| panic!("{field} is not in {found:?}"));
            assert!(reason == "bad-encoding" && description.contains("column 6"), "{field}: {description}");
        }
        assert_eq!(found.len(), 2, "{found:?}");
    }
    let events = run(&server, with("Draw \u{202e}well. ", "Draw\u{200b} badly. ")).await;
    let accepted = expect_event!(events[0], Accepted);
    let found: Vec<_> = accepted
        .diagnostics
        .iter()
        .filter(|finding| finding.code == "invisible-character")
        .map(|finding| finding.path.as_str())
        .collect();
    assert_eq!(found, ["system_prompt", "negative_system_prompt"], "{accepted:?}");
    let started = events.iter().find(|event| name(event) == "started").expect("it started");
    let resolved = expect_event!(started, Started).resolved.clone().expect("the request");
    assert_eq!(resolved.system_prompt.as_deref(), Some("Draw well. "));
    assert_eq!(resolved.negative_system_prompt.as_deref(), Some("Draw badly. "));
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_model_is_not_found() {
    let server = Server::start(scripted(quick())).await;
    let status = refuse(&server, GenerateRequest { model: "no-such".into(), ..request(1) }).await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(status.get_details_error_info().expect("ErrorInfo").metadata["models"], "scripted");
    server.stop().await;
}

#[tokio::test]
async fn a_hostile_prompt_is_refused_within_the_header_limit() {
    let server = Server::start(scripted(quick())).await;
    for xml in [
        "<a>".repeat(20_000),
        "x".repeat(400 << 10),
        "x".repeat(4 << 20),
        "\0".into(),
        "<character_1><zzz>".repeat(2000),
    ] {
        let prompt = Some(generate_request::Prompt::Xml(xml));
        let strictness = Strictness::Strict.into();
        let status = refuse(&server, GenerateRequest { prompt, strictness, ..request(1) }).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.details().len() <= 6 * 1024, "{}", status.details().len());
        assert!((1..=20).contains(&violations(&status).len()));
    }
    let prompt = Some(generate_request::Prompt::Xml("x".repeat(5 << 20)));
    let status = refuse(&server, GenerateRequest { prompt, ..request(1) }).await;
    assert_eq!(
        status.code(),
        Code::ResourceExhausted,
        "a message without room for the largest images is not read at all: {status:?}"
    );
    assert_eq!(status.get_details_error_info().expect("ErrorInfo").reason, "MESSAGE_TOO_LARGE");
    server.stop().await;
}
