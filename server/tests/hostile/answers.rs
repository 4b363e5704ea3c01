//! The largest answers: with the most that requests may hold, every message of every method fits into what a plain client
//! takes, 4 MiB. The methods come from the descriptors: a new one fails the test until it is called here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use prost_reflect::DescriptorPool;
use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::asset::v1::{DeleteAssetRequest, GetAssetRequest, ListAssetsRequest};
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CancelJobRequest, CreateJobRequest, DeleteJobRequest, EstimateRequest, GenerateRequest, GetArtifactRequest,
    GetJobRequest, GetJobTelemetryRequest, ImageFormat, JobState, LabelJobRequest, ListJobsRequest, PreviewMethod,
    PreviewOptions, Sampling, WatchJobRequest, generate_request,
};
use sakuga_proto::model::v1::LoadModelRequest;
use sakuga_proto::prompt::v1::{
    FormatPromptRequest, ParsePromptRequest, Prompt, ValidatePromptRequest, validate_prompt_request,
};
use sakuga_proto::system::v1::{DrainDeviceRequest, WatchActivityRequest, WatchGpuStatsRequest};
use sakuga_server::config::EngineChoice;
use sakuga_server::config::Limits;
use sakuga_server::engine::scripted::Script;
use sakuga_server::{App, Config};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;

use crate::raw::RawCodec;
use crate::uploads::{parts, picture};

/// Bytes that a client takes unless it is configured otherwise.
const PLAIN_BYTES_MAX: usize = 4 << 20;
const PROMPT_BYTES: usize = 64 * 1024;
/// Messages that are read of a stream that does not end by itself.
const ENDLESS: usize = 3;

/// Prompts of the most bytes: what is repeated, with what is around it.
fn prompts() -> Vec<String> {
    let repeated = [
        ("<caption>", "a, ", "</caption>"),
        ("<general_tags><style>", "a,", "</style></general_tags>"),
        ("<general_tags><style>", "&amp;,", "</style></general_tags>"),
        ("<character_1><n>a</n><gender>1girl</gender><appearance>", "b,", "</appearance></character_1>"),
        ("", "<b>", ""),
        ("", "<a>x</a>", ""),
        ("<caption>", "(a:1.1)", "</caption>"),
        ("<caption>", "&#65;", "</caption>"),
        ("", "</caption>", ""),
        ("", "<character_1></character_1>", ""),
        ("", "<general_tags>", ""),
        ("{\"", "a\":\"b\",\"", "c\":1}"),
        ("", "Negative prompt: a\n", ""),
        ("<caption>", "\u{202e}", "</caption>"),
        ("", "<lora:a:1>", ""),
        ("", "<caption>\u{e9}</caption>", ""),
    ];
    let fill = |(before, middle, after): (&str, &str, &str)| {
        let times = (PROMPT_BYTES - before.len() - after.len()) / middle.len();
        format!("{before}{}{after}", middle.repeat(times))
    };
    repeated.into_iter().map(fill).collect()
}

/// The size of the largest message of each method.
#[derive(Default)]
struct Sizes(BTreeMap<String, usize>);

struct Server {
    channel: Channel,
    sizes: Sizes,
}

impl Server {
    /// Calls a method, and reads its answer to the end or to the `most`th message.
    async fn call(&mut self, method: &str, message: Vec<u8>, most: usize) -> Result<Vec<Bytes>, Status> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(256 << 20);
        client.ready().await.expect("the server is there");
        let path = format!("/{method}").parse().expect("a path");
        self.sizes.0.entry(method.to_owned()).or_default();
        let mut stream =
            client.server_streaming(Request::new(Bytes::from(message)), path, RawCodec).await?.into_inner();
        let mut messages = Vec::new();
        while messages.len() < most
            && let Some(message) = stream.message().await?
        {
            let largest = self.sizes.0.entry(method.to_owned()).or_default();
            *largest = message.len().max(*largest);
            messages.push(message);
        }
        Ok(messages)
    }
}

/// A PNG of more than two mebibytes.
fn noise() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 1024, 1024);
    encoder.set_color(png::ColorType::Rgb);
    let mut state = 1_u32;
    let pixels: Vec<u8> = (0..3 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut writer = encoder.write_header().expect("memory");
    writer.write_image_data(&pixels).expect("memory");
    writer.finish().expect("memory");
    file
}

fn job_service(method: &str) -> String {
    format!("sakuga.generation.v1.JobService/{method}")
}

fn methods() -> BTreeSet<String> {
    let sets = [
        sakuga_proto::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let pools = sets.map(|set| DescriptorPool::decode(set).expect("descriptors"));
    let services = pools.iter().flat_map(DescriptorPool::services).collect::<Vec<_>>();
    let name =
        |method: prost_reflect::MethodDescriptor| format!("{}/{}", method.parent_service().full_name(), method.name());
    services.iter().flat_map(|service| service.methods().map(name).collect::<Vec<_>>()).collect()
}

fn drawing(xml: &str, images: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml(xml.to_owned())),
        system_prompt: Some("s".repeat(8 * 1024)),
        sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
        width: 64,
        height: 64,
        images,
        profile: true,
        ..GenerateRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_fits_into_what_a_plain_client_takes() {
    let script = Script { step_ms: 0, text_encode_ms: 0, decode_ms: 0, default_size_px: 64, ..Script::default() };
    // The largest limits that an operator can set.
    let limits = Limits { images_max: 16, queued_max: 10_000, ..Limits::default() };
    let config = Config { models: EngineChoice::Scripted(script).into(), limits, ..Config::default() };
    let background = App::build(config).await.expect("it starts").spawn();
    let channel =
        Endpoint::from_shared(background.url().to_owned()).expect("a URL").connect().await.expect("it listens");
    let mut server = Server { channel: channel.clone(), sizes: Sizes::default() };
    let (mut accepted, mut refused, mut last_job) = (0, 0, String::new());
    for text in prompts() {
        for prompt in [
            validate_prompt_request::Prompt::Xml(text.clone()),
            validate_prompt_request::Prompt::Typed(Prompt { caption: text.clone(), ..Prompt::default() }),
        ] {
            let message = ValidatePromptRequest { prompt: Some(prompt), ..ValidatePromptRequest::default() };
            // Typed prompts may be longer than their text may be.
            let _ = server.call("sakuga.prompt.v1.PromptService/ValidatePrompt", message.encode_to_vec(), 1).await;
        }
        let message = ParsePromptRequest { xml: text.clone(), ..ParsePromptRequest::default() };
        let _ = server.call("sakuga.prompt.v1.PromptService/ParsePrompt", message.encode_to_vec(), 1).await;
        for (images, with_negative) in [(16, true), (16, false), (8, true), (4, true)] {
            let negative =
                with_negative.then(|| generate_request::Negative::NegativeText("a,".repeat(PROMPT_BYTES / 2)));
            let request = GenerateRequest { negative, ..drawing(&text, images) };
            let message = CreateJobRequest { request: Some(request), options: None };
            match server.call(&job_service("CreateJob"), message.encode_to_vec(), 1).await {
                Ok(created) => {
                    accepted += 1;
                    let created = sakuga_proto::generation::v1::CreateJobResponse::decode(created[0].clone());
                    last_job = created.expect("a response").job.expect("a job").job_id;
                }
                Err(status) => {
                    refused += 1;
                    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
                    continue;
                }
            }
            let job_id = || last_job.clone();
            let watch = WatchJobRequest { job_id: job_id(), ..WatchJobRequest::default() };
            server.call(&job_service("WatchJob"), watch.encode_to_vec(), usize::MAX).await.expect("to the end");
            let get = GetJobRequest { job_id: job_id() }.encode_to_vec();
            let got = server.call(&job_service("GetJob"), get, 1).await.expect("it is there");
            let job = sakuga_proto::generation::v1::GetJobResponse::decode(got[0].clone()).expect("a response").job;
            assert_eq!(job.expect("a job").state(), JobState::Completed);
            let cancel = CancelJobRequest { job_id: job_id() }.encode_to_vec();
            server.call(&job_service("CancelJob"), cancel, 1).await.expect("it has ended");
            if images == 16 && with_negative {
                // The others have less of everything.
                break;
            }
        }
    }
    assert!(accepted > 5 && refused > 0, "{accepted} accepted, {refused} refused");
    let list = ListJobsRequest { page_size: 200, ..ListJobsRequest::default() }.encode_to_vec();
    server.call(&job_service("ListJobs"), list, 1).await.expect("a page");
    let artifact = GetArtifactRequest { job_id: last_job.clone(), ..GetArtifactRequest::default() }.encode_to_vec();
    server.call(&job_service("GetArtifact"), artifact, usize::MAX).await.expect("to the end");
    let telemetry = GetJobTelemetryRequest { job_id: last_job.clone() }.encode_to_vec();
    server.call(&job_service("GetJobTelemetry"), telemetry, 1).await.expect("it is kept");

    // Previews of noise, as large as they may be.
    let preview = PreviewOptions {
        method: PreviewMethod::Decoder.into(),
        format: ImageFormat::Png.into(),
        max_edge: 2048,
        ..PreviewOptions::default()
    };
    let request =
        GenerateRequest { width: 2048, height: 2048, preview: Some(preview), ..drawing("<caption>a</caption>", 1) };
    server
        .call("sakuga.generation.v1.GenerationService/Generate", request.encode_to_vec(), usize::MAX)
        .await
        .expect("drawn");

    let estimate = EstimateRequest { request: Some(drawing("<caption>a</caption>", 16)), options: None };
    let estimate = estimate.encode_to_vec();
    server.call("sakuga.generation.v1.GenerationService/Estimate", estimate, 1).await.expect("an estimate");
    let add = (0..16).map(|number| format!("{number:032}")).collect();
    let label = LabelJobRequest { job_id: last_job.clone(), add, remove: vec![] }.encode_to_vec();
    server.call(&job_service("LabelJob"), label, 1).await.expect("it is there");

    // Escapes make a text five times as long.
    for character in ["&", "<", "a", "\""] {
        let typed = Prompt { caption: character.repeat(500 * 1024), ..Prompt::default() };
        let message = FormatPromptRequest { prompt: Some(typed) }.encode_to_vec();
        if let Err(status) = server.call("sakuga.prompt.v1.PromptService/FormatPrompt", message, 1).await {
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        }
    }
    server.call("sakuga.prompt.v1.PromptService/GetSchema", Vec::new(), 1).await.expect("the schema");
    for method in ["GetServerInfo", "ListModels", "ListDevices"] {
        server.call(&format!("sakuga.system.v1.SystemService/{method}"), Vec::new(), 1).await.expect("an answer");
    }
    // The bound of a folder with many adapters is tested where the answer is made.
    for method in ["ListModels", "ListAdapters"] {
        server.call(&format!("sakuga.model.v1.ModelService/{method}"), Vec::new(), 1).await.expect("an answer");
    }
    for method in ["UnloadModel", "LoadModel"] {
        let message = LoadModelRequest { name: "scripted".into() }.encode_to_vec();
        server.call(&format!("sakuga.model.v1.ModelService/{method}"), message, 1).await.expect("an answer");
    }
    for method in ["DrainDevice", "DisableDevice", "EnableDevice"] {
        let message = DrainDeviceRequest { name: "cpu".into() }.encode_to_vec();
        server.call(&format!("sakuga.system.v1.SystemService/{method}"), message, 1).await.expect("an answer");
    }
    let stats = WatchGpuStatsRequest { interval_ms: 100, all_devices: true }.encode_to_vec();
    server.call("sakuga.system.v1.SystemService/WatchGpuStats", stats, ENDLESS).await.expect("samples");
    let activity = WatchActivityRequest { interval_ms: 100 }.encode_to_vec();
    server.call("sakuga.system.v1.SystemService/WatchActivity", activity, ENDLESS).await.expect("activity");
    let health = HealthCheckRequest::default().encode_to_vec();
    server.call("grpc.health.v1.Health/Check", health.clone(), 1).await.expect("an answer");
    server.call("grpc.health.v1.Health/Watch", health, 1).await.expect("an answer");
    for version in ["v1", "v1alpha"] {
        let method = format!("grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        // `list_services` is field 7, `file_containing_symbol` field 4.
        let symbol = b"sakuga.generation.v1.JobService";
        for message in [vec![0x3a, 0], [&[0x22, symbol.len() as u8][..], symbol].concat()] {
            server.call(&method, message, 1).await.expect("an answer");
        }
    }
    // A page of the most assets, and a large one.
    let mut assets = AssetServiceClient::new(channel.clone());
    let mut uploaded = String::new();
    for shade in 0..=220 {
        let file = if shade == 0 { noise() } else { picture(shade) };
        let answer = assets.upload_asset(tokio_stream::iter(parts(&file, 0))).await.expect("kept").into_inner();
        uploaded = if shade == 0 { answer.asset.expect("an asset").sha256 } else { uploaded };
    }
    let asset_service = |method: &str| format!("sakuga.asset.v1.AssetService/{method}");
    let start = parts(&noise(), 0)[0].encode_to_vec();
    server.call(&asset_service("UploadAsset"), start.clone(), 1).await.expect("it is there");
    server.call(&asset_service("UploadAssetPart"), start, 1).await.expect("it is there");
    let list = ListAssetsRequest { page_size: 200, ..ListAssetsRequest::default() }.encode_to_vec();
    server.call(&asset_service("ListAssets"), list, 1).await.expect("a page");
    let get = GetAssetRequest { sha256: uploaded.clone(), ..GetAssetRequest::default() }.encode_to_vec();
    server.call(&asset_service("GetAsset"), get, usize::MAX).await.expect("to the end");
    let delete = DeleteAssetRequest { sha256: uploaded }.encode_to_vec();
    server.call(&asset_service("DeleteAsset"), delete, 1).await.expect("it is there");
    drop(assets);
    let delete = DeleteJobRequest { job_id: last_job }.encode_to_vec();
    server.call(&job_service("DeleteJob"), delete, 1).await.expect("it has ended");

    for (method, bytes) in &server.sizes.0 {
        println!("{bytes:>9} bytes: {method}");
    }
    assert_eq!(server.sizes.0.keys().cloned().collect::<BTreeSet<_>>(), methods(), "call every method here");
    let too_large: Vec<_> = server.sizes.0.iter().filter(|(_, bytes)| **bytes > PLAIN_BYTES_MAX).collect();
    assert!(too_large.is_empty(), "{too_large:?}");
    // A client with its defaults reads all pages.
    let mut plain = JobServiceClient::new(channel);
    let mut page_token = String::new();
    let mut listed = 0;
    loop {
        let page = plain.list_jobs(ListJobsRequest { page_size: 200, page_token, ..ListJobsRequest::default() }).await;
        let page = page.expect("a page").into_inner();
        listed += page.jobs.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    // One was deleted, and one is of the previews.
    assert_eq!(listed, accepted);
    drop((plain, server));
    background.stop().await.expect("it ends well");
}
