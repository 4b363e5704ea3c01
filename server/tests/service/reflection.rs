//! Reflection: what generic clients such as grpcurl need to read every answer.

use prost::Message as _;
use prost_types::FileDescriptorProto;
use tonic::Code;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest};

use crate::support::{Server, quick, scripted};

/// The answers to these questions, in one stream.
async fn ask(server: &Server, questions: Vec<Option<MessageRequest>>) -> Vec<MessageResponse> {
    let count = questions.len();
    let requests: Vec<_> = questions
        .into_iter()
        .map(|message_request| ServerReflectionRequest { host: "here".into(), message_request })
        .collect();
    let mut client = ServerReflectionClient::new(server.channel.clone());
    let mut stream =
        client.server_reflection_info(tokio_stream::iter(requests.clone())).await.expect("asked").into_inner();
    let mut answers = Vec::new();
    for request in requests {
        let answer = stream.message().await.expect("the stream continues").expect("an answer for each question");
        assert_eq!((answer.valid_host.as_str(), answer.original_request), ("here", Some(request)));
        answers.push(answer.message_response.expect("an answer"));
    }
    assert_eq!(stream.message().await.expect("the end"), None);
    assert_eq!(answers.len(), count);
    answers
}

fn symbol(name: &str) -> Option<MessageRequest> {
    Some(MessageRequest::FileContainingSymbol(name.to_owned()))
}

fn file(answer: &MessageResponse) -> FileDescriptorProto {
    let MessageResponse::FileDescriptorResponse(files) = answer else { panic!("{answer:?}") };
    FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).expect("a file")
}

#[tokio::test]
async fn details_of_errors_and_well_known_types_are_served() {
    let names = [
        "google.rpc.BadRequest.FieldViolation",
        "google.rpc.Code",
        "google.rpc.ErrorInfo",
        "google.rpc.RetryInfo",
        "google.rpc.Status.details",
        "google.protobuf.Any",
        "google.protobuf.Api",
        "google.protobuf.Duration",
        "google.protobuf.Empty",
        "google.protobuf.FieldMask",
        "google.protobuf.FileDescriptorSet",
        "google.protobuf.SourceContext",
        "google.protobuf.Struct",
        "google.protobuf.Timestamp",
        "google.protobuf.Type",
        "google.protobuf.UInt64Value",
        "sakuga.generation.v1.GenerateEvent.accepted",
        "sakuga.generation.v1.JobService.WatchJob",
        ".sakuga.prompt.v1.Gender",
        "sakuga.prompt.v1.GENDER_GIRL",
    ];
    let server = Server::start(scripted(quick())).await;
    let answers = ask(&server, names.map(symbol).into()).await;
    for (name, answer) in names.iter().zip(&answers) {
        let package = file(answer).package().to_owned();
        assert!(name.trim_start_matches('.').starts_with(&package), "{name} is in {package}");
    }
    // What a file imports is served too, under the name that it imports.
    let imports: Vec<_> = answers
        .iter()
        .flat_map(|answer| file(answer).dependency)
        .map(|name| Some(MessageRequest::FileByFilename(name)))
        .collect();
    assert!(imports.len() > 10);
    ask(&server, imports).await.iter().for_each(|answer| assert!(!file(answer).name().is_empty()));
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_name_is_answered_and_the_stream_goes_on() {
    let server = Server::start(scripted(quick())).await;
    let extension = |extended: &str| ExtensionRequest { containing_type: extended.into(), extension_number: 7 };
    let unknown = vec![
        symbol("sakuga.generation.v1.NoSuchMessage"),
        symbol(""),
        Some(MessageRequest::FileByFilename("no/such.proto".into())),
        Some(MessageRequest::FileContainingExtension(extension("google.rpc.Status"))),
        Some(MessageRequest::FileContainingExtension(extension("no.Such"))),
        Some(MessageRequest::AllExtensionNumbersOfType("no.Such".into())),
    ];
    for answer in ask(&server, unknown).await {
        let MessageResponse::ErrorResponse(error) = &answer else { panic!("{answer:?}") };
        assert_eq!(error.error_code, i32::from(Code::NotFound));
        assert!(error.error_message.starts_with("there is no "), "{}", error.error_message);
    }
    let known = vec![
        None,
        Some(MessageRequest::AllExtensionNumbersOfType("google.rpc.Status".into())),
        symbol("google.rpc.Status"),
    ];
    let [nothing, numbers, status] = &ask(&server, known).await[..] else { panic!("three answers") };
    assert!(
        matches!(nothing, MessageResponse::ErrorResponse(error) if error.error_code == i32::from(Code::InvalidArgument))
    );
    assert!(
        matches!(numbers, MessageResponse::AllExtensionNumbersResponse(of) if of.base_type_name == "google.rpc.Status")
    );
    assert_eq!(file(status).name(), "google/rpc/status.proto");
    server.stop().await;
}

#[tokio::test]
async fn what_is_served_has_its_comments() {
    let server = Server::start(scripted(quick())).await;
    let served = file(&ask(&server, vec![symbol("sakuga.prompt.v1.PromptService")]).await[0]);
    let comments = served.source_code_info.expect("comments").location;
    assert!(comments.iter().any(|place| place.leading_comments().contains("An invalid prompt is an answer")));
    server.stop().await;
}
