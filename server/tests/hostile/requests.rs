//! For any message the server answers in time, with a fitting code, and continues.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, RngSeed, TestCaseError, TestRunner};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use sakuga_proto::asset::v1::{GetAssetRequest, UploadAssetRequest};
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{
    CreateJobRequest, GenerateRequest, GetArtifactRequest, GetJobRequest, Sampling, WatchJobRequest, generate_request,
};
use sakuga_proto::model::v1::LoadModelRequest;
use sakuga_proto::prompt::v1::{ParsePromptRequest, ValidatePromptRequest, validate_prompt_request};
use sakuga_server::config::EngineChoice;
use sakuga_server::config::Limits;
use sakuga_server::engine::scripted::Script;
use sakuga_server::{App, BackgroundServer, Config};
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::messages::any_bytes;
use crate::raw::RawCodec;

/// Seconds, unless `SAKUGA_FUZZ_SECONDS` says another number.
const SECONDS: u64 = 4;
/// How long an answer may take to begin, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// Messages that are read of a stream before it is dropped, and how long the next one is waited for.
const MESSAGES_MAX: usize = 4;
const NEXT_MAX: Duration = Duration::from_millis(20);
/// Cases of one method in one turn.
const CASES: u32 = 32;

/// The text of tonic for bytes that are not a message; gRPC's code for it is INTERNAL.
const UNDECODABLE: &str = "failed to decode Protobuf message";

const XML: &str = "<caption>A girl looks at the sea.</caption>";

fn drawing() -> GenerateRequest {
    GenerateRequest {
        prompt: Some(generate_request::Prompt::Xml(XML.into())),
        sampling: Some(Sampling { steps: 2, ..Sampling::default() }),
        width: 64,
        height: 64,
        ..GenerateRequest::default()
    }
}

/// Messages that are accepted, of the types that have much to refuse.
fn good(input: &str, job_id: &str) -> Vec<Vec<u8>> {
    let job_id = job_id.to_owned();
    let message = match input {
        "sakuga.asset.v1.UploadAssetRequest" => {
            let parts: Vec<UploadAssetRequest> = crate::uploads::parts(&crate::uploads::picture(1), 0);
            return parts.iter().map(UploadAssetRequest::encode_to_vec).collect();
        }
        "sakuga.asset.v1.GetAssetRequest" => {
            let sha256 = sakuga_proto::digest::sha256_hex(b"x");
            GetAssetRequest { sha256, ..GetAssetRequest::default() }.encode_to_vec()
        }
        "sakuga.generation.v1.GenerateRequest" => drawing().encode_to_vec(),
        "sakuga.generation.v1.CreateJobRequest" => {
            CreateJobRequest { request: Some(drawing()), options: None }.encode_to_vec()
        }
        "sakuga.generation.v1.WatchJobRequest" => {
            WatchJobRequest { job_id, ..WatchJobRequest::default() }.encode_to_vec()
        }
        "sakuga.generation.v1.GetArtifactRequest" => {
            GetArtifactRequest { job_id, ..GetArtifactRequest::default() }.encode_to_vec()
        }
        "sakuga.generation.v1.GetJobRequest" => GetJobRequest { job_id }.encode_to_vec(),
        "sakuga.model.v1.LoadModelRequest" => LoadModelRequest { name: "scripted".into() }.encode_to_vec(),
        "sakuga.prompt.v1.ValidatePromptRequest" => {
            let prompt = Some(validate_prompt_request::Prompt::Xml(XML.into()));
            ValidatePromptRequest { prompt, ..ValidatePromptRequest::default() }.encode_to_vec()
        }
        "sakuga.prompt.v1.ParsePromptRequest" => {
            ParsePromptRequest { xml: XML.into(), ..ParsePromptRequest::default() }.encode_to_vec()
        }
        _ => return Vec::new(),
    };
    vec![message]
}

/// Counts panics on any thread; nothing else in this program provokes them on purpose.
fn count_panics() -> Arc<Mutex<Vec<String>>> {
    let panics = Arc::new(Mutex::new(Vec::new()));
    let noted = panics.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // The thread of a test panics when its assertion fails, which is reported by the test.
        if !panic.location().is_some_and(|place| place.file().contains("tests/")) {
            noted.lock().expect("no panic").push(panic.to_string());
        }
        before(panic);
    }));
    panics
}

struct Target {
    runtime: Runtime,
    channel: Channel,
    background: BackgroundServer,
    jobs: Vec<String>,
}

impl Target {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (channel, background, jobs) = runtime.block_on(async {
            let script =
                Script { step_ms: 0, text_encode_ms: 0, decode_ms: 0, default_size_px: 64, ..Script::default() };
            // Large pictures take long to encode, and are refused no differently.
            let limits = Limits { pixels_max: 128 * 128, queued_max: 100_000, ..Limits::default() };
            let config = Config { models: EngineChoice::Scripted(script).into(), limits, ..Config::default() };
            let background = App::build(config).await.expect("it starts").spawn();
            let url = background.url().to_owned();
            let channel = Endpoint::from_shared(url).expect("a URL").connect().await.expect("it listens");
            let mut client = JobServiceClient::new(channel.clone());
            let mut jobs = Vec::new();
            for _ in 0..2 {
                let call = CreateJobRequest { request: Some(drawing()), options: None };
                jobs.push(client.create_job(call).await.expect("accepted").into_inner().job.expect("a job").job_id);
            }
            (channel, background, jobs)
        });
        Self { runtime, channel, background, jobs }
    }

    /// Calls, reads a little of the answer, and returns how it ended, as far as it was read.
    async fn call(&self, method: &MethodDescriptor, message: Bytes) -> Result<Result<(), Status>, &'static str> {
        let mut client = tonic::client::Grpc::new(self.channel.clone()).max_decoding_message_size(64 << 20);
        client.ready().await.map_err(|_| "the connection is gone")?;
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = path.try_into().expect("a path");
        // A unary answer is a stream of one message.
        let answered = client.server_streaming(Request::new(message), path, RawCodec);
        let answer = tokio::time::timeout(PATIENCE, answered).await.map_err(|_| "no answer in time")?;
        let mut stream = match answer {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        for _ in 0..MESSAGES_MAX {
            let patience = if method.is_server_streaming() { NEXT_MAX } else { PATIENCE };
            match tokio::time::timeout(patience, stream.message()).await {
                Ok(Ok(Some(_))) => {}
                Ok(Ok(None)) => return Ok(Ok(())),
                Ok(Err(status)) => return Ok(Err(status)),
                Err(_) if method.is_server_streaming() => return Ok(Ok(())),
                Err(_) => return Err("no answer in time"),
            }
        }
        Ok(Ok(()))
    }

    /// Whether an answer fits what was sent.
    fn judge(method: &MethodDescriptor, message: &Bytes, answer: &Result<(), Status>) -> Result<(), TestCaseError> {
        let Err(status) = answer else { return Ok(()) };
        let is_message = DynamicMessage::decode(method.input(), message.clone()).is_ok();
        let fits = match status.code() {
            Code::Internal => !is_message && status.message().starts_with(UNDECODABLE),
            Code::Unknown | Code::DataLoss | Code::Unimplemented | Code::Aborted => false,
            // A job may be given less time than it takes; this server needs no identity.
            Code::Unauthenticated | Code::PermissionDenied => false,
            _ => true,
        };
        prop_assert!(fits, "{}: {status:?}", method.full_name());
        Ok(())
    }

    fn end(self) {
        drop(self.channel);
        self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, self.background.stop()).await.expect("it ends").expect("it ends well");
        });
    }
}

#[test]
fn every_message_of_every_call_is_answered() {
    let seconds = std::env::var("SAKUGA_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let panics = count_panics();
    let target = Target::start();
    let pool = DescriptorPool::decode(sakuga_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let services = pool.services().filter(|service| service.full_name().starts_with("sakuga."));
    let methods: Vec<MethodDescriptor> = services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(methods.len() >= 15, "the contract has {} methods", methods.len());
    let seed = std::env::var("SAKUGA_FUZZ_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().expect("a clock").as_nanos() as u64);
    println!("SAKUGA_FUZZ_SEED={seed}");
    let (calls, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    let mut turn = 0;
    // Every method has its turn, however short the time is.
    while turn == 0 || begun.elapsed() < Duration::from_secs(seconds) {
        for (place, method) in methods.iter().enumerate() {
            let seed = RngSeed::Fixed(seed.wrapping_add(turn * 1000 + place as u64));
            let config =
                RunnerConfig { cases: CASES, failure_persistence: None, rng_seed: seed, ..RunnerConfig::default() };
            let bytes = any_bytes(&method.input(), &target.jobs, good(method.input().full_name(), &target.jobs[0]));
            let ran = TestRunner::new(config).run(&bytes, |message| {
                calls.fetch_add(1, Ordering::Relaxed);
                let answer = target.runtime.block_on(target.call(method, message.clone()));
                let answer = answer.map_err(|why| TestCaseError::fail(format!("{}: {why}", method.full_name())))?;
                refused.fetch_add(u64::from(answer.is_err()), Ordering::Relaxed);
                Target::judge(method, &message, &answer)?;
                // Taken, so that a smaller message that fails is one that panics by itself.
                let panics = std::mem::take(&mut *panics.lock().expect("no panic"));
                prop_assert!(panics.is_empty(), "{}: {panics:?}", method.full_name());
                Ok(())
            });
            ran.unwrap_or_else(|error| panic!("{error}"));
        }
        turn += 1;
    }
    let (calls, refused) = (calls.into_inner(), refused.into_inner());
    println!("{calls} calls of {} methods, {refused} refused, {:.0} s", methods.len(), begun.elapsed().as_secs_f64());
    assert!(refused > 0 && refused < calls, "some are right and some are wrong");
    target.end();
    assert!(panics.lock().expect("no panic").is_empty());
}
