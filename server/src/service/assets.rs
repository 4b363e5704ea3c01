//! `sakuga.asset.v1.AssetService`: files of clients that requests refer to.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use sakuga_proto::asset::v1::asset_service_server::AssetService;
use sakuga_proto::asset::v1::upload_asset_request::Part;
use sakuga_proto::asset::v1::{
    DeleteAssetRequest, DeleteAssetResponse, GetAssetRequest, GetAssetResponse, ListAssetsRequest, ListAssetsResponse,
    UploadAssetPartRequest, UploadAssetPartResponse, UploadAssetRequest, UploadAssetResponse, UploadStart,
};
use tonic::{Request, Response, Status, Streaming};

use super::caller::caller;
use super::{Context, Messages, pages, refuse};
use crate::assets::{AssetError, AssetId, AssetOwner, Assets, Page, StartedUpload, Upload};
use crate::error::{ServerError, Violation};
use crate::limits::Limits;

/// Stores, sends, lists and deletes the files of clients.
pub(crate) struct AssetCalls {
    context: Arc<Context>,
}

impl AssetCalls {
    /// The service.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    fn assets(&self) -> &Arc<Assets> {
        &self.context.assets
    }
}

#[tonic::async_trait]
impl AssetService for AssetCalls {
    type GetAssetStream = Messages<GetAssetResponse>;

    async fn upload_asset(
        &self,
        request: Request<Streaming<UploadAssetRequest>>,
    ) -> Result<Response<UploadAssetResponse>, Status> {
        let _permit = self.context.stream_permit()?;
        let owner = owner(&request)?;
        let mut parts = Parts { messages: request.into_inner(), idle: self.context.asset_idle };
        tokio::select! {
            () = self.context.closing.cancelled() => Err(refuse(&ServerError::ShuttingDown)),
            answer = upload(self.assets(), &owner, &mut parts) => answer.map(Response::new),
        }
    }

    async fn upload_asset_part(
        &self,
        request: Request<UploadAssetPartRequest>,
    ) -> Result<Response<UploadAssetPartResponse>, Status> {
        let owner = owner(&request)?;
        let UploadAssetPartRequest { start, data } = request.into_inner();
        tokio::select! {
            () = self.context.closing.cancelled() => Err(refuse(&ServerError::ShuttingDown)),
            answer = upload_part(self.assets(), &owner, start, data.into()) => answer.map(Response::new),
        }
    }

    async fn get_asset(&self, request: Request<GetAssetRequest>) -> Result<Response<Self::GetAssetStream>, Status> {
        let permit = self.context.stream_permit()?;
        let owner = owner(&request)?;
        let GetAssetRequest { sha256, offset, limit } = request.into_inner();
        let id = id("sha256", &sha256)?;
        let assets = self.assets().clone();
        let asset = assets.find(&owner, id).map_err(refuse_asset)?;
        if offset > asset.size {
            let text = format!("the file has {} bytes; begin within them", asset.size);
            return Err(refuse(&ServerError::invalid("offset", Violation::OUT_OF_RANGE, text)));
        }
        let end = if limit == 0 { asset.size } else { asset.size.min(offset.saturating_add(limit)) };
        let reader = assets.reader(id, asset.size, offset..end).await.map_err(refuse_asset)?;
        // The first message states the asset, also if no bytes are asked for.
        let first = (Some(asset), reader, permit);
        let outgoing = self.context.outgoing.clone();
        let pieces = stream::unfold(Some(first), move |state| {
            let piece_bytes = outgoing.piece_bytes(Limits::CHUNK_BYTES_MAX as u64) as usize;
            async move {
                let (asset, reader, permit) =
                    state.filter(|(asset, reader, _)| asset.is_some() || !reader.is_finished())?;
                let offset = reader.offset();
                match reader.next(piece_bytes).await {
                    Ok((data, reader)) => {
                        Some((Ok(GetAssetResponse { asset, offset, data }), Some((None, reader, permit))))
                    }
                    Err(error) => Some((Err(refuse_asset(error)), None)),
                }
            }
        });
        let mut answer = Response::new(pieces.boxed());
        // Pictures are compressed, and adapters hardly can be.
        answer.disable_compression();
        Ok(answer)
    }

    async fn list_assets(&self, request: Request<ListAssetsRequest>) -> Result<Response<ListAssetsResponse>, Status> {
        let owner = owner(&request)?;
        let ListAssetsRequest { page_size, page_token } = request.into_inner();
        let after = pages::start(&page_token, Page::parse).map_err(|error| refuse(&error))?;
        let (assets, next) = self.assets().list(&owner, after, pages::entries(page_size), pages::BYTES_MAX);
        let usage = self.assets().usage(&owner);
        Ok(Response::new(ListAssetsResponse {
            assets,
            next_page_token: next.map(|page| page.to_string()).unwrap_or_default(),
            used_bytes: usage.used,
            quota_bytes: usage.quota,
        }))
    }

    async fn delete_asset(
        &self,
        request: Request<DeleteAssetRequest>,
    ) -> Result<Response<DeleteAssetResponse>, Status> {
        let owner = owner(&request)?;
        let id = id("sha256", &request.into_inner().sha256)?;
        self.assets().delete(&owner, id).await.map_err(refuse_asset)?;
        Ok(Response::new(DeleteAssetResponse {}))
    }
}

/// The messages of an upload.
struct Parts {
    messages: Streaming<UploadAssetRequest>,
    idle: Duration,
}

impl Parts {
    /// The next message; `None` at the end. `offset`: bytes that the server has.
    async fn next(&mut self, offset: u64) -> Result<Option<Part>, Status> {
        match tokio::time::timeout(self.idle, self.messages.message()).await {
            Ok(Ok(Some(UploadAssetRequest { part: Some(part) }))) => Ok(Some(part)),
            Ok(Ok(Some(UploadAssetRequest { part: None }))) => {
                Err(fault("part", Violation::REQUIRED, "send `start` or `data`"))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(refuse_asset(AssetError::Idle { limit: self.idle, offset })),
        }
    }
}

async fn upload(assets: &Arc<Assets>, owner: &AssetOwner, parts: &mut Parts) -> Result<UploadAssetResponse, Status> {
    let Some(Part::Start(start)) = parts.next(0).await? else {
        return Err(fault("start", Violation::REQUIRED, "announce the file in the first message"));
    };
    let upload = match begin(assets, owner, start).await? {
        StartedUpload::Existing(asset) => return Ok(UploadAssetResponse { asset: Some(asset), existed: true }),
        StartedUpload::Upload(upload) => upload,
    };
    let upload = receive(upload, parts).await?;
    let asset = upload.finish().await.map_err(refuse_asset)?;
    Ok(UploadAssetResponse { asset: Some(asset), existed: false })
}

async fn upload_part(
    assets: &Arc<Assets>,
    owner: &AssetOwner,
    start: Option<UploadStart>,
    data: Bytes,
) -> Result<UploadAssetPartResponse, Status> {
    let start = start.ok_or_else(|| fault("start", Violation::REQUIRED, "announce the file in each call"))?;
    let size = start.size;
    let mut upload = match begin(assets, owner, start).await? {
        StartedUpload::Existing(asset) => {
            let received = asset.size;
            return Ok(UploadAssetPartResponse { asset: Some(asset), existed: true, received });
        }
        StartedUpload::Upload(upload) => upload,
    };
    if data.is_empty() {
        return Err(fault("data", Violation::REQUIRED, "send at least one byte"));
    }
    if data.len() > Limits::CHUNK_BYTES_MAX {
        let text = format!("the part has {} bytes; send at most {}", data.len(), Limits::CHUNK_BYTES_MAX);
        return Err(fault("data", Violation::OUT_OF_RANGE, &text));
    }
    upload.write(data).await.map_err(refuse_asset)?;
    let received = upload.received();
    if received < size {
        return Ok(UploadAssetPartResponse { received, ..UploadAssetPartResponse::default() });
    }
    let asset = upload.finish().await.map_err(refuse_asset)?;
    Ok(UploadAssetPartResponse { asset: Some(asset), existed: false, received })
}

/// Begins or continues the upload of the file that a call announces.
async fn begin(assets: &Arc<Assets>, owner: &AssetOwner, start: UploadStart) -> Result<StartedUpload, Status> {
    let UploadStart { sha256, size, offset } = start;
    let id = id("start.sha256", &sha256)?;
    if size == 0 {
        return Err(fault("start.size", Violation::OUT_OF_RANGE, "state the bytes of the file, at least 1"));
    }
    assets.begin(owner, id, size, offset).await.map_err(refuse_asset)
}

/// Appends what arrives, to the end of the call.
async fn receive(mut upload: Upload, parts: &mut Parts) -> Result<Upload, Status> {
    let superseded = upload.superseded();
    loop {
        let part = tokio::select! {
            biased;
            () = superseded.cancelled() => return Err(refuse_asset(AssetError::Superseded)),
            part = parts.next(upload.received()) => part?,
        };
        match part {
            None => return Ok(upload),
            Some(Part::Data(data)) if data.is_empty() => {
                return Err(fault("data", Violation::REQUIRED, "send at least one byte"));
            }
            Some(Part::Data(data)) => upload.write(data).await.map_err(refuse_asset)?,
            Some(Part::Start(_)) => {
                return Err(fault("start", Violation::CONFLICT, "announce one file, in the first message"));
            }
        }
    }
}

/// Whose assets a call may use.
fn owner<T>(request: &Request<T>) -> Result<AssetOwner, Status> {
    Ok(caller(request)?.asset_owner())
}

fn id(field: &str, text: &str) -> Result<AssetId, Status> {
    let what = "write the SHA-256 of the file: 64 digits of 0 to 9 and a to f";
    AssetId::parse(text).ok_or_else(|| fault(field, Violation::BAD_TEXT, what))
}

fn fault(field: &str, reason: &'static str, text: &str) -> Status {
    refuse(&ServerError::invalid(field, reason, text))
}

fn refuse_asset(error: AssetError) -> Status {
    refuse(&ServerError::from(error))
}
