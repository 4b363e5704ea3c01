//! Compression: requests and answers in gzip and zstd, bombs, and what is refused.

use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use sakuga_proto::prompt::v1::{GetSchemaRequest, ParsePromptRequest};
use sakuga_server::config::TransportConfig;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use crate::support::Server;

const ENCODINGS: [CompressionEncoding; 2] = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];

fn prompts(channel: &Channel, encoding: CompressionEncoding) -> PromptServiceClient<Channel> {
    PromptServiceClient::new(channel.clone()).send_compressed(encoding).accept_compressed(encoding)
}

fn parse(xml: impl Into<String>) -> ParsePromptRequest {
    ParsePromptRequest { xml: xml.into(), ..ParsePromptRequest::default() }
}

fn header<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).map(|value| value.to_str().expect("ASCII"))
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    (status.code(), info.reason)
}

#[tokio::test]
async fn requests_and_answers_may_be_compressed() {
    let server = Server::start(TransportConfig::default()).await;
    let channel = server.channel().await;
    let plain = PromptServiceClient::new(channel.clone()).get_schema(GetSchemaRequest {}).await.expect("the schema");
    assert_eq!(header(plain.metadata(), "grpc-encoding"), None, "a client that does not ask for compression gets none");
    assert_eq!(header(plain.metadata(), "grpc-accept-encoding"), Some("identity,gzip,zstd"));
    for encoding in ENCODINGS {
        let mut prompts = prompts(&channel, encoding);
        let parsed = prompts.parse_prompt(parse("1girl, ".repeat(500) + "solo")).await.expect("a prompt");
        assert!(parsed.get_ref().prompt.is_some());
        let schema = prompts.get_schema(GetSchemaRequest {}).await.expect("the schema");
        assert_eq!(header(schema.metadata(), "grpc-encoding"), Some(encoding.to_string().as_str()));
        assert_eq!(schema.get_ref(), plain.get_ref());
        let mut reflection =
            ServerReflectionClient::new(channel.clone()).send_compressed(encoding).accept_compressed(encoding);
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices("x".repeat(1000))),
        };
        let mut answers = reflection
            .server_reflection_info(tokio_stream::iter([ask.clone(), ask]))
            .await
            .expect("asked")
            .into_inner();
        for _ in 0..2 {
            let answer = answers.message().await.expect("an answer").expect("an answer").message_response;
            assert!(matches!(answer, Some(MessageResponse::ListServicesResponse(_))), "{answer:?}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_bomb_is_refused_as_a_message_of_its_size_would_be() {
    let server = Server::start(TransportConfig::default()).await;
    let channel = server.channel().await;
    let large = parse("x".repeat(64 << 20));
    for encoding in ENCODINGS {
        let mut prompts = prompts(&channel, encoding);
        let refused = prompts.parse_prompt(large.clone()).await.expect_err("too large");
        assert_eq!(reason(&refused), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".into()), "{encoding}");
        let mut reflection = ServerReflectionClient::new(channel.clone()).send_compressed(encoding);
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices("x".repeat(1 << 20))),
        };
        let mut answers =
            reflection.server_reflection_info(tokio_stream::once(ask)).await.expect("a stream").into_inner();
        let refused = answers.message().await.expect_err("too large");
        assert_eq!(reason(&refused), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".into()), "{encoding}");
        prompts.parse_prompt(parse("1girl")).await.expect("the connection and the server go on");
    }
    server.stop().await;
}

#[tokio::test]
async fn other_compression_is_refused_and_what_is_accepted_is_named() {
    let server = Server::start(TransportConfig::default()).await;
    let mut prompts = PromptServiceClient::new(server.channel().await);
    for encoding in ["deflate", "br", "gzip, zstd", "snappy"] {
        let mut request = Request::new(parse("1girl"));
        request.metadata_mut().insert("grpc-encoding", encoding.parse().expect("a header"));
        let refused = prompts.parse_prompt(request).await.expect_err("refused");
        assert_eq!(reason(&refused), (Code::Unimplemented, "COMPRESSION_UNSUPPORTED".into()), "{encoding}");
        assert_eq!(header(refused.metadata(), "grpc-accept-encoding"), Some("identity,gzip,zstd"));
    }
    server.stop().await;
}
