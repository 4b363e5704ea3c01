//! Bearer tokens: authentication, scopes, quotas, and the reasons of refusals.

use std::time::Duration;

use sakuga_proto::generation::v1::GenerateRequest;
use sakuga_proto::generation::v1::generate_request::Prompt;
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::model::v1::model_service_client::ModelServiceClient;
use sakuga_proto::model::v1::{ListModelsRequest, LoadModelRequest, UnloadModelRequest};
use sakuga_proto::prompt::v1::GetSchemaRequest;
use sakuga_proto::prompt::v1::prompt_service_client::PromptServiceClient;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::support::{Server, ask, eventually, exchange, line, with_tokens};

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.domain, "sakuga.dev");
    info.reason
}

fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
    request
}

#[tokio::test]
async fn only_those_with_a_token_for_it_come_in() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = line("alice", "generate", "a", "")
        + &line("grafana", "metrics", "m", "")
        + &line("root", "admin", "r", "")
        + &line("old", "admin", "o", "expires=2020-01-01T00:00:00Z");
    std::fs::write(file.path(), text).expect("written");
    let server = Server::start(with_tokens(file.path())).await;
    let channel = server.channel().await;

    for (token, expected) in [
        (None, "TOKEN_MISSING"),
        (Some("x"), "TOKEN_UNKNOWN"),
        (Some("o"), "TOKEN_EXPIRED"),
        (Some(" "), "TOKEN_MALFORMED"),
    ] {
        let refused = ask(channel.clone(), token).await.expect_err("refused");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, expected));
    }
    for token in ["a", "m", "r"] {
        ask(channel.clone(), Some(token)).await.expect("admitted");
    }
    let mut prompts = PromptServiceClient::new(channel.clone());
    prompts.get_schema(bearer(GetSchemaRequest {}, "a")).await.expect("alice may");
    prompts.get_schema(bearer(GetSchemaRequest {}, "r")).await.expect("root may");
    let refused = prompts.get_schema(bearer(GetSchemaRequest {}, "m")).await.expect_err("grafana may not");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    assert_eq!(refused.get_details_error_info().expect("ErrorInfo").metadata["scope"], "generate");

    let mut models = ModelServiceClient::new(channel.clone());
    for token in ["a", "m", "r"] {
        models.list_models(bearer(ListModelsRequest {}, token)).await.expect("all three may look");
    }
    let name = || "scripted".to_owned();
    for token in ["a", "m"] {
        let load = models.load_model(bearer(LoadModelRequest { name: name() }, token)).await.expect_err("refused");
        let unload =
            models.unload_model(bearer(UnloadModelRequest { name: name() }, token)).await.expect_err("refused");
        for refused in [load, unload] {
            assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
            assert_eq!(refused.get_details_error_info().expect("ErrorInfo").metadata["scope"], "admin");
        }
    }
    models.unload_model(bearer(UnloadModelRequest { name: name() }, "r")).await.expect("root may");
    models.load_model(bearer(LoadModelRequest { name: name() }, "r")).await.expect("root may");

    HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.expect("balancers have no token");
    server.stop().await;
}

#[tokio::test]
async fn a_share_is_used_up_and_given_back() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let text = line("slow", "generate", "s", "rate=2/h") + &line("narrow", "generate", "n", "concurrent=1");
    std::fs::write(file.path(), text).expect("written");
    let server = Server::start(with_tokens(file.path())).await;
    let channel = server.channel().await;

    ask(channel.clone(), Some("s")).await.expect("one");
    ask(channel.clone(), Some("s")).await.expect("two");
    let refused = ask(channel.clone(), Some("s")).await.expect_err("three");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "CLIENT_RATE_LIMIT"));
    let wait = refused.get_details_retry_info().expect("RetryInfo").retry_delay.expect("a delay");
    assert!(wait > Duration::from_secs(1700) && wait <= Duration::from_secs(1800), "{wait:?}");

    let prompt = Some(Prompt::Xml("<caption>The sea.</caption>".into()));
    let mut generation = GenerationServiceClient::new(channel.clone());
    let stream = generation.generate(bearer(GenerateRequest { prompt, ..GenerateRequest::default() }, "n")).await;
    let stream = stream.expect("accepted").into_inner();
    let refused = ask(channel.clone(), Some("n")).await.expect_err("the stream counts until its end");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "CLIENT_CONCURRENCY_LIMIT"));
    drop(stream);
    eventually("the share is given back", || async { ask(channel.clone(), Some("n")).await.is_ok() }).await;
    server.stop().await;
}

#[tokio::test]
async fn the_file_is_read_again_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokens");
    std::fs::write(&path, line("alice", "generate", "a", "")).expect("written");
    let server = Server::start(with_tokens(&path)).await;
    let channel = server.channel().await;
    ask(channel.clone(), Some("a")).await.expect("known");

    exchange(&path, "nonsense\n");
    exchange(&path, &(line("alice", "generate", "a", "") + &line("bob", "generate", "b", "")));
    eventually("bob is admitted", || async { ask(channel.clone(), Some("b")).await.is_ok() }).await;
    exchange(&path, "nonsense\n");
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ask(channel.clone(), Some("a")).await.expect("alice is known all the time");
    }
    exchange(&path, &line("bob", "generate", "b", ""));
    eventually("alice is refused", || async { ask(channel.clone(), Some("a")).await.is_err() }).await;
    ask(channel, Some("b")).await.expect("bob is not");
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_pipe_in_place_of_the_file_changes_nothing_and_stops_no_later_change() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokens");
    std::fs::write(&path, line("alice", "generate", "a", "")).expect("written");
    let server = Server::start(with_tokens(&path)).await;
    let channel = server.channel().await;
    let fifo = folder.path().join("fifo");
    crate::named_files::make_fifo(&fifo);
    std::fs::rename(&fifo, &path).expect("exchanged");
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        ask(channel.clone(), Some("a")).await.expect("alice is known all the time");
    }
    std::fs::remove_file(&path).expect("removed");
    eventually("no token is valid", || async { ask(channel.clone(), Some("a")).await.is_err() }).await;
    exchange(&path, &line("bob", "generate", "b", ""));
    eventually("bob is admitted", || async { ask(channel.clone(), Some("b")).await.is_ok() }).await;
    server.stop().await;
}
