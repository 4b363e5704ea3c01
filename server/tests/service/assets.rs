//! Files of clients: uploaded in parts, continued after a cut, examined, listed, sent and deleted; and what is refused.

use std::time::Duration;

use bytes::Bytes;
use sakuga_proto::asset::v1::asset_service_client::AssetServiceClient;
use sakuga_proto::asset::v1::upload_asset_request::Part;
use sakuga_proto::asset::v1::{
    Asset, AssetKind, ColorProfile, DeleteAssetRequest, GetAssetRequest, ListAssetsRequest, PictureFacts, TensorFacts,
    UploadAssetPartRequest, UploadAssetPartResponse, UploadAssetRequest, UploadAssetResponse, UploadStart, asset,
};
use sakuga_proto::digest::sha256_hex;
use sakuga_server::Config;
use sakuga_server::config::AssetSettings;
use sakuga_server::config::JobsConfig;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::support::{PATIENCE, Server, quick, scripted};
use crate::uploads::{parts, picture};

type Client = AssetServiceClient<Channel>;

async fn start(assets: AssetSettings) -> (Server, Client) {
    let jobs = JobsConfig { assets, ..JobsConfig::default() };
    let server = Server::start(Config { jobs, ..scripted(quick()) }).await;
    let client = AssetServiceClient::new(server.channel.clone());
    (server, client)
}

async fn send(client: &mut Client, parts: Vec<UploadAssetRequest>) -> Result<UploadAssetResponse, Status> {
    let answer = client.upload_asset(tokio_stream::iter(parts));
    Ok(tokio::time::timeout(PATIENCE, answer).await.expect("an answer in time")?.into_inner())
}

async fn upload(client: &mut Client, file: &[u8]) -> Asset {
    send(client, parts(file, 0)).await.expect("kept").asset.expect("an asset")
}

/// The asset, the bytes of each message, and the file from `offset` on.
async fn get(client: &mut Client, request: GetAssetRequest) -> Result<(Asset, Vec<usize>, Vec<u8>), Status> {
    let mut offset = request.offset;
    let mut stream = client.get_asset(request).await?.into_inner();
    let (mut asset, mut sizes, mut file) = (None, Vec::new(), Vec::new());
    while let Some(message) = stream.message().await? {
        assert_eq!((message.asset.is_some(), message.offset), (asset.is_none(), offset), "first, and in order");
        asset = asset.or(message.asset);
        offset += message.data.len() as u64;
        sizes.push(message.data.len());
        file.extend_from_slice(&message.data);
    }
    Ok((asset.expect("an asset"), sizes, file))
}

fn named(sha256: &str) -> GetAssetRequest {
    GetAssetRequest { sha256: sha256.to_owned(), ..GetAssetRequest::default() }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn fact(status: &Status, name: &str) -> String {
    status.get_details_error_info().expect("ErrorInfo").metadata.remove(name).unwrap_or_default()
}

/// A file with one tensor of `bytes` bytes that do not repeat.
fn tensors(bytes: usize) -> Vec<u8> {
    let header = format!(r#"{{"t":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let data: Vec<u8> = (0..bytes).map(|place| (place * place / 7) as u8).collect();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_uploaded_listed_sent_and_deleted() {
    let (server, mut client) = start(AssetSettings::default()).await;
    let (small, large) = (picture(7), tensors(600_000));
    let asset = upload(&mut client, &small).await;
    assert_eq!(
        (asset.sha256.clone(), asset.size, asset.kind()),
        (sha256_hex(&small), small.len() as u64, AssetKind::Png)
    );
    let facts = PictureFacts {
        width: 4,
        height: 2,
        exif_orientation: 1,
        color_profile: ColorProfile::None.into(),
        ..PictureFacts::default()
    };
    assert_eq!(asset.facts, Some(asset::Facts::Picture(facts)));
    let kept_s = asset.expire_time.expect("a time").seconds - asset.create_time.expect("a time").seconds;
    assert_eq!(kept_s, 168 * 3600);
    let adapter = upload(&mut client, &large).await;
    assert_eq!(adapter.facts, Some(asset::Facts::Tensors(TensorFacts { tensors: 1 })));

    // The second time nothing has to be sent.
    let start = parts(&large, 0).into_iter().take(1).collect();
    let again = send(&mut client, start).await.expect("known");
    assert_eq!((again.existed, again.asset), (true, Some(adapter.clone())));

    let (found, sizes, file) = get(&mut client, named(&adapter.sha256)).await.expect("there");
    assert_eq!((found, file == large), (adapter.clone(), true));
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 256 * 1024), "{sizes:?}");
    let part = GetAssetRequest { offset: 300_000, limit: 10, ..named(&adapter.sha256) };
    assert_eq!(get(&mut client, part).await.expect("there").2, large[300_000..300_010]);
    let end = GetAssetRequest { offset: large.len() as u64, ..named(&adapter.sha256) };
    assert_eq!(get(&mut client, end).await.expect("there").1, [0], "the asset alone");
    let beyond = GetAssetRequest { offset: large.len() as u64 + 1, ..named(&adapter.sha256) };
    assert_eq!(reason(&get(&mut client, beyond).await.expect_err("beyond the end")), "INVALID_REQUEST");

    // Newest first, in pages.
    let first = ListAssetsRequest { page_size: 1, ..ListAssetsRequest::default() };
    let page = client.list_assets(first).await.expect("a page").into_inner();
    assert_eq!((page.assets, page.used_bytes), (vec![adapter.clone()], (small.len() + large.len()) as u64));
    assert_eq!(page.quota_bytes, AssetSettings::default().quota);
    let second = ListAssetsRequest { page_size: 1, page_token: page.next_page_token };
    let page = client.list_assets(second.clone()).await.expect("a page").into_inner();
    assert_eq!((page.assets, page.next_page_token), (vec![asset.clone()], String::new()));
    for token in ["x", "0", "+00000000000000f-", &second.page_token[1..]] {
        let wrong = ListAssetsRequest { page_token: token.into(), ..ListAssetsRequest::default() };
        assert_eq!(reason(&client.list_assets(wrong).await.expect_err("not a token")), "INVALID_REQUEST", "{token}");
    }

    for sha256 in [&asset.sha256, &adapter.sha256] {
        client.delete_asset(DeleteAssetRequest { sha256: sha256.clone() }).await.expect("there");
        let gone = get(&mut client, named(sha256)).await.expect_err("deleted");
        assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "ASSET_NOT_FOUND"));
        let gone = client.delete_asset(DeleteAssetRequest { sha256: sha256.clone() }).await.expect_err("deleted");
        assert_eq!(reason(&gone), "ASSET_NOT_FOUND");
    }
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_is_continued_by_its_offset() {
    let (server, mut client) = start(AssetSettings::default()).await;
    let file = tensors(450_000);
    // A call that is open is ended by a newer one, whatever has arrived of it.
    let (sender, receiver) = mpsc::channel(8);
    let mut older = client.clone();
    let call = tokio::spawn(async move { older.upload_asset(ReceiverStream::new(receiver)).await });
    for part in parts(&file, 0).into_iter().take(3) {
        sender.send(part).await.expect("it reads");
    }
    while !call.is_finished() {
        let status = send(&mut client, parts(&file, 1)).await.expect_err("not at 1");
        assert!(["UPLOAD_OFFSET", "UPLOAD_SUPERSEDED"].contains(&reason(&status).as_str()), "{status:?}");
    }
    let superseded = call.await.expect("no panic").expect_err("a newer call came");
    assert_eq!((superseded.code(), reason(&superseded).as_str()), (Code::Aborted, "UPLOAD_SUPERSEDED"));
    // A call at another offset learns how much is there.
    let status = send(&mut client, parts(&file, 1)).await.expect_err("not at 1");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "UPLOAD_OFFSET"));
    assert_eq!(fact(&status, "size"), file.len().to_string());
    let held: usize = fact(&status, "offset").parse().expect("a number");
    assert!([0, 100_000, 200_000].contains(&held), "{held}");
    // So does one that ends too early.
    let some = parts(&file, held).into_iter().take(2).collect();
    let status = send(&mut client, some).await.expect_err("not whole");
    assert_eq!(fact(&status, "offset"), (held + 100_000).to_string());
    let from_begin = send(&mut client, parts(&file, 0)).await.expect_err("not at 0");
    assert_eq!(fact(&from_begin, "offset"), (held + 100_000).to_string());
    let done = send(&mut client, parts(&file, held + 100_000)).await.expect("whole");
    assert_eq!((done.existed, done.asset.expect("an asset").sha256), (false, sha256_hex(&file)));
    let (_, _, kept) = get(&mut client, named(&sha256_hex(&file))).await.expect("there");
    assert!(kept == file);
    drop(client);
    server.stop().await;
}

/// Uploads a part of a file.
async fn part(
    client: &mut Client,
    file: &[u8],
    range: std::ops::Range<usize>,
) -> Result<UploadAssetPartResponse, Status> {
    let start = UploadStart { sha256: sha256_hex(file), size: file.len() as u64, offset: range.start as u64 };
    let data = file[range].to_vec();
    Ok(client.upload_asset_part(UploadAssetPartRequest { start: Some(start), data }).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_cannot_stream_upload_part_by_part() {
    let (server, mut client) = start(AssetSettings::default()).await;
    let file = tensors(450_000);
    let whole = file.len();
    let first = part(&mut client, &file, 0..200_000).await.expect("the first");
    assert_eq!(first, UploadAssetPartResponse { received: 200_000, ..UploadAssetPartResponse::default() });
    // The answer was lost, and the part is sent again.
    let again = part(&mut client, &file, 0..200_000).await.expect_err("it is there");
    assert_eq!((reason(&again), fact(&again, "offset")), ("UPLOAD_OFFSET".into(), "200000".into()));
    // A stream continues what parts began, and the other way round.
    let some = parts(&file, 200_000).into_iter().take(2).collect();
    assert_eq!(fact(&send(&mut client, some).await.expect_err("not whole"), "offset"), "300000");
    let last = part(&mut client, &file, 300_000..whole).await.expect("the last");
    let asset = last.asset.expect("whole");
    assert_eq!((asset.sha256, last.existed, last.received), (sha256_hex(&file), false, whole as u64));
    // What is there need not be sent.
    let known = part(&mut client, &file, 0..0).await.expect("known");
    assert_eq!((known.existed, known.received), (true, whole as u64));
    let other = tensors(300_000);
    for (range, field) in [(0..0, "data"), (0..256 * 1024 + 1, "data")] {
        let refused = part(&mut client, &other, range).await.expect_err("not a part");
        let faults = refused.get_details_bad_request().expect("BadRequest").field_violations;
        assert_eq!((refused.code(), faults[0].field.as_str()), (Code::InvalidArgument, field));
    }
    let nothing = client.upload_asset_part(UploadAssetPartRequest::default()).await.expect_err("no start");
    assert_eq!(reason(&nothing), "INVALID_REQUEST");
    let script = b"#!/bin/sh\nrm -rf /";
    assert_eq!(reason(&part(&mut client, script, 0..script.len()).await.expect_err("a script")), "ASSET_UNUSABLE");
    let listed = client.list_assets(ListAssetsRequest::default()).await.expect("a page").into_inner();
    assert_eq!((listed.assets.len(), listed.used_bytes), (1, whole as u64), "refused parts leave nothing");
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_kept_is_refused_with_the_reason() {
    let settings = AssetSettings { quota: 1 << 20, ..AssetSettings::default() };
    let (server, mut client) = start(settings).await;
    let good = picture(1);
    let data = |bytes: &[u8]| UploadAssetRequest { part: Some(Part::Data(Bytes::copy_from_slice(bytes))) };
    let start = |sha256: &str, size: u64| UploadAssetRequest {
        part: Some(Part::Start(UploadStart { sha256: sha256.to_owned(), size, offset: 0 })),
    };
    let announced = |file: &[u8]| start(&sha256_hex(file), file.len() as u64);
    let mut damaged = good.clone();
    let place = damaged.len() - 20;
    damaged[place] ^= 1;
    let mut bomb = good.clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let mut crc = flate2::Crc::new();
    crc.update(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    let hash = sha256_hex(&good);
    let cases: Vec<(&str, Vec<UploadAssetRequest>, Code, &str)> = vec![
        ("nothing", vec![], Code::InvalidArgument, "INVALID_REQUEST"),
        ("no part", vec![UploadAssetRequest { part: None }], Code::InvalidArgument, "INVALID_REQUEST"),
        ("no start", vec![data(&good)], Code::InvalidArgument, "INVALID_REQUEST"),
        ("no hash", vec![start("", 7)], Code::InvalidArgument, "INVALID_REQUEST"),
        ("a path", vec![start("../../etc/passwd", 7)], Code::InvalidArgument, "INVALID_REQUEST"),
        ("upper case", vec![start(&hash.to_uppercase(), 7)], Code::InvalidArgument, "INVALID_REQUEST"),
        ("no bytes", vec![start(&hash, 0)], Code::InvalidArgument, "INVALID_REQUEST"),
        ("an empty piece", vec![announced(&good), data(b"")], Code::InvalidArgument, "INVALID_REQUEST"),
        ("too long", vec![announced(&good), data(&good), data(b"x")], Code::InvalidArgument, "INVALID_REQUEST"),
        ("beyond the quota", vec![start(&hash, 1 << 21)], Code::ResourceExhausted, "ASSET_QUOTA"),
        ("a large piece", vec![announced(&good), data(&[7; 300 << 10])], Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        (
            "two starts",
            vec![announced(&good), data(&good[..10]), announced(&good)],
            Code::InvalidArgument,
            "INVALID_REQUEST",
        ),
        // Ten bytes of it are there.
        ("another size", vec![start(&hash, 7)], Code::InvalidArgument, "INVALID_REQUEST"),
        (
            "another hash",
            vec![start(&sha256_hex(b"x"), good.len() as u64), data(&good)],
            Code::InvalidArgument,
            "ASSET_HASH_MISMATCH",
        ),
        ("a script", parts(b"#!/bin/sh\nrm -rf /", 0), Code::InvalidArgument, "ASSET_UNUSABLE"),
        ("a damaged picture", parts(&damaged, 0), Code::InvalidArgument, "ASSET_UNUSABLE"),
        ("a bomb", parts(&bomb, 0), Code::InvalidArgument, "ASSET_UNUSABLE"),
        ("half a picture", parts(&good[..good.len() / 2], 0), Code::InvalidArgument, "ASSET_UNUSABLE"),
        ("tensors beyond the file", parts(&tensors(90)[..100], 0), Code::InvalidArgument, "ASSET_UNUSABLE"),
    ];
    for (what, parts, code, expected) in cases {
        let status = send(&mut client, parts).await.expect_err(what);
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{what}: {status:?}");
        if expected == "INVALID_REQUEST" {
            let faults = status.get_details_bad_request().expect("BadRequest").field_violations;
            assert!(!faults[0].field.is_empty() && !faults[0].description.is_empty(), "{what}: {faults:?}");
        }
    }
    let mismatch = send(&mut client, vec![start(&sha256_hex(b"x"), good.len() as u64), data(&good)]).await;
    assert_eq!(fact(&mismatch.expect_err("another hash"), "sha256"), hash, "it says which");
    // The unfinished upload of the right size is deleted like an asset, and then nothing is left.
    client.delete_asset(DeleteAssetRequest { sha256: hash }).await.expect("an unfinished upload");
    let listed = client.list_assets(ListAssetsRequest::default()).await.expect("a page").into_inner();
    assert_eq!((listed.assets.len(), listed.used_bytes), (0, 0));
    upload(&mut client, &good).await;
    drop(client);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_sends_nothing_ends_and_can_be_continued() {
    let settings = AssetSettings { idle: Duration::from_millis(200), ..AssetSettings::default() };
    let (server, mut client) = start(settings).await;
    let file = tensors(150_000);
    let (sender, receiver) = mpsc::channel(8);
    for part in parts(&file, 0).into_iter().take(2) {
        sender.send(part).await.expect("room");
    }
    let idle = client.upload_asset(ReceiverStream::new(receiver)).await.expect_err("nothing more comes");
    assert_eq!((idle.code(), reason(&idle).as_str()), (Code::DeadlineExceeded, "UPLOAD_IDLE"));
    let offset: usize = fact(&idle, "offset").parse().expect("a number");
    let done = send(&mut client, parts(&file, offset)).await.expect("the rest");
    assert_eq!(done.asset.expect("an asset").size, file.len() as u64);
    drop((client, sender));
    server.stop().await;
}
