//! PromptService: checks, parses, writes, and gives out the language itself.

use prost::Message as _;
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::prompt::v1::{
    FormatPromptRequest, GetSchemaRequest, ParsePromptRequest, Severity, Strictness, ValidatePromptRequest,
    validate_prompt_request::Prompt,
};
use tonic::Code;

use crate::support::{Server, XML, quick, scripted};

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
