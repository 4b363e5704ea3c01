//! `sakuga assets`, against a server whose first connection breaks in the middle of an upload and of a download.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use sakuga_client::proto::asset::v1::asset_service_server::{AssetService, AssetServiceServer};
use sakuga_client::proto::asset::v1::upload_asset_request::Part;
use sakuga_client::proto::asset::v1::{
    Asset, AssetKind, DeleteAssetRequest, DeleteAssetResponse, GetAssetRequest, GetAssetResponse, ListAssetsRequest,
    ListAssetsResponse, PictureFacts, UploadAssetPartRequest, UploadAssetPartResponse, UploadAssetRequest,
    UploadAssetResponse, asset,
};
use sakuga_client::proto::digest::sha256_hex;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::{Run, collect, command};

/// The assets of the server, and the calls that it got.
#[derive(Clone, Default)]
struct Assets {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    calls: Arc<Mutex<Vec<String>>>,
    is_damaged: bool,
}

impl Assets {
    fn note(&self, call: String) -> usize {
        let mut calls = self.calls.lock().unwrap();
        let kind = call.split(' ').next().unwrap().to_owned();
        calls.push(call);
        calls.iter().filter(|call| call.starts_with(&kind)).count()
    }
}

fn asset(sha256: &str, file: &[u8]) -> Asset {
    let facts = PictureFacts { width: 4, height: 2, has_alpha: true, ..PictureFacts::default() };
    Asset {
        sha256: sha256.to_owned(),
        size: file.len() as u64,
        kind: AssetKind::Png.into(),
        facts: Some(asset::Facts::Picture(facts)),
        ..Asset::default()
    }
}

type Pieces = Pin<Box<dyn Stream<Item = Result<GetAssetResponse, Status>> + Send>>;

#[tonic::async_trait]
impl AssetService for Assets {
    type GetAssetStream = Pieces;

    async fn upload_asset(
        &self,
        request: Request<Streaming<UploadAssetRequest>>,
    ) -> Result<Response<UploadAssetResponse>, Status> {
        let mut parts = request.into_inner();
        let Some(Part::Start(start)) = parts.message().await?.and_then(|message| message.part) else {
            return Err(Status::invalid_argument("no start"));
        };
        let call = self.note(format!("upload {}", start.offset));
        let mut file = self.files.lock().unwrap().get(&start.sha256).cloned().unwrap_or_default();
        if start.offset != file.len() as u64 {
            let facts = [("offset".to_owned(), file.len().to_string())];
            let details = ErrorDetails::with_error_info("UPLOAD_OFFSET", "sakuga.dev", facts);
            return Err(Status::with_error_details(Code::OutOfRange, "there is more", details));
        }
        while let Some(message) = parts.message().await? {
            if let Some(Part::Data(data)) = message.part {
                file.extend_from_slice(&data);
                self.files.lock().unwrap().insert(start.sha256.clone(), file.clone());
                if call == 1 {
                    return Err(Status::unavailable("the server restarts"));
                }
            }
        }
        assert_eq!(sha256_hex(&file), start.sha256);
        Ok(Response::new(UploadAssetResponse { asset: Some(asset(&start.sha256, &file)), existed: false }))
    }

    async fn upload_asset_part(
        &self,
        _: Request<UploadAssetPartRequest>,
    ) -> Result<Response<UploadAssetPartResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_asset(&self, request: Request<GetAssetRequest>) -> Result<Response<Pieces>, Status> {
        let GetAssetRequest { sha256, offset, .. } = request.into_inner();
        let call = self.note(format!("get {offset}"));
        let found = self.files.lock().unwrap().get(&sha256).cloned();
        let mut file = found.ok_or_else(|| Status::not_found("there is no such asset"))?;
        let described = asset(&sha256, &file);
        if self.is_damaged {
            file[7] ^= 1;
        }
        let start = offset as usize;
        let end = if call == 1 && !self.is_damaged { file.len() / 2 } else { file.len() };
        let piece = GetAssetResponse { asset: Some(described), offset, data: file[start..end].to_vec().into() };
        let cut = (end < file.len()).then(|| Err(Status::unavailable("the server restarts")));
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(piece)).chain(tokio_stream::iter(cut)))))
    }

    async fn list_assets(&self, _: Request<ListAssetsRequest>) -> Result<Response<ListAssetsResponse>, Status> {
        let files = self.files.lock().unwrap();
        let assets = files.iter().map(|(sha256, file)| asset(sha256, file)).collect();
        Ok(Response::new(ListAssetsResponse { assets, used_bytes: 2048, quota_bytes: 4096, ..Default::default() }))
    }

    async fn delete_asset(
        &self,
        request: Request<DeleteAssetRequest>,
    ) -> Result<Response<DeleteAssetResponse>, Status> {
        let gone = self.files.lock().unwrap().remove(&request.into_inner().sha256);
        gone.map(|_| Response::new(DeleteAssetResponse {})).ok_or_else(|| Status::not_found("there is no such asset"))
    }
}

async fn start(fake: &Assets) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = tonic::transport::Server::builder().add_service(AssetServiceServer::new(fake.clone()));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn assets(directory: &std::path::Path, address: &str, arguments: &[&str]) -> Run {
    let mut command = command(directory);
    command.arg("assets").args(arguments).env("SAKUGA_SERVER", address).stdin(Stdio::null());
    collect(tokio::process::Command::from(command).output().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assets_are_uploaded_and_fetched_across_cuts_listed_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Assets::default();
    let address = start(&fake).await;
    let file: Vec<u8> = (0..700_000_u32).map(|place| (place * 31 % 251) as u8).collect();
    std::fs::write(directory.path().join("sketch.png"), &file).unwrap();
    let sha256 = sha256_hex(&file);

    let run = assets(directory.path(), &address, &["upload", "sketch.png"]).await;
    run.expect(0).says(&format!("{sha256}  PNG  683.6 KiB  4x2, alpha on white\n"));
    assert_eq!(*fake.calls.lock().unwrap(), ["upload 0", "upload 0", "upload 262144"]);
    let run = assets(directory.path(), &address, &["upload", "none.png"]).await;
    run.expect(2).says("none.png");

    assets(directory.path(), &address, &["list"])
        .await
        .expect(0)
        .says(&sha256)
        .says("1 asset, 2.0 KiB of 4.0 KiB used");
    let listed = assets(directory.path(), &address, &["list", "--json"]).await.expect(0).json();
    assert_eq!(listed["assets"][0]["kind"], "ASSET_KIND_PNG");

    let run = assets(directory.path(), &address, &["get", &sha256[..6], "--out", "back.png"]).await;
    run.expect(0).says("back.png");
    assert!(std::fs::read(directory.path().join("back.png")).unwrap() == file);
    assert_eq!(fake.calls.lock().unwrap()[3..], ["get 0", "get 350000"]);
    assets(directory.path(), &address, &["get", "0123456", "-o", "x"]).await.expect(3).says("no asset begins with");

    assets(directory.path(), &address, &["delete", &sha256]).await.expect(0).says("is deleted");
    assets(directory.path(), &address, &["delete", &sha256]).await.expect(3).says("there is no such asset");
    assets(directory.path(), &address, &["get", &sha256, "-o", "x"]).await.expect(3).says("there is no such asset");
    assert!(!directory.path().join("x").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asset_that_arrives_damaged_is_not_written() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Assets { is_damaged: true, ..Assets::default() };
    let address = start(&fake).await;
    let sha256 = sha256_hex(b"a picture");
    fake.files.lock().unwrap().insert(sha256.clone(), b"a picture".to_vec());
    std::fs::write(directory.path().join("old.png"), "kept").unwrap();
    assets(directory.path(), &address, &["get", &sha256, "-o", "old.png"]).await.expect(3).says("arrived damaged");
    assert_eq!(std::fs::read(directory.path().join("old.png")).unwrap(), b"kept");
}
