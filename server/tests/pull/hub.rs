//! A server that behaves as a model hub does: a listing, and files that it redirects to a server on another port.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use sakuga_proto::digest::{hex, sha256_hex};
use serde_json::{Value, json};
use sha1_smol::Sha1;

/// The commit of the only revision.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) if_range: Option<String>,
}

/// The behaviour of the servers, which a test may change.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Files of the repository, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Answers of the hub that come before all others.
    pub(crate) refusals: VecDeque<(StatusCode, &'static str)>,
    /// Bytes after which answers of the other server end.
    pub(crate) cuts: VecDeque<usize>,
    /// Bytes after which one answer of the other server becomes silent.
    pub(crate) silence: Option<usize>,
    /// Whether the other server sends another last byte.
    pub(crate) is_corrupt: bool,
    /// Changes the entity tags of the other server.
    pub(crate) generation: u32,
    /// More entries of the listing.
    pub(crate) siblings: Vec<Value>,
    /// Where files are redirected to instead.
    pub(crate) redirect: Option<String>,
    /// Requests to the hub.
    pub(crate) hub: Vec<Seen>,
    /// Requests to the other server.
    pub(crate) storage: Vec<Seen>,
}

#[derive(Clone)]
struct Server {
    behaviour: Arc<Mutex<Behaviour>>,
    /// The address of the other server; `None`: this is it.
    storage: Option<SocketAddr>,
}

/// A hub, and the server that has its files.
pub(crate) struct FakeHub {
    behaviour: Arc<Mutex<Behaviour>>,
    pub(crate) address: SocketAddr,
    pub(crate) storage: SocketAddr,
}

impl FakeHub {
    /// Starts both on the loopback, with these files. They end with the test program.
    pub(crate) fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let behaviour = Arc::new(Mutex::new(Behaviour { files, ..Behaviour::default() }));
        let storage = serve(Server { behaviour: Arc::clone(&behaviour), storage: None });
        let address = serve(Server { behaviour: Arc::clone(&behaviour), storage: Some(storage) });
        Self { behaviour, address, storage }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().expect("no test panics with it")
    }

    /// Requests to the server of the files since the last call.
    pub(crate) fn downloads(&self) -> Vec<Seen> {
        std::mem::take(&mut self.behaviour().storage)
    }
}

/// All files below a folder, by path.
pub(crate) fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn collect(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry")) {
            let name = format!("{prefix}{}", entry.file_name().to_str().expect("a plain name"));
            if entry.path().is_dir() {
                collect(&entry.path(), &format!("{name}/"), files);
            } else {
                files.insert(name, std::fs::read(entry.path()).expect("readable"));
            }
        }
    }
    let mut files = BTreeMap::new();
    collect(folder, "", &mut files);
    files
}

fn serve(server: Server) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    listener.set_nonblocking(true).expect("a setting of the socket");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let router = Router::new().fallback(answer).with_state(server);
            axum::serve(listener, router).await.expect("it serves")
        })
    });
    address
}

async fn answer(State(server): State<Server>, request: Request) -> Response {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().expect("plain").to_owned());
    let seen = Seen {
        path: request.uri().path().to_owned(),
        token: header("authorization"),
        range: header("range"),
        if_range: header("if-range"),
    };
    let mut behaviour = server.behaviour.lock().expect("no test panics with it");
    match server.storage {
        Some(storage) => {
            behaviour.hub.push(seen.clone());
            of_hub(&mut behaviour, storage, &seen.path)
        }
        None => {
            behaviour.storage.push(seen.clone());
            of_storage(&mut behaviour, &seen)
        }
    }
}

fn is_large(path: &str) -> bool {
    path.ends_with(".safetensors")
}

fn listing(behaviour: &Behaviour) -> Value {
    let sibling = |(path, content): (&String, &Vec<u8>)| {
        let mut sha1 = Sha1::new();
        sha1.update(format!("blob {}\0", content.len()).as_bytes());
        sha1.update(content);
        let mut sibling = json!({"rfilename": path, "size": content.len(), "blobId": hex(&sha1.digest().bytes())});
        if is_large(path) {
            sibling["lfs"] = json!({"sha256": sha256_hex(content), "size": content.len(), "pointerSize": 134});
        }
        sibling
    };
    let siblings: Vec<Value> = behaviour.files.iter().map(sibling).chain(behaviour.siblings.iter().cloned()).collect();
    json!({"sha": COMMIT, "siblings": siblings, "cardData": {"license": "other", "license_name": "tiny-terms"}})
}

fn of_hub(behaviour: &mut Behaviour, storage: SocketAddr, path: &str) -> Response {
    if let Some((status, code)) = behaviour.refusals.pop_front() {
        return (status, [("x-error-code", code)], r#"{"error": "said the hub\u0007"}"#).into_response();
    }
    if path.starts_with("/api/models/") {
        return listing(behaviour).to_string().into_response();
    }
    let Some(file) = path.strip_prefix(&format!("/owner/tiny/resolve/{COMMIT}/")) else {
        return (StatusCode::NOT_FOUND, [("x-error-code", "EntryNotFound")]).into_response();
    };
    let Some(content) = behaviour.files.get(file) else { return StatusCode::NOT_FOUND.into_response() };
    if !is_large(file) {
        return content.clone().into_response();
    }
    let to = behaviour.redirect.clone().unwrap_or_else(|| format!("http://{storage}/{file}?signature=secret"));
    let headers = [
        ("location", to),
        ("x-linked-etag", format!("\"{}\"", sha256_hex(content))),
        ("x-linked-size", content.len().to_string()),
        ("x-repo-commit", COMMIT.to_owned()),
    ];
    (StatusCode::FOUND, headers).into_response()
}

fn of_storage(behaviour: &mut Behaviour, seen: &Seen) -> Response {
    let Some(mut content) = behaviour.files.get(seen.path.trim_start_matches('/')).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}-{}\"", content.len(), behaviour.generation);
    if let (true, Some(last)) = (behaviour.is_corrupt, content.last_mut()) {
        *last ^= 1;
    }
    let start = seen.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let start: usize = start.filter(|_| seen.if_range.as_ref().is_none_or(|wanted| *wanted == tag)).unwrap_or(0);
    let mut headers = HeaderMap::new();
    headers.insert("etag", tag.parse().expect("a header"));
    headers.insert("content-length", (content.len() - start).into());
    let mut status = StatusCode::OK;
    if start > 0 {
        status = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
        headers.insert("content-range", range.parse().expect("a header"));
    }
    let sent = content.split_off(start);
    let body = if let Some(cut) = behaviour.cuts.pop_front() {
        let broken = Err(io::Error::other("the connection is cut"));
        let first = Ok(Bytes::from(sent[..cut.min(sent.len())].to_vec()));
        Body::from_stream(futures::stream::iter([first]).chain(futures::stream::once(async {
            // Bytes that were sent arrive before the connection ends.
            tokio::time::sleep(Duration::from_millis(50)).await;
            broken
        })))
    } else if let Some(silence) = behaviour.silence.take() {
        let first = Ok::<_, io::Error>(Bytes::from(sent[..silence].to_vec()));
        Body::from_stream(futures::stream::iter([first]).chain(futures::stream::pending()))
    } else {
        Body::from(sent)
    };
    (status, headers, body).into_response()
}
