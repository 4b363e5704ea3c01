//! Who may call which method, and whose jobs and assets a call reaches: a table of every method, every credential and the owner.
//!
//! The methods come from the descriptors of the server: a new one fails the test until it has a row.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::asset::v1::upload_asset_request::Part;
use sakuga_proto::asset::v1::{
    DeleteAssetRequest, GetAssetRequest, ListAssetsRequest, UploadAssetPartRequest, UploadAssetRequest,
    UploadAssetResponse, UploadStart,
};
use sakuga_proto::generation::v1::generation_service_client::GenerationServiceClient;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    Adapter, CancelJobRequest, CreateJobRequest, DeleteJobRequest, EstimateRequest, GenerateRequest,
    GetArtifactRequest, GetJobRequest, GetJobTelemetryRequest, Job, JobFilter, JobState, LabelJobRequest,
    ListJobsRequest, Sampling, WatchJobRequest, adapter, generate_request,
};
use sakuga_proto::model::v1::{LoadModelRequest, UnloadModelRequest};
use sakuga_proto::prompt::v1::validate_prompt_request;
use sakuga_proto::prompt::v1::{FormatPromptRequest, ParsePromptRequest, Prompt, ValidatePromptRequest};
use sakuga_proto::system::v1::system_service_client::SystemServiceClient;
use sakuga_proto::system::v1::{
    Activity, DisableDeviceRequest, DrainDeviceRequest, EnableDeviceRequest, WatchActivityRequest, WatchGpuStatsRequest,
};
use sakuga_server::Config;
use sakuga_server::config::{TlsFiles, TransportConfig};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_types::StatusExt as _;

use crate::raw::RawCodec;
use crate::server::{scripted, steps_of_ms};
use crate::support::{Authority, PATIENCE, Server, exchange, line, with_tokens};
use crate::uploads::{parts, picture};

/// Who may call a method, and what a call that may is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Everyone.
    Open,
    /// Every valid credential.
    Known,
    /// The scope `generate`; the call concerns no job that exists.
    Generate,
    /// The scope `generate` or `metrics`.
    Metrics,
    /// The scope `generate`, and the job is the caller's own; for others it does not exist.
    Owner,
    /// The scope `generate`, and the asset is the caller's own; for others, also an admin, it does not exist.
    AssetOwner,
    /// The scope `generate`; the owner of the asset need not send it again, and every other one has to.
    Upload,
    /// The scope `admin`.
    Admin,
}

/// A method, its rule, and a message for a job or an asset.
type Row = (&'static str, Rule, fn(&str) -> Vec<u8>);

pub(crate) fn drawing() -> GenerateRequest {
    GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml("<caption>The sea.</caption>".into())),
        sampling: Some(Sampling { steps: 1, ..Sampling::default() }),
        ..GenerateRequest::default()
    }
}

/// Every method of the server.
const ROWS: &[Row] = &[
    ("sakuga.asset.v1.AssetService/UploadAsset", Rule::Upload, |sha256| {
        let start = UploadStart { sha256: sha256.into(), size: 75, offset: 0 };
        UploadAssetRequest { part: Some(Part::Start(start)) }.encode_to_vec()
    }),
    ("sakuga.asset.v1.AssetService/UploadAssetPart", Rule::Upload, |sha256| {
        // Where nobody's upload is.
        let start = Some(UploadStart { sha256: sha256.into(), size: 75, offset: 1 });
        UploadAssetPartRequest { start, data: b"x".to_vec() }.encode_to_vec()
    }),
    ("sakuga.asset.v1.AssetService/GetAsset", Rule::AssetOwner, |sha256| {
        GetAssetRequest { sha256: sha256.into(), ..GetAssetRequest::default() }.encode_to_vec()
    }),
    ("sakuga.asset.v1.AssetService/ListAssets", Rule::Generate, |_| ListAssetsRequest::default().encode_to_vec()),
    ("sakuga.asset.v1.AssetService/DeleteAsset", Rule::AssetOwner, |sha256| {
        DeleteAssetRequest { sha256: sha256.into() }.encode_to_vec()
    }),
    ("grpc.health.v1.Health/Check", Rule::Open, |_| HealthCheckRequest::default().encode_to_vec()),
    ("grpc.health.v1.Health/Watch", Rule::Open, |_| HealthCheckRequest::default().encode_to_vec()),
    // `list_services` of both versions is field 7.
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Rule::Known, |_| vec![0x3a, 0]),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Rule::Known, |_| vec![0x3a, 0]),
    ("sakuga.generation.v1.GenerationService/Generate", Rule::Generate, |_| drawing().encode_to_vec()),
    ("sakuga.generation.v1.GenerationService/Estimate", Rule::Generate, |_| {
        EstimateRequest { request: Some(drawing()), options: None }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/CreateJob", Rule::Generate, |_| {
        CreateJobRequest { request: Some(drawing()), options: None }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/ListJobs", Rule::Generate, |_| ListJobsRequest::default().encode_to_vec()),
    ("sakuga.generation.v1.JobService/GetJob", Rule::Owner, |job_id| {
        GetJobRequest { job_id: job_id.into() }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/WatchJob", Rule::Owner, |job_id| {
        WatchJobRequest { job_id: job_id.into(), ..WatchJobRequest::default() }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/GetArtifact", Rule::Owner, |job_id| {
        GetArtifactRequest { job_id: job_id.into(), ..GetArtifactRequest::default() }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/GetJobTelemetry", Rule::Owner, |job_id| {
        GetJobTelemetryRequest { job_id: job_id.into() }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/CancelJob", Rule::Owner, |job_id| {
        CancelJobRequest { job_id: job_id.into() }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/LabelJob", Rule::Owner, |job_id| {
        LabelJobRequest { job_id: job_id.into(), add: vec!["favourite".into()], remove: vec![] }.encode_to_vec()
    }),
    ("sakuga.generation.v1.JobService/DeleteJob", Rule::Owner, |job_id| {
        DeleteJobRequest { job_id: job_id.into() }.encode_to_vec()
    }),
    ("sakuga.model.v1.ModelService/ListAdapters", Rule::Metrics, |_| Vec::new()),
    ("sakuga.model.v1.ModelService/ListModels", Rule::Metrics, |_| Vec::new()),
    ("sakuga.model.v1.ModelService/LoadModel", Rule::Admin, |_| {
        LoadModelRequest { name: "scripted".into() }.encode_to_vec()
    }),
    ("sakuga.model.v1.ModelService/UnloadModel", Rule::Admin, |_| {
        UnloadModelRequest { name: "scripted".into() }.encode_to_vec()
    }),
    ("sakuga.prompt.v1.PromptService/ValidatePrompt", Rule::Generate, |_| {
        let prompt = Some(validate_prompt_request::Prompt::Xml("<caption>The sea.</caption>".into()));
        ValidatePromptRequest { prompt, ..ValidatePromptRequest::default() }.encode_to_vec()
    }),
    ("sakuga.prompt.v1.PromptService/ParsePrompt", Rule::Generate, |_| {
        ParsePromptRequest { xml: "<caption>The sea.</caption>".into(), ..ParsePromptRequest::default() }
            .encode_to_vec()
    }),
    ("sakuga.prompt.v1.PromptService/FormatPrompt", Rule::Generate, |_| {
        FormatPromptRequest { prompt: Some(Prompt::default()) }.encode_to_vec()
    }),
    ("sakuga.prompt.v1.PromptService/GetSchema", Rule::Generate, |_| Vec::new()),
    ("sakuga.system.v1.SystemService/GetServerInfo", Rule::Metrics, |_| Vec::new()),
    ("sakuga.system.v1.SystemService/ListModels", Rule::Metrics, |_| Vec::new()),
    ("sakuga.system.v1.SystemService/ListDevices", Rule::Metrics, |_| Vec::new()),
    ("sakuga.system.v1.SystemService/DrainDevice", Rule::Admin, |_| {
        DrainDeviceRequest { name: "cpu".into() }.encode_to_vec()
    }),
    ("sakuga.system.v1.SystemService/DisableDevice", Rule::Admin, |_| {
        DisableDeviceRequest { name: "cpu".into() }.encode_to_vec()
    }),
    ("sakuga.system.v1.SystemService/EnableDevice", Rule::Admin, |_| {
        EnableDeviceRequest { name: "cpu".into() }.encode_to_vec()
    }),
    ("sakuga.system.v1.SystemService/WatchGpuStats", Rule::Metrics, |_| {
        WatchGpuStatsRequest { interval_ms: 100, ..WatchGpuStatsRequest::default() }.encode_to_vec()
    }),
    ("sakuga.system.v1.SystemService/WatchActivity", Rule::Metrics, |_| {
        WatchActivityRequest { interval_ms: 100 }.encode_to_vec()
    }),
];

/// Who calls. The jobs of the table are those of Alice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Nobody,
    Guesser,
    Expired,
    Revoked,
    Alice,
    Bob,
    Metrics,
    Admin,
}

/// The answer to a call: a code, and the reason unless it is OK.
type Answer = (Code, &'static str);

const OK: Answer = (Code::Ok, "");

fn expected(rule: Rule, who: Who) -> Answer {
    if rule == Rule::Open {
        return OK;
    }
    match (who, rule) {
        (Who::Nobody, _) => (Code::Unauthenticated, "TOKEN_MISSING"),
        (Who::Guesser | Who::Revoked, _) => (Code::Unauthenticated, "TOKEN_UNKNOWN"),
        (Who::Expired, _) => (Code::Unauthenticated, "TOKEN_EXPIRED"),
        (Who::Bob | Who::Admin, Rule::AssetOwner) => (Code::NotFound, "ASSET_NOT_FOUND"),
        (Who::Bob | Who::Admin, Rule::Upload) => (Code::OutOfRange, "UPLOAD_OFFSET"),
        (Who::Admin, _) | (_, Rule::Known | Rule::Metrics) => OK,
        (_, Rule::Admin) => (Code::PermissionDenied, "SCOPE_MISSING"),
        (Who::Alice, _) => OK,
        (Who::Metrics, _) => (Code::PermissionDenied, "SCOPE_MISSING"),
        (Who::Bob, Rule::Owner) => (Code::NotFound, "JOB_NOT_FOUND"),
        (Who::Bob, _) => OK,
    }
}

/// A caller: a connection, and a token if it has one.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) channel: Channel,
    token: Option<&'static str>,
}

impl Caller {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        }
        request
    }

    /// Calls a method and reads the first message of the answer.
    async fn call(&self, method: &str, message: Vec<u8>) -> Result<Option<Bytes>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        client.ready().await.expect("the connection is there");
        let path = format!("/{method}").parse().expect("a path");
        let answer = client.server_streaming(self.request(Bytes::from(message)), path, RawCodec);
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")?;
        tokio::time::timeout(PATIENCE, answer.into_inner().message()).await.expect("an answer in time")
    }

    async fn ended_job(&self) -> String {
        let mut generation = GenerationServiceClient::new(self.channel.clone());
        let mut stream = generation.generate(self.request(drawing())).await.expect("accepted").into_inner();
        let mut job_id = String::new();
        while let Some(response) = stream.message().await.expect("it lives") {
            job_id = response.event.expect("an event").job_id;
        }
        job_id
    }

    async fn upload(&self, file: &[u8]) -> Result<UploadAssetResponse, Status> {
        let call = self.request(tokio_stream::iter(parts(file, 0)));
        Ok(AssetServiceClient::new(self.channel.clone()).upload_asset(call).await?.into_inner())
    }

    async fn assets(&self) -> (Vec<String>, u64) {
        let call = self.request(ListAssetsRequest::default());
        let listed =
            AssetServiceClient::new(self.channel.clone()).list_assets(call).await.expect("a list").into_inner();
        (listed.assets.into_iter().map(|asset| asset.sha256).collect(), listed.used_bytes)
    }

    async fn delete_asset(&self, sha256: &str) -> Result<(), Status> {
        let call = self.request(DeleteAssetRequest { sha256: sha256.into() });
        AssetServiceClient::new(self.channel.clone()).delete_asset(call).await.map(drop)
    }

    pub(crate) fn jobs(&self) -> JobServiceClient<Channel> {
        JobServiceClient::new(self.channel.clone())
    }

    async fn list(&self, message: ListJobsRequest) -> Vec<String> {
        let listed = self.jobs().list_jobs(self.request(message)).await.expect("a list").into_inner();
        assert_eq!(listed.next_page_token, "", "everything fits into one page");
        listed.jobs.into_iter().map(|job| job.job_id).collect()
    }

    pub(crate) async fn create(&self, request: GenerateRequest) -> Result<Job, Status> {
        let message = CreateJobRequest { request: Some(request), options: None };
        Ok(self.jobs().create_job(self.request(message)).await?.into_inner().job.expect("a job"))
    }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn methods() -> BTreeSet<String> {
    let sets = [
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut names = BTreeSet::new();
    for set in sets {
        let pool = DescriptorPool::decode(set).expect("descriptors");
        for service in pool.services() {
            names.extend(service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())));
        }
    }
    names
}

#[test]
fn every_method_has_a_row() {
    let rows: BTreeSet<String> = ROWS.iter().map(|(method, ..)| (*method).to_owned()).collect();
    assert_eq!(rows.len(), ROWS.len(), "one row a method");
    assert_eq!(rows, methods());
}

/// Calls every method as every caller, each time with a new job or asset of Alice.
async fn check_table(alice: &Caller, callers: &[(Who, Caller)]) {
    let (mut failures, mut shade) = (Vec::new(), 0);
    for (method, rule, message) in ROWS {
        for (who, caller) in callers {
            let name = match rule {
                Rule::Owner => alice.ended_job().await,
                Rule::AssetOwner | Rule::Upload => {
                    shade += 1;
                    let uploaded = alice.upload(&picture(shade)).await.expect("kept");
                    uploaded.asset.expect("an asset").sha256
                }
                _ => String::new(),
            };
            let answer = caller.call(method, message(&name)).await;
            let found = match &answer {
                Ok(_) => (Code::Ok, String::new()),
                Err(status) => (status.code(), reason(status)),
            };
            let expected = expected(*rule, *who);
            if (found.0, found.1.as_str()) != expected {
                failures.push(format!("{method} as {who:?}: {found:?} instead of {expected:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A server with tokens whose steps take `step_ms` milliseconds, the file of the tokens, and a caller of each kind.
async fn with_callers(step_ms: u64) -> (Server, tempfile::NamedTempFile, Vec<(Who, Caller)>) {
    with_callers_of(step_ms, "auto").await
}

/// The same with these devices.
pub(crate) async fn with_callers_of(
    step_ms: u64,
    devices: &str,
) -> (Server, tempfile::NamedTempFile, Vec<(Who, Caller)>) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let kept = line("alice", "generate", "a", "")
        + &line("bob", "generate", "b", "")
        + &line("grafana", "metrics", "m", "")
        + &line("root", "admin", "r", "")
        + &line("old", "admin", "o", "expires=2020-01-01T00:00:00Z");
    exchange(file.path(), &(kept.clone() + &line("gone", "admin", "g", "")));
    let mut config = scripted(steps_of_ms(step_ms));
    config.models.devices = devices.parse().expect("devices");
    let server = Server::start(Config { transport: with_tokens(file.path()), ..config }).await;
    let channel = server.channel().await;
    exchange(file.path(), &kept);
    let tokens = [
        (Who::Nobody, None),
        (Who::Guesser, Some("x")),
        (Who::Expired, Some("o")),
        (Who::Revoked, Some("g")),
        (Who::Alice, Some("a")),
        (Who::Bob, Some("b")),
        (Who::Metrics, Some("m")),
        (Who::Admin, Some("r")),
    ];
    let callers: Vec<(Who, Caller)> =
        tokens.map(|(who, token)| (who, Caller { channel: channel.clone(), token })).into();
    let revoked = callers[3].1.clone();
    crate::support::eventually("the token is revoked", || async {
        revoked.call("sakuga.system.v1.SystemService/ListModels", Vec::new()).await.is_err()
    })
    .await;
    (server, file, callers)
}

pub(crate) fn of(callers: &[(Who, Caller)], who: Who) -> Caller {
    callers.iter().find(|(known, _)| *known == who).expect("there").1.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_reach_what_they_may_and_no_job_of_others() {
    let (server, _file, callers) = with_callers(1).await;
    check_table(&of(&callers, Who::Alice), &callers).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_own_their_jobs_and_are_admins_only_by_name() {
    let authority = Authority::new();
    let tls = TlsFiles { client_ca: Some(authority.path("ca.pem")), ..authority.sign_server() };
    let server = Server::start(TransportConfig {
        tls: Some(tls),
        admin_certificates: vec!["DNS:root".into()],
        ..TransportConfig::default()
    })
    .await;
    let mut callers = Vec::new();
    for (who, name) in [(Who::Alice, "alice"), (Who::Bob, "bob"), (Who::Admin, "root")] {
        let channel = authority.connect(&server, Some(authority.sign(name))).await.expect("a client of the CA");
        callers.push((who, Caller { channel, token: None }));
    }
    let alice = of(&callers, Who::Alice);
    check_table(&alice, &callers).await;

    // A renewed certificate of the same names has the jobs of the one before.
    let job_id = alice.ended_job().await;
    let renewed = authority.connect(&server, Some(authority.sign("alice"))).await.expect("a client of the CA");
    let renewed = Caller { channel: renewed, token: None };
    let message = GetJobRequest { job_id };
    let job = renewed.jobs().get_job(message).await.expect("her own").into_inner().job.expect("a job");
    assert!(job.client_id.starts_with("cert:") && job.client_id.contains("DNS:alice"), "{}", job.client_id);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_ends_its_streams_and_calls() {
    let authority = Authority::new();
    let tls = TlsFiles { client_ca: Some(authority.path("ca.pem")), ..authority.sign_server() };
    let server = Server::start(TransportConfig { tls: Some(tls), ..TransportConfig::default() }).await;
    let identity = authority.sign_for("alice", Duration::from_secs(4));
    let channel = authority.connect(&server, Some(identity)).await.expect("it is valid still");
    let mut system = SystemServiceClient::new(channel);
    let watch = system.watch_gpu_stats(WatchGpuStatsRequest { interval_ms: 100, all_devices: false }).await;
    let mut watch = watch.expect("it is valid still").into_inner();
    let status = loop {
        match tokio::time::timeout(PATIENCE, watch.message()).await.expect("samples, or the end") {
            Ok(sample) => assert!(sample.is_some(), "a stream does not end as if all were well"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "CERTIFICATE_EXPIRED"));
    let refused = system.list_models(sakuga_proto::system::v1::ListModelsRequest {}).await.expect_err("it has expired");
    assert_eq!(reason(&refused), "CERTIFICATE_EXPIRED");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_names_and_errors_say_nothing_of_the_jobs_of_others() {
    let (server, _file, callers) = with_callers(1).await;
    let [alice, bob, admin] = [Who::Alice, Who::Bob, Who::Admin].map(|who| of(&callers, who));
    let named = |request_id: &str| GenerateRequest { request_id: request_id.into(), ..drawing() };
    let hers = alice.create(named("mine")).await.expect("accepted").job_id;
    let his = bob.create(named("his")).await.expect("accepted").job_id;

    let filters = [
        ListJobsRequest::default(),
        ListJobsRequest {
            filter: Some(JobFilter { client_id: "alice".into(), ..JobFilter::default() }),
            ..ListJobsRequest::default()
        },
        ListJobsRequest {
            filter: Some(JobFilter { request_id: "mine".into(), ..JobFilter::default() }),
            ..ListJobsRequest::default()
        },
        // A page that begins below a job of hers, or below an id that was never given.
        ListJobsRequest { page_token: hers.clone(), ..ListJobsRequest::default() },
        ListJobsRequest { page_token: "ffffffff-ffff-7fff-bfff-ffffffffffff".into(), ..ListJobsRequest::default() },
    ];
    for message in filters {
        assert!(!bob.list(message.clone()).await.contains(&hers), "{message:?}");
    }
    assert_eq!(bob.list(ListJobsRequest::default()).await, std::slice::from_ref(&his));
    assert_eq!(alice.list(ListJobsRequest::default()).await, std::slice::from_ref(&hers));
    assert_eq!(admin.list(ListJobsRequest::default()).await, [his, hers.clone()]);

    // The same request_id is another name for another client: neither found nor taken.
    let own = bob.create(named("mine")).await.expect("not her job").job_id;
    assert_ne!(own, hers);
    bob.create(GenerateRequest { width: 128, ..named("mine") }).await.expect_err("his own name is taken");
    let by_name = bob.jobs().get_job(bob.request(GetJobRequest { job_id: "mine".into() })).await.expect_err("no id");
    let hint = &by_name.get_details_bad_request().expect("BadRequest").field_violations[0].description;
    assert!(hint.contains(&own) && !hint.contains(&hers), "{hint}");

    // Her job and one that never was are answered alike.
    let never = "0198c5a2-7d3e-7c41-9a55-2f1f3f2b6a10";
    let mut answers = Vec::new();
    for id in [hers.as_str(), never] {
        let refused = bob.jobs().get_job(bob.request(GetJobRequest { job_id: id.into() })).await.expect_err("not his");
        let info = refused.get_details_error_info().expect("ErrorInfo");
        answers.push((refused.code(), refused.message().replace(id, ""), info.reason, info.metadata));
    }
    assert_eq!(answers[0], answers[1]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_assets_of_others_are_neither_read_nor_guessed() {
    let (server, _file, callers) = with_callers(1).await;
    let [alice, bob, admin] = [Who::Alice, Who::Bob, Who::Admin].map(|who| of(&callers, who));
    let (file, never) = (picture(200), picture(201));
    let hers = alice.upload(&file).await.expect("kept").asset.expect("an asset").sha256;
    for other in [&bob, &admin] {
        assert_eq!(other.assets().await, (vec![], 0));
        // What she has and what nobody has are answered alike, and the upload of either needs every byte.
        let mut answers = Vec::new();
        for file in [&file, &never] {
            let sha256 = sakuga_proto::digest::sha256_hex(file);
            let refused = other.delete_asset(&sha256).await.expect_err("not theirs");
            let info = refused.get_details_error_info().expect("ErrorInfo");
            answers.push((refused.code(), refused.message().replace(&sha256, ""), info.reason, info.metadata));
        }
        assert_eq!(answers[0], answers[1]);
    }
    let his = bob.upload(&file).await.expect("his own");
    assert!(!his.existed, "nothing shows that it was there");
    assert_eq!(his.asset.expect("an asset").sha256, hers);
    assert_eq!(alice.assets().await, bob.assets().await, "each has its own");
    alice.delete_asset(&hers).await.expect("her own");
    assert_eq!((alice.assets().await.1, bob.assets().await.0), (0, vec![hers.clone()]));
    bob.call(
        "sakuga.asset.v1.AssetService/GetAsset",
        GetAssetRequest { sha256: hers, ..GetAssetRequest::default() }.encode_to_vec(),
    )
    .await
    .expect("his is there still");
    server.stop().await;
}

/// An uploaded adapter is one for its owner alone, until another owner has uploaded it in full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adapters_are_found_among_the_assets_of_their_owner_alone() {
    let (server, _file, callers) = with_callers(1).await;
    let [alice, bob, admin] = [Who::Alice, Who::Bob, Who::Admin].map(|who| of(&callers, who));
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    let hers = alice.upload(&file).await.expect("kept").asset.expect("an asset").sha256;
    let with = |sha256: &str| {
        let adapter = Adapter { source: Some(adapter::Source::Sha256(sha256.into())), ..Adapter::default() };
        GenerateRequest { adapters: vec![adapter], ..drawing() }
    };
    alice.create(with(&hers)).await.expect("her own");
    for other in [&bob, &admin] {
        // What she has and what nobody has are answered alike.
        let mut answers = Vec::new();
        for sha256 in [hers.clone(), "ab".repeat(32)] {
            let refused = other.create(with(&sha256)).await.expect_err("not theirs");
            let violations = refused.get_details_bad_request().expect("details").field_violations;
            assert_eq!((violations.len(), violations[0].field.as_str()), (1, "adapters[0].sha256"));
            answers.push((refused.code(), violations[0].description.replace(&sha256, "")));
        }
        assert_eq!(answers[0], answers[1]);
    }
    assert!(!bob.upload(&file).await.expect("his own").existed);
    bob.create(with(&hers)).await.expect("his own");
    alice.delete_asset(&hers).await.expect("her own");
    alice.create(with(&hers)).await.expect_err("it is hers no more");
    server.stop().await;
}

/// Others learn of a job that waits or runs only that the device is busy, and how many jobs wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queue_figures_are_counts_and_never_name_a_job() {
    let (server, _file, callers) = with_callers(50).await;
    let [alice, bob, metrics] = [Who::Alice, Who::Bob, Who::Metrics].map(|who| of(&callers, who));
    // Ten seconds.
    let slow = GenerateRequest { sampling: Some(Sampling { steps: 200, ..Sampling::default() }), ..drawing() };
    let hers = alice.create(slow).await.expect("accepted").job_id;
    let mut seen: Vec<(Who, Activity)> = Vec::new();
    let mut watches = Vec::new();
    for (who, caller) in [(Who::Alice, &alice), (Who::Bob, &bob), (Who::Metrics, &metrics)] {
        let mut system = SystemServiceClient::new(caller.channel.clone());
        let watch = system.watch_activity(caller.request(WatchActivityRequest { interval_ms: 100 })).await;
        watches.push((who, watch.expect("activity").into_inner()));
    }
    while !seen.iter().any(|(who, activity)| *who == Who::Alice && activity.job_id == hers) {
        for (who, watch) in &mut watches {
            let message = tokio::time::timeout(PATIENCE, watch.message()).await.expect("in time").expect("no break");
            seen.push((*who, message.expect("no end").activity.expect("activity")));
        }
    }
    for (who, activity) in &seen {
        let is_named = !activity.job_id.is_empty() || !activity.stage.is_empty() || activity.steps > 0;
        assert!(*who == Who::Alice || !is_named, "{who:?} sees {activity:?}");
    }
    // His own job says how many are before it, and no more.
    let his = bob.create(drawing()).await.expect("accepted");
    let job = bob.jobs().get_job(bob.request(GetJobRequest { job_id: his.job_id })).await.expect("his own");
    let job = job.into_inner().job.expect("a job");
    assert!(job.state() != JobState::Queued || job.queue_position == Some(1), "{job:?}");
    let text = format!("{job:?}");
    assert!(!text.contains(&hers) && !text.contains("alice"), "{text}");
    alice.jobs().cancel_job(alice.request(CancelJobRequest { job_id: hers })).await.expect("her own");
    server.stop().await;
}
