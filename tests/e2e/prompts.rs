//! The client and the server check prompts in the same way.

use sakuga_client::ClientError;
use sakuga_proto::prompt::v1 as wire;
use sakuga_schema::{CheckOptions, Diagnostic, Severity, Strictness};
use sakuga_tests::read;
use sakuga_tests::server::TestServer;

/// Texts with findings.
const TEXTS: &[&str] = &[
    "",
    "1girl, solo, (blue_hair:1.2), >_<",
    "<character_1><n>a</n></character_1>",
    "<character_1><gender>girl</gender></character_1>",
    "<character_1><gender>1girl</gender>",
    "<character_2><gender>1girl</gender></character_2>",
    "<character_1><gender>1girl</gender><appearance>a < b & c</appearance></character_1>",
    "<character_1>\n<gender>1girl</gender>\n  <appearence>青い髪, blue_hair</appearence>\n</character_1>",
    "<img><character_1><gender>1girl</gender><gender>1boy</gender></character_1></img>",
    "<character_1><gender>1girl</gender><appearance>blue_hair, red_hair</appearance></character_1>\
     <general_tags><count>2girls</count></general_tags>",
    "<general_tags><style></style></general_tags>",
    "{\"caption\": \"a street\", \"tags\": \"<character_1><gender>1girl</gender></character_1>\"}",
];

/// Start, end, and the replacement.
type Replacement = (usize, usize, String);

/// A finding without the type that carries it.
#[derive(Debug, PartialEq)]
struct Finding {
    code: String,
    severity: wire::Severity,
    message: String,
    span: (usize, usize),
    start: (u32, u32),
    end: (u32, u32),
    path: String,
    fix: Option<(String, Vec<Replacement>)>,
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        let edits = |fix: &sakuga_schema::Fix| {
            fix.edits.iter().map(|edit| (edit.span.start, edit.span.end, edit.replacement.clone())).collect()
        };
        Self {
            code: diagnostic.code.into(),
            severity: match diagnostic.severity {
                Severity::Error => wire::Severity::Error,
                Severity::Warning => wire::Severity::Warning,
                Severity::Advice => wire::Severity::Advice,
            },
            message: diagnostic.message.clone(),
            span: (diagnostic.span.start, diagnostic.span.end),
            start: (diagnostic.start.line, diagnostic.start.column),
            end: (diagnostic.end.line, diagnostic.end.column),
            path: diagnostic.path.clone(),
            fix: diagnostic.fix.as_ref().map(|fix| (fix.description.clone(), edits(fix))),
        }
    }
}

impl From<&wire::Diagnostic> for Finding {
    fn from(diagnostic: &wire::Diagnostic) -> Self {
        let edits = |fix: &wire::Fix| {
            let edit = |edit: &wire::Edit| (edit.span_start as usize, edit.span_end as usize, edit.replacement.clone());
            fix.edits.iter().map(edit).collect()
        };
        Self {
            code: diagnostic.code.clone(),
            severity: diagnostic.severity(),
            message: diagnostic.message.clone(),
            span: (diagnostic.span_start as usize, diagnostic.span_end as usize),
            start: (diagnostic.line, diagnostic.column),
            end: (diagnostic.end_line, diagnostic.end_column),
            path: diagnostic.path.clone(),
            fix: diagnostic.fix.as_ref().map(|fix| (fix.description.clone(), edits(fix))),
        }
    }
}

#[tokio::test]
async fn the_language_that_is_served_is_the_language_that_is_used() {
    let server = TestServer::scripted().await;
    let schema = server.client().await.prompts().get_schema(wire::GetSchemaRequest {}).await.unwrap().into_inner();
    assert_eq!(schema.xsd, sakuga_schema::XSD);
    assert_eq!(schema.xsd, read("schema/prompt.xsd"));
    assert_eq!(schema.descriptor_set, sakuga_proto::FILE_DESCRIPTOR_SET);
    server.stop().await;
}

#[tokio::test]
async fn a_prompt_gets_the_same_findings_offline_and_over_the_wire() {
    let server = TestServer::scripted().await;
    let mut prompts = server.client().await.prompts();
    let mut seen = 0;
    for text in TEXTS {
        for (strictness, asked) in
            [(Strictness::Lenient, wire::Strictness::Lenient), (Strictness::Strict, wire::Strictness::Strict)]
        {
            let offline = sakuga_schema::check(text, &CheckOptions { strictness, ..CheckOptions::default() });
            let request = wire::ValidatePromptRequest {
                prompt: Some(wire::validate_prompt_request::Prompt::Xml((*text).into())),
                strictness: asked.into(),
                model: String::new(),
            };
            let answer = prompts.validate_prompt(request).await.unwrap().into_inner();
            let expected: Vec<Finding> = offline.diagnostics.iter().map(Finding::from).collect();
            let found: Vec<Finding> = answer.diagnostics.iter().map(Finding::from).collect();
            assert_eq!(found, expected, "{strictness:?} {text:?}");
            assert_eq!(answer.valid, offline.is_valid(), "{strictness:?} {text:?}");
            let canonical = offline.prompt.as_ref().map(sakuga_schema::Prompt::to_xml).unwrap_or_default();
            assert_eq!(answer.canonical_xml, canonical, "{strictness:?} {text:?}");
            seen += found.len();
        }
    }
    assert!(seen > TEXTS.len(), "{seen} findings in all are too few to compare anything");
    server.stop().await;
}

#[tokio::test]
async fn a_refused_request_names_each_error_of_its_prompt() {
    let text = "<character_1><gender>girl</gender></character_1><character_2><n>b</n></character_2>";
    let options = CheckOptions { strictness: Strictness::Strict, ..CheckOptions::default() };
    let offline = sakuga_schema::check(text, &options).diagnostics;
    let errors: Vec<_> = offline.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(errors.len() >= 2, "{offline:?}");

    let server = TestServer::scripted().await;
    let refused = server.client().await.generation().xml(text).strict().start().await.unwrap_err();
    let ClientError::Refused(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code_name(), "INVALID_ARGUMENT");
    assert_eq!(error.violations.len(), errors.len());
    for (violation, finding) in error.violations.iter().zip(errors) {
        assert_eq!(violation.reason, finding.code);
        assert!(violation.field.ends_with(&finding.path), "{violation:?} against {finding:?}");
        assert!(violation.description.contains(&finding.message), "{violation:?} against {finding:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_prompt_is_the_same_typed_and_written() {
    let text = read("schema/examples/two_girls.xml");
    let offline = sakuga_schema::check(&text, &CheckOptions::default()).prompt.expect("the example is a prompt");

    let server = TestServer::scripted().await;
    let mut prompts = server.client().await.prompts();
    let request = wire::ParsePromptRequest { xml: text.clone(), strictness: wire::Strictness::Strict.into() };
    let parsed = prompts.parse_prompt(request).await.unwrap().into_inner().prompt.expect("it is a prompt");
    assert_eq!(sakuga_schema::Prompt::from(&parsed), offline);
    assert_eq!(parsed, (&offline).into());
    let request = wire::FormatPromptRequest { prompt: Some(parsed) };
    let written = prompts.format_prompt(request).await.unwrap().into_inner();
    assert_eq!(written.canonical_xml, offline.to_xml());
    assert_eq!(written.model_text, offline.to_model_text());
    assert_eq!(written.canonical_xml, text, "the example is in canonical form");
    server.stop().await;
}
