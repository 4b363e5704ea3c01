//! OpenAI's images API over plain HTTP: requests and answers.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sakuga_proto::generation::v1::job_service_client::JobServiceClient;
use sakuga_proto::generation::v1::{GetJobRequest, JobState, ListJobsRequest};
use sakuga_server::Config;
use sakuga_server::config::{EngineChoice, Limits, StudioConfig, StudioPlace, TransportConfig};
use sakuga_server::engine::scripted::Script;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Server, eventually, line, with_tokens};

const GENERATIONS: &str = "POST /v1/images/generations";
const EDITS: &str = "POST /v1/images/edits";
const JSON: &str = "content-type: application/json\r\n";

/// A running server with the API, and its address.
struct Api {
    server: Server,
    address: SocketAddr,
}

impl Api {
    async fn start(config: Config, step_ms: u64) -> Self {
        let studio = StudioConfig { place: StudioPlace::Auto, ..config.studio };
        let script = Script { step_ms, text_encode_ms: 0, decode_ms: 0, default_size_px: 64, ..Script::default() };
        let config = Config { models: EngineChoice::Scripted(script).into(), studio, ..config };
        let server = Server::start_config(config).await;
        let address = server.studio.expect("the studio is served next to an API on the loopback");
        Self { server, address }
    }

    /// One without tokens.
    async fn open() -> Self {
        Self::start(Config::default(), 1).await
    }

    async fn connect(&self, first: &str, head: &str, body: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.expect("connected");
        let (host, length) = (self.address, body.len());
        let request =
            format!("{first} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n");
        connection.write_all(request.as_bytes()).await.expect("sent");
        // The server may refuse before it has read everything.
        let _ = connection.write_all(body).await;
        connection
    }

    async fn send(&self, first: &str, head: &str, body: &[u8]) -> Answer {
        Answer::read(self.connect(first, head, body).await).await
    }

    async fn post(&self, first: &str, body: &Value) -> Answer {
        self.send(first, JSON, body.to_string().as_bytes()).await
    }
}

/// An answer over HTTP/1.1.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut connection: TcpStream) -> Self {
        let mut bytes = Vec::new();
        // A connection that is reset has ended too.
        let _ = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut bytes)).await.expect("an answer in time");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let body = bytes[end + 4..].to_vec();
        let body = if head.contains("transfer-encoding: chunked") { unchunked(&body) } else { body };
        Self { status, head, body }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Status, parameter and code of an error.
    fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
        let word = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (self.status, word("param"), word("code"))
    }

    /// The events of a stream: id, name and data.
    fn events(&self) -> Vec<(String, String, Value)> {
        let text = self.text();
        let events = text.split_terminator("\n\n").map(|event| {
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
            let data = serde_json::from_str(&field("data: ")).expect("JSON");
            (field("id: "), field("event: "), data)
        });
        events.collect()
    }
}

/// The data of a chunked body; what was cut is left out.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&body[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(chunk) =
            length.and_then(|length| body.get(end + 2..end + 2 + length)).filter(|chunk| !chunk.is_empty())
        else {
            break;
        };
        data.extend_from_slice(chunk);
        body = &body[(end + 4 + chunk.len()).min(body.len())..];
    }
    data
}

fn picture(base64: &Value) -> image::DynamicImage {
    let file = STANDARD.decode(base64.as_str().expect("base64")).expect("base64");
    image::load_from_memory(&file).expect("a picture")
}

#[tokio::test]
async fn pictures_are_answered_as_base64_in_each_format() {
    let api = Api::open().await;
    let body = json!({ "prompt": "1girl, solo", "n": 2, "size": "64x48", "sakuga": { "seed": 7 } });
    let answer = api.post(GENERATIONS, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.head.contains("grpc-") && answer.head.contains("content-security-policy"), "{}", answer.head);
    let read = answer.json();
    assert_eq!(
        (&read["size"], &read["output_format"], &read["quality"]),
        (&json!("64x48"), &json!("png"), &json!("high"))
    );
    assert_eq!(answer.header("x-request-id"), read["sakuga"]["job_id"].as_str());
    assert!(read["usage"]["input_tokens"].as_u64() > Some(0) && read["created"].as_u64() > Some(1_600_000_000));
    let pictures = read["data"].as_array().expect("a list");
    assert_eq!(pictures.len(), 2);
    assert_ne!(pictures[0], pictures[1]);
    for one in pictures {
        assert_eq!((picture(&one["b64_json"]).width(), picture(&one["b64_json"]).height()), (64, 48));
    }
    // The same seed is the same file.
    assert_eq!(api.post(GENERATIONS, &body).await.json()["data"], read["data"]);
    for format in ["jpeg", "webp"] {
        let body = json!({ "prompt": "1girl", "output_format": format, "stream": false, "quality": "auto" });
        let answer = api.post(GENERATIONS, &body).await.json();
        let file = STANDARD.decode(answer["data"][0]["b64_json"].as_str().expect("base64")).expect("base64");
        assert_eq!(image::guess_format(&file).ok(), image::ImageFormat::from_extension(format));
    }
    api.server.stop().await;
}

#[tokio::test]
async fn a_url_works_without_a_token_until_the_picture_is_deleted() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), line("alice", "generate", "a", "")).expect("written");
    let api = Api::start(Config { transport: with_tokens(file.path()), ..Config::default() }, 1).await;
    for (format, media_type) in [("png", "image/png"), ("jpeg", "image/jpeg")] {
        let body = json!({ "prompt": "1girl", "response_format": "url", "output_format": format }).to_string();
        let head = format!("{JSON}authorization: Bearer a\r\n");
        let answer = api.send(GENERATIONS, &head, body.as_bytes()).await;
        let url = answer.json()["data"][0]["url"].as_str().expect("a URL").to_owned();
        let path = url.strip_prefix(&format!("http://{}", api.address)).expect("the server's own address").to_owned();
        let fetched = api.send(&format!("GET {path}"), "", b"").await;
        assert_eq!((fetched.status, fetched.header("content-type")), (200, Some(media_type)));
        assert_eq!(image::load_from_memory(&fetched.body).expect("a picture").width(), 64);
        let head_only = api.send(&format!("HEAD {path}"), "", b"").await;
        assert_eq!((head_only.status, head_only.body.len()), (200, 0));
        // Another picture, a later end, and no signature.
        for changed in [
            path.replace("/0.", "/1."),
            path.replace("expires=", "expires=9"),
            path.split('?').next().expect("a path").to_owned(),
            format!("{path}&x=1"),
        ] {
            let refused = api.send(&format!("GET {changed}"), "", b"").await;
            assert_eq!(refused.error(), (403, String::new(), "URL_SIGNATURE".into()), "{changed}");
        }
    }
    for path in ["/v1/pictures/../../etc/passwd", "/v1/pictures/..%2f..%2fetc/passwd", "/v1/pictures/a/b/c"] {
        assert!([403, 404, 401].contains(&api.send(&format!("GET {path}"), "", b"").await.status), "{path}");
    }
    api.server.stop().await;
}

#[tokio::test]
async fn a_stream_has_partial_pictures_and_resumes_behind_the_last_event() {
    let api = Api::open().await;
    let body = json!({ "prompt": "1girl", "n": 2, "stream": true, "partial_images": 3, "sakuga": { "sampling": { "steps": 8 } } });
    let answer = api.post(GENERATIONS, &body).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
    let events = answer.events();
    let names: Vec<&str> = events.iter().map(|(_, name, _)| name.as_str()).collect();
    let partials = names.iter().filter(|name| **name == "image_generation.partial_image").count();
    assert_eq!((partials, &names[names.len() - 2..]), (6, &["image_generation.completed"; 2][..]), "{names:?}");
    for (id, name, data) in &events {
        assert_eq!(
            (data["type"].as_str(), data["sakuga"]["event_id"].as_str()),
            (Some(name.as_str()), Some(id.as_str()))
        );
        assert_eq!((data["size"].as_str(), data["background"].as_str()), (Some("64x64"), Some("opaque")));
        assert_eq!((picture(&data["b64_json"]).width(), data["output_format"].as_str()), (64, Some("png")));
    }
    let indices: Vec<u64> = events.iter().filter_map(|(_, _, data)| data["partial_image_index"].as_u64()).collect();
    assert_eq!(indices, [0, 0, 1, 1, 2, 2]);
    let job = answer.header("x-request-id").expect("a job").to_owned();
    let resume = format!("GET /v1/images/generations/{job}/events");
    // Behind the last partial picture, behind the first finished one, and behind the end.
    for (behind, expected) in [(5, 2), (6, 1), (7, 0)] {
        let (id, _, _) = &events[behind];
        let resumed = api.send(&resume, &format!("last-event-id: {id}\r\n"), b"").await;
        assert_eq!(resumed.status, 200, "{}", resumed.text());
        assert_eq!(resumed.events(), events[8 - expected..], "behind {id}");
    }
    let whole = api.send(&format!("{resume}?output_format=jpeg"), "", b"").await.events();
    assert_eq!((whole.len(), whole[0].2["output_format"].as_str()), (2, Some("jpeg")), "previews are not kept");
    for (head, query, param) in [
        ("last-event-id: 5\r\n", "", "last-event-id"),
        ("", "?partial_images=4", "partial_images"),
        ("", "?partials=1", "partials"),
    ] {
        assert_eq!(
            api.send(&format!("{resume}{query}"), head, b"").await.error(),
            (400, param.into(), "INVALID_REQUEST".into())
        );
    }
    let beyond = "last-event-id: 9999.0.generation.1.png.100\r\n";
    assert_eq!(api.send(&resume, beyond, b"").await.error().2, "SEQUENCE_NOT_KEPT");
    for id in ["none", "..%2f..", "00000000-0000-0000-0000-000000000000"] {
        let refused = api.send(&format!("GET /v1/images/generations/{id}/events"), "", b"").await;
        assert!([400, 404].contains(&refused.status), "{id}: {}", refused.text());
    }
    api.server.stop().await;
}

#[tokio::test]
async fn a_job_ends_with_its_connection_and_a_stream_can_be_continued() {
    let api = Api::start(Config::default(), 50).await;
    let mut jobs = JobServiceClient::new(api.server.channel().await);
    let slow = json!({ "prompt": "1girl", "sakuga": { "sampling": { "steps": 200 } } }).to_string();
    let connection = api.connect(GENERATIONS, JSON, slow.as_bytes()).await;
    let mut clients = jobs.clone();
    eventually("the job is there", || {
        let mut jobs = clients.clone();
        async move { jobs.list_jobs(ListJobsRequest::default()).await.is_ok_and(|jobs| jobs.get_ref().jobs.len() == 1) }
    })
    .await;
    let job_id = clients.list_jobs(ListJobsRequest::default()).await.expect("jobs").into_inner().jobs[0].job_id.clone();
    drop(connection);
    eventually("the job is cancelled", || {
        let (mut jobs, job_id) = (clients.clone(), job_id.clone());
        async move {
            let job = jobs.get_job(GetJobRequest { job_id }).await.expect("the job").into_inner().job;
            job.is_some_and(|job| job.state() == JobState::Cancelled)
        }
    })
    .await;
    let stream = json!({
        "prompt": "1girl", "stream": true, "partial_images": 1, "sakuga": { "sampling": { "steps": 8 } },
    });
    let mut connection = api.connect(GENERATIONS, JSON, stream.to_string().as_bytes()).await;
    let mut begun = String::new();
    while !begun.contains("event: image_generation.partial_image") {
        let mut bytes = [0; 1024];
        let read =
            tokio::time::timeout(PATIENCE, connection.read(&mut bytes)).await.expect("in time").expect("a stream");
        assert!(read > 0, "{begun}");
        begun += &String::from_utf8_lossy(&bytes[..read]);
    }
    drop(connection);
    let field = |name: &str| begun.lines().find_map(|line| line.strip_prefix(name)).expect("a line").trim().to_owned();
    let (job_id, last) = (field("x-request-id: "), field("id: "));
    let resumed = api
        .send(&format!("GET /v1/images/generations/{job_id}/events"), &format!("last-event-id: {last}\r\n"), b"")
        .await
        .events();
    assert_eq!(resumed.last().map(|(_, name, _)| name.as_str()), Some("image_generation.completed"));
    let job = jobs.get_job(GetJobRequest { job_id }).await.expect("the job").into_inner().job.expect("a job");
    assert_eq!(job.state(), JobState::Completed);
    api.server.stop().await;
}

/// A picture of 64 x 64 pixels as a PNG; with a hole, its left half is transparent.
fn png(has_hole: bool) -> Vec<u8> {
    let pixels = image::RgbaImage::from_fn(64, 64, |x, y| {
        let alpha = if has_hole && x < 32 { 0 } else { 255 };
        image::Rgba([x as u8 * 4, y as u8 * 4, 255, alpha])
    });
    let mut file = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut file, image::ImageFormat::Png).expect("a file");
    file.into_inner()
}

fn form(parts: &[(&str, &[u8])]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if name.starts_with("image") || *name == "mask" { "; filename=\"../a.png\"" } else { "" };
        body.extend_from_slice(
            format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    ("content-type: multipart/form-data; boundary=edge\r\n".into(), body)
}

#[tokio::test]
async fn an_edit_keeps_what_the_mask_covers() {
    let api = Api::open().await;
    let (image, mask) = (png(false), png(true));
    let fields: [(&str, &[u8]); 6] = [
        ("prompt", b"1girl"),
        ("image[]", &image),
        ("mask", &mask),
        ("n", b"1"),
        ("sakuga[sampling][steps]", b"6"),
        ("sakuga", b"{\"seed\": 1}"),
    ];
    let (head, body) = form(&fields[..5]);
    let answer = api.send(EDITS, &head, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let drawn = picture(&answer.json()["data"][0]["b64_json"]).into_rgb8();
    let before = image::load_from_memory(&image).expect("a picture").into_rgb8();
    assert_eq!(drawn.dimensions(), (64, 64), "auto is the size of the image");
    let differs = |range: std::ops::Range<u32>| range.clone().any(|x| drawn.get_pixel(x, 9) != before.get_pixel(x, 9));
    assert!(differs(0..32) && !differs(32..64));
    // The same as JSON, streamed.
    let url = |file: &[u8]| json!({ "image_url": format!("data:image/png;base64,{}", STANDARD.encode(file)) });
    let request = json!({
        "prompt": "1girl", "images": [url(&image)], "mask": url(&mask), "stream": true, "partial_images": 2,
        "sakuga": { "sampling": { "steps": 9 }, "init": { "strength": 1.0 } },
    });
    let events = api.post(EDITS, &request).await.events();
    let names: Vec<&str> = events.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ["image_edit.partial_image", "image_edit.partial_image", "image_edit.completed"]);
    let large = vec![0; (2 << 20) + 1];
    for (fields, param) in [
        (&[("prompt", &b"1girl"[..])][..], "image"),
        (&[("prompt", b"1girl"), ("image", &image), ("image", &image)], "image"),
        (&[("prompt", b"1girl"), ("image", b"no image")], "image"),
        (&[("prompt", b"1girl"), ("image", &large)], "image"),
        (&[("prompt", b"1girl"), ("image", &image), ("mask", &image)], "mask"),
        (&[("prompt", b"1girl"), ("image", &image), ("maks", b"a")], "maks"),
        (&fields[..], "sakuga"),
    ] {
        let (head, body) = form(fields);
        assert_eq!(api.send(EDITS, &head, &body).await.error(), (400, param.into(), "INVALID_REQUEST".into()));
    }
    api.server.stop().await;
}

#[tokio::test]
async fn every_fault_is_named_with_its_place() {
    let api = Api::open().await;
    for (body, param, text) in [
        (json!({ "prompt": "1girl", "siez": "auto" }), "siez", "did you mean `size`"),
        (json!({ "prompt": "1girl", "n": 9 }), "n", "use 1 to 8"),
        (json!({ "prompt": "1girl", "size": "63x64" }), "size", "multiple"),
        (json!({ "prompt": "1girl", "quality": "hd" }), "quality", "`hd`"),
        (json!({ "prompt": "1girl", "sakuga": { "sampling": { "steps": 201 } } }), "sakuga.sampling.steps", "201"),
        (json!({}), "prompt", "prompt"),
        (
            json!({
                "prompt": "<character_1>\n  <gender>1girl</gendr>\n</character_1>",
                "sakuga": { "strictness": "STRICTNESS_STRICT" },
            }),
            "prompt",
            "line 2, column",
        ),
        (
            json!({ "prompt": "1girl", "sakuga": { "adapters": [{ "name": "ink" }] } }),
            "sakuga.adapters[0].name",
            "adapters",
        ),
    ] {
        let answer = api.post(GENERATIONS, &body).await;
        assert_eq!(answer.error(), (400, param.into(), "INVALID_REQUEST".into()), "{body}: {}", answer.text());
        assert!(
            answer.json()["error"]["message"].as_str().expect("text").contains(text),
            "{text} in {}",
            answer.text()
        );
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    let unknown = api.post(GENERATIONS, &json!({ "prompt": "1girl", "model": "dall-e-3" })).await;
    assert_eq!((unknown.error().0, unknown.error().2.as_str()), (404, "MODEL_NOT_FOUND"));
    for (first, head, body, status) in [
        (GENERATIONS, JSON, &b"{"[..], 400),
        (GENERATIONS, "content-type: text/plain\r\n", b"{}", 400),
        (GENERATIONS, "content-type: multipart/form-data\r\n", b"{}", 400),
        (GENERATIONS, "content-encoding: gzip\r\n", b"{}", 400),
        ("GET /v1/images/generations", "", b"", 404),
        ("DELETE /v1/models", "", b"", 404),
        ("POST /v1/nothing", JSON, b"{}", 404),
        ("GET /v1/models/none", "", b"", 404),
    ] {
        let answer = api.send(first, head, body).await;
        assert_eq!(answer.error().0, status, "{first} {head}");
    }
    let large = vec![b' '; Limits::HTTP_BODY_BYTES_MAX + 1];
    assert_eq!(api.send(GENERATIONS, JSON, &large).await.status, 413);
    assert_eq!(api.post(GENERATIONS, &json!({ "prompt": "1girl" })).await.status, 200, "it serves on");
    api.server.stop().await;
}

#[tokio::test]
async fn tokens_scopes_and_limits_are_those_of_grpc() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let tokens = [
        line("alice", "generate", "a", "rate=2/min"),
        line("bob", "generate", "b", ""),
        line("mia", "metrics", "m", ""),
    ];
    std::fs::write(file.path(), tokens.concat()).expect("written");
    let api = Api::start(Config { transport: with_tokens(file.path()), ..Config::default() }, 1).await;
    let body = json!({ "prompt": "1girl" }).to_string();
    let with = |token: &str| format!("{JSON}authorization: Bearer {token}\r\n");
    let draw = async |token: &str| api.send(GENERATIONS, &with(token), body.as_bytes()).await;
    let none = api.send(GENERATIONS, JSON, body.as_bytes()).await;
    assert_eq!((none.error().0, none.error().2.as_str()), (401, "TOKEN_MISSING"));
    assert_eq!(none.header("www-authenticate"), Some("bearer"));
    assert_eq!(draw("x").await.error().2, "TOKEN_UNKNOWN");
    assert_eq!((draw("m").await.error().0, draw("m").await.error().2.as_str()), (403, "SCOPE_MISSING"));
    assert_eq!(api.send("GET /v1/models", &with("m"), b"").await.json()["data"][0]["id"], "scripted");
    assert_eq!(api.send("GET /v1/models", "", b"").await.status, 401);
    assert_eq!(api.send("GET /v1/openapi.json", "", b"").await.json()["openapi"], "3.1.0");
    let drawn = draw("a").await;
    assert_eq!(drawn.status, 200);
    // The job is of the token that made it.
    let events = format!("GET /v1/images/generations/{}/events", drawn.header("x-request-id").expect("a job"));
    assert_eq!(api.send(&events, &with("b"), b"").await.error().2, "JOB_NOT_FOUND");
    assert_eq!(api.send(&events, &with("a"), b"").await.status, 200);
    let limited = draw("a").await;
    assert_eq!((limited.error().0, limited.error().2.as_str()), (429, "CLIENT_RATE_LIMIT"));
    let seconds: u64 = limited.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=60).contains(&seconds) && limited.header("x-should-retry") == Some("true"));
    api.server.stop().await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let limits = Limits { queued_max: 1, ..Limits::default() };
    let api = Api::start(Config { limits, ..Config::default() }, 50).await;
    let slow = json!({ "prompt": "1girl", "sakuga": { "sampling": { "steps": 200 } } }).to_string();
    let mut waiting = Vec::new();
    let refused = loop {
        let connection = api.connect(GENERATIONS, JSON, slow.as_bytes()).await;
        let mut first = [0; 1];
        match tokio::time::timeout(Duration::from_millis(300), connection.peek(&mut first)).await {
            Ok(_) => break Answer::read(connection).await,
            Err(_) => waiting.push(connection),
        }
        assert!(waiting.len() < 10, "the queue is never full");
    };
    assert_eq!((refused.error().0, refused.error().2.as_str()), (429, "QUEUE_FULL"));
    assert!(refused.header("retry-after").is_some());
    drop(waiting);
    api.server.stop().await;
}

#[tokio::test]
async fn pages_of_others_slow_bodies_and_a_switched_off_api_get_nothing() {
    let transport = TransportConfig { handshake_timeout: Duration::from_secs(1), ..TransportConfig::default() };
    let api = Api::start(Config { transport, ..Config::default() }, 1).await;
    let body = json!({ "prompt": "1girl" }).to_string();
    let foreign = api.send(GENERATIONS, &format!("{JSON}origin: http://evil.example\r\n"), body.as_bytes()).await;
    assert_eq!(foreign.error(), (403, String::new(), "ORIGIN_REFUSED".into()));
    let mut slow = TcpStream::connect(api.address).await.expect("connected");
    let head = format!("{GENERATIONS} HTTP/1.1\r\nhost: {}\r\n{JSON}content-length: 100\r\n\r\n{{", api.address);
    slow.write_all(head.as_bytes()).await.expect("sent");
    assert_eq!(Answer::read(slow).await.error(), (408, String::new(), "MESSAGE_TOO_SLOW".into()));
    api.server.stop().await;
    let studio = StudioConfig { has_openai_api: false, ..StudioConfig::default() };
    let off = Api::start(Config { studio, ..Config::default() }, 1).await;
    assert_eq!(off.post(GENERATIONS, &json!({ "prompt": "1girl" })).await.status, 404);
    off.server.stop().await;
}
