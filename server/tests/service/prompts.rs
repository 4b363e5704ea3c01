//! PromptService: checks, parses, writes, and gives out the language itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message as _;
use sakuga_model_core::ModelVocabulary;
use sakuga_proto::generation::v1::generate_event::Event;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{CreateJobRequest, GenerateRequest, Sampling, SecondPass, generate_request};
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::prompt::v1::{
    FormatPromptRequest, GetSchemaRequest, ParsePromptRequest, Severity, Strictness, ValidatePromptRequest,
    validate_prompt_request::Prompt,
};
use sakuga_proto::system::v1::ListModelsRequest;
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_server::engine::scripted::Script;
use tonic::Code;

use crate::support::{Server, XML, quick, request, run, scripted};

#[tokio::test]
async fn an_invalid_prompt_is_an_answer_with_every_finding() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let valid = ValidatePromptRequest { prompt: Some(Prompt::Xml(XML.into())), ..ValidatePromptRequest::default() };
    let valid = prompts.validate_prompt(valid).await.expect("an answer").into_inner();
    assert!(valid.valid, "{:?}", valid.diagnostics);
    assert!(valid.canonical_xml.contains("<caption>A girl looks at the sea.</caption>"));
    assert!(valid.model_text.contains("blue_hair"));
    let encoders: Vec<&str> = valid.token_counts.iter().map(|count| count.encoder.as_str()).collect();
    assert_eq!(encoders, ["main_encoder", "pooled_encoder"]);
    assert!(valid.token_counts.iter().all(|count| count.tokens > 0 && !count.truncated && count.first_lost.is_empty()));

    let broken = ValidatePromptRequest {
        prompt: Some(Prompt::Xml("<character_1><n>x</n>".into())),
        strictness: Strictness::Strict.into(),
        ..ValidatePromptRequest::default()
    };
    let broken = prompts.validate_prompt(broken).await.expect("an answer, not an error").into_inner();
    assert!(!broken.valid);
    assert!(broken.diagnostics.iter().any(|finding| finding.severity() == Severity::Error && finding.line >= 1));
    let nothing = prompts.validate_prompt(ValidatePromptRequest::default()).await.expect_err("nothing to check");
    assert_eq!(nothing.code(), Code::InvalidArgument);
    server.stop().await;
}

/// What the model was not trained with is advice about tags and a warning about the size, and refuses nothing.
#[tokio::test]
async fn what_the_model_was_not_trained_with_is_reported() {
    let vocabulary = ModelVocabulary {
        tags: BTreeMap::from([("appearance".to_owned(), vec!["blue_hair".to_owned()])]),
        sizes_px: vec![[64, 64], [96, 64]],
        characters_max: 4,
    };
    let script = Script { vocabulary: Some(Arc::new(vocabulary)), ..quick() };
    let server = Server::start(scripted(script)).await;
    let listed = SystemServiceClient::new(server.channel.clone()).list_models(ListModelsRequest {}).await;
    let known = listed.expect("an answer").into_inner().models.remove(0).vocabulary.expect("it is stated");
    assert_eq!(
        (known.elements[0].element.as_str(), known.elements[0].tags.as_slice()),
        ("appearance", &["blue_hair".into()][..])
    );
    assert_eq!((known.sizes[1].width, known.sizes[1].height, known.max_characters), (96, 64, 4));

    let text = "<character_1><n></n><gender>1girl</gender><appearance>teal_hair, blue_hair</appearance></character_1>";
    let asked = ValidatePromptRequest { prompt: Some(Prompt::Xml(text.into())), ..ValidatePromptRequest::default() };
    let answer = PromptServiceClient::new(server.channel.clone()).validate_prompt(asked).await;
    let answer = answer.expect("an answer").into_inner();
    let unknown: Vec<_> = answer.diagnostics.iter().filter(|finding| finding.code == "unknown-to-model").collect();
    let [advice] = unknown.as_slice() else { panic!("{:?}", answer.diagnostics) };
    assert!(
        answer.valid && advice.severity() == Severity::Advice && advice.message.ends_with("`blue_hair`"),
        "{advice:?}"
    );

    let twice = Some(SecondPass { factor: Some(2.0), steps: 2, ..SecondPass::default() });
    for (edge, second_pass, fields) in
        [(64, None, &[][..]), (128, None, &["width"][..]), (64, twice, &["second_pass.factor"][..])]
    {
        let large = GenerateRequest { width: edge, height: edge, second_pass, ..request(1) };
        let events = run(&server, large).await;
        let accepted = events.iter().find_map(|event| match &event.event {
            Some(Event::Accepted(accepted)) => Some(accepted),
            _ => None,
        });
        let found = accepted.expect("it is accepted").diagnostics.iter();
        let found: Vec<&str> = found
            .filter(|finding| finding.severity() == Severity::Warning && finding.code == "unknown-to-model")
            .map(|finding| finding.path.as_str())
            .collect();
        assert_eq!(found, fields, "{edge}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_text_that_would_be_cut_says_where() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let caption: String = (0..600).map(|number| format!("word{number} ")).collect();
    let xml = format!("<caption>{}</caption>", caption.trim());
    let column = |word: &str| xml.find(word).map(|at| at as u32 + 1);
    let request = ValidatePromptRequest { prompt: Some(Prompt::Xml(xml.clone())), ..ValidatePromptRequest::default() };
    let answer = prompts.validate_prompt(request).await.expect("an answer").into_inner();
    let counts = answer.token_counts;
    let found: Vec<&str> = answer.diagnostics.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(found, ["over-long", "over-long"], "one for each encoder, exact and not estimated");
    assert!(answer.valid, "a long prompt is a warning");
    // The scripted encoders count words, 512 at the most; the first one reads the four of the system prompt for plain text before.
    assert_eq!((counts[0].tokens, counts[0].limit, counts[0].truncated), (604, 512, true));
    assert_eq!((counts[0].first_lost.as_str(), counts[1].first_lost.as_str()), ("word508", "word512"));
    let places: Vec<(u32, Option<u32>)> =
        answer.diagnostics.iter().map(|finding| (finding.line, Some(finding.column))).collect();
    assert_eq!(places, [(1, column("word508")), (1, column("word512"))], "the first word that is not read");
    server.stop().await;
}

#[tokio::test]
async fn text_and_type_are_two_forms_of_one_prompt() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let parse = ParsePromptRequest { xml: XML.into(), ..ParsePromptRequest::default() };
    let parsed = prompts.parse_prompt(parse).await.expect("valid").into_inner().prompt.expect("a prompt");
    assert_eq!(parsed.characters[0].n, "rem");
    let format = FormatPromptRequest { prompt: Some(parsed.clone()) };
    let written = prompts.format_prompt(format).await.expect("typed").into_inner();
    let again = ParsePromptRequest { xml: written.canonical_xml, ..ParsePromptRequest::default() };
    assert_eq!(prompts.parse_prompt(again).await.expect("valid").into_inner().prompt, Some(parsed));
    let broken = ParsePromptRequest { xml: "<character_1>".into(), strictness: Strictness::Strict.into() };
    assert_eq!(prompts.parse_prompt(broken).await.expect_err("not a prompt").code(), Code::InvalidArgument);
    let nothing = prompts.format_prompt(FormatPromptRequest::default()).await.expect_err("nothing to write");
    assert_eq!(nothing.code(), Code::InvalidArgument);
    server.stop().await;
}

#[tokio::test]
async fn the_language_is_given_out() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let schema = prompts.get_schema(GetSchemaRequest {}).await.expect("the schema").into_inner();
    assert_eq!(schema.xsd, sakuga_schema::XSD);
    let set = prost_types::FileDescriptorSet::decode(schema.descriptor_set.as_slice()).expect("a descriptor set");
    assert!(set.file.iter().any(|file| file.name() == "sakuga/prompt/v1/prompt.proto"));
    server.stop().await;
}

/// Prompts as people send them: whole answers, infotexts, other formats, negative prompts inside.
fn collected() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/tests/prompts");
    let files = std::fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("a file").path());
    let mut prompts: Vec<(String, String)> = files
        .filter_map(|path| {
            // One is UTF-16, which no protobuf string can hold.
            let text = std::fs::read_to_string(&path).ok()?;
            Some((path.file_name()?.to_string_lossy().into_owned(), text))
        })
        .collect();
    prompts.sort();
    assert!(prompts.len() > 30, "{} prompts", prompts.len());
    prompts
}

#[tokio::test]
async fn validation_says_what_a_job_would_answer() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let mut refused = 0;
    for (name, text) in collected() {
        let request =
            ValidatePromptRequest { prompt: Some(Prompt::Xml(text.clone())), ..ValidatePromptRequest::default() };
        let answer = prompts.validate_prompt(request).await.expect("an answer").into_inner();
        let generate = GenerateRequest {
            prompt: Some(generate_request::Prompt::Xml(text)),
            sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
            width: 64,
            height: 64,
            ..GenerateRequest::default()
        };
        let request = CreateJobRequest { request: Some(generate), ..CreateJobRequest::default() };
        let created = jobs.create_job(request).await;
        assert_eq!(answer.valid, created.is_ok(), "{name}: {:?}\n{created:?}", answer.diagnostics);
        refused += usize::from(created.is_err());
        let has_negative = answer.diagnostics.iter().any(|finding| finding.code == "negative-split");
        if let Ok(job) = created {
            let resolved = job.into_inner().job.and_then(|job| job.request).expect("the request");
            let negative = resolved.negative;
            assert_eq!(negative.is_some(), has_negative, "{name}: {negative:?}");
        }
    }
    assert!((3..20).contains(&refused), "{refused} prompts were refused");
    server.stop().await;
}

#[tokio::test]
async fn a_negative_prompt_has_one_place() {
    let server = Server::start(scripted(quick())).await;
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let ask = |text: &str, negative: Option<&str>| CreateJobRequest {
        request: Some(GenerateRequest {
            prompt: Some(generate_request::Prompt::Xml(text.to_owned())),
            negative: negative.map(|text| generate_request::Negative::NegativeText(text.to_owned())),
            sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
            width: 64,
            height: 64,
            ..GenerateRequest::default()
        }),
        ..CreateJobRequest::default()
    };
    let both =
        jobs.create_job(ask("1girl\nNegative prompt: lowres", Some("blurry"))).await.expect_err("two negative prompts");
    assert_eq!(both.code(), Code::InvalidArgument);
    assert!(both.message().contains("negative"), "{both:?}");
    let own = "You are the worst artist. <Prompt Start> lowres";
    let job = jobs.create_job(ask("1girl, solo", Some(own))).await.expect("its system prompt is split off");
    let resolved = job.into_inner().job.and_then(|job| job.request).expect("the request");
    let Some(generate_request::Negative::NegativePrompt(negative)) = &resolved.negative else {
        panic!("{:?}", resolved.negative);
    };
    assert_eq!(negative.caption, "lowres");
    assert_eq!(resolved.negative_system_prompt.as_deref(), Some("You are the worst artist. <Prompt Start> "));
    server.stop().await;
}

#[tokio::test]
async fn a_negative_prompt_has_a_system_prompt_of_its_own() {
    let server = Server::start(scripted(quick())).await;
    let mut jobs = JobServiceClient::new(server.channel.clone());
    let mut create = async |text: &str, negative: &str, system_prompt: Option<&str>, own: Option<&str>| {
        let request = GenerateRequest {
            prompt: Some(generate_request::Prompt::Xml(text.to_owned())),
            negative: Some(generate_request::Negative::NegativeText(negative.to_owned())),
            system_prompt: system_prompt.map(str::to_owned),
            negative_system_prompt: own.map(str::to_owned),
            sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
            ..request(1)
        };
        let request = CreateJobRequest { request: Some(request), ..CreateJobRequest::default() };
        let answer = jobs.create_job(request).await.map(|job| job.into_inner().job.and_then(|job| job.request));
        answer.map(|request| request.expect("the request").negative_system_prompt)
    };
    let official = "You are an assistant designed to generate low-quality images. <Prompt Start>";
    let inside = "<caption>A girl.</caption>\n\nNegative prompt: You are bad. <Prompt Start> lowres";
    // Left out where it is what a request without the field gets.
    assert_eq!(create("1girl", "lowres", None, None).await.expect("none"), None);
    assert_eq!(create("1girl", "lowres", Some("S "), Some("S ")).await.expect("the prompt's"), None);
    assert_eq!(create("1girl", "", None, Some("")).await.expect("none before the empty text"), None);
    assert_eq!(create("1girl", "lowres", None, Some("")).await.expect("none").as_deref(), Some(""));
    assert_eq!(create("1girl", "lowres", None, Some("B ")).await.expect("its own").as_deref(), Some("B "));
    assert_eq!(create("1girl", "", None, Some("B")).await.expect("alone").as_deref(), Some("B"));
    assert_eq!(create("1girl", official, None, None).await.expect("alone").as_deref(), Some(official));
    let own = create("You are good. <Prompt Start> 1girl", "lowres", None, None).await.expect("the prompt's");
    assert_eq!(own, None);
    assert_eq!(create(inside, "", None, None).await.expect("inside").as_deref(), Some("You are bad. <Prompt Start> "));
    let two = create("1girl", &format!("{official} lowres"), None, Some("B ")).await.expect_err("two");
    assert!(two.message().contains("negative_system_prompt"), "{two:?}");
    let long = create("1girl", "lowres", None, Some(&"x".repeat(9000))).await.expect_err("too long");
    assert!(long.message().contains("negative_system_prompt"), "{long:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_negative_prompt_inside_the_text_is_part_of_the_answers() {
    let server = Server::start(scripted(quick())).await;
    let mut prompts = PromptServiceClient::new(server.channel.clone());
    let text = "You are good. <Prompt Start>\n<caption>A girl.</caption>\n\n\
                Negative prompt: You are bad. <Prompt Start> lowres, blurry";
    let request =
        ValidatePromptRequest { prompt: Some(Prompt::Xml(text.to_owned())), ..ValidatePromptRequest::default() };
    let answer = prompts.validate_prompt(request).await.expect("an answer").into_inner();
    assert!(answer.valid, "{answer:?}");
    assert_eq!(answer.canonical_xml, "<caption>A girl.</caption>\n");
    assert_eq!(answer.negative_canonical_xml, "<caption>lowres, blurry</caption>\n");
    assert_eq!(answer.negative_model_text, "lowres, blurry");
    assert_eq!(answer.system_prompt, "You are good. <Prompt Start>");
    assert_eq!(answer.negative_system_prompt, "You are bad. <Prompt Start>");
    let counts: Vec<u32> = answer.negative_token_counts.iter().map(|count| count.tokens).collect();
    assert_eq!(counts, [7, 2], "words with and without the system prompt");
    let request = ParsePromptRequest { xml: text.to_owned(), ..ParsePromptRequest::default() };
    let answer = prompts.parse_prompt(request).await.expect("an answer").into_inner();
    assert_eq!(answer.negative.expect("the negative prompt").caption, "lowres, blurry");
    assert_eq!(answer.negative_system_prompt, "You are bad. <Prompt Start>");
    server.stop().await;
}
