//! Assets: files on the server that requests refer to. Uploads and downloads go on across lost connections.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use backon::BackoffBuilder as _;
use sakuga_proto::asset::v1::upload_asset_request::Part;
use sakuga_proto::asset::v1::{
    Asset, DeleteAssetRequest, GetAssetRequest, ListAssetsRequest, ListAssetsResponse, UploadAssetRequest,
    UploadAssetResponse, UploadStart,
};
use sakuga_proto::digest::hex;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::client::Client;
use crate::error::ClientError;
use crate::follow::{Resume, is_temporary};

/// Bytes of a message of an upload: as many as the server takes.
const PIECE_BYTES: usize = 256 * 1024;
/// Messages that are read from the file before they are sent.
const BUFFERED: usize = 4;

/// A file to upload: where it is, and the name that it will have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetFile {
    path: PathBuf,
    sha256: String,
    size: u64,
}

/// Why an asset was not uploaded or downloaded.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// A call failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl AssetFile {
    /// Reads a file once, for its size and its SHA-256. Blocks.
    ///
    /// # Errors
    ///
    /// The system's error if the file cannot be read, and one of the kind [`io::ErrorKind::InvalidInput`] for a device, a
    /// pipe or a socket, which have no size and may have no end.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened: opening a pipe waits for a writer.
        let kind = std::fs::metadata(path)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() { "a directory" } else { "a device, pipe or socket" };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}; name a regular file")));
        }
        let mut file = File::open(path)?;
        let (mut hash, mut piece, mut size) = (Sha256::new(), vec![0; PIECE_BYTES], 0);
        loop {
            let bytes = file.read(&mut piece)?;
            if bytes == 0 {
                break;
            }
            hash.update(&piece[..bytes]);
            size += bytes as u64;
        }
        Ok(Self { path: path.to_owned(), sha256: hex(&hash.finalize()), size })
    }

    /// The SHA-256 in lower-case hexadecimal: the asset's name.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Client {
    /// Uploads a file, unless the server has it as an asset of this client. After a lost connection the upload
    /// continues where it was, within the limits of `resume`.
    ///
    /// # Errors
    ///
    /// [`AssetError`].
    pub async fn upload_asset(&self, file: &AssetFile, resume: Resume) -> Result<UploadAssetResponse, AssetError> {
        let (mut offset, mut delays) = (0, resume.delays().build());
        loop {
            let before = offset;
            let status = match self.upload_from(file, offset).await? {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let error = self.explain(&status);
            if let Some(held) = held_bytes(&error).filter(|held| *held != offset && *held <= file.size) {
                offset = held;
                if held > before {
                    // There was progress, so the patience begins again.
                    delays = resume.delays().build();
                    continue;
                }
            } else if !is_temporary(&status, &error) {
                return Err(error.into());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error.into()),
            }
        }
    }

    /// One call of an upload.
    async fn upload_from(
        &self,
        file: &AssetFile,
        offset: u64,
    ) -> Result<Result<UploadAssetResponse, tonic::Status>, AssetError> {
        let AssetFile { path, sha256, size } = file.clone();
        let failed = |source| AssetError::File { path: path.clone(), source };
        let mut source = File::open(&path).map_err(failed)?;
        source.seek(SeekFrom::Start(offset)).map_err(failed)?;
        let (sender, receiver) = mpsc::channel(BUFFERED);
        let read = tokio::task::spawn_blocking(move || {
            let message = |part| UploadAssetRequest { part: Some(part) };
            let start = UploadStart { sha256, size, offset };
            let (mut is_open, mut done) = (sender.blocking_send(message(Part::Start(start))).is_ok(), offset);
            // The receiver is gone when the call has ended.
            while is_open && done < size {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                let bytes = (&mut source).take((PIECE_BYTES as u64).min(size - done)).read_to_end(&mut piece)?;
                if bytes == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
                }
                done += bytes as u64;
                is_open = sender.blocking_send(message(Part::Data(piece.into()))).is_ok();
            }
            Ok(())
        });
        let answer = self.assets().upload_asset(ReceiverStream::new(receiver)).await;
        match read.await {
            Ok(Err(source)) => Err(AssetError::File { path, source }),
            _ => Ok(answer.map(tonic::Response::into_inner)),
        }
    }

    /// Writes the bytes of an asset to `out` and compares them with its SHA-256. After a lost connection it continues
    /// where it was. The bytes in `out` are valid only if this returns the asset.
    ///
    /// # Errors
    ///
    /// [`AssetError::Client`] if the call fails or the bytes are not those of the asset, [`AssetError::File`] with an empty path if
    /// `out` cannot be written.
    pub async fn download_asset(
        &self,
        sha256: &str,
        resume: Resume,
        out: &mut impl Write,
    ) -> Result<Asset, AssetError> {
        let (mut asset, mut hash, mut done): (Option<Asset>, _, u64) = (None, Sha256::new(), 0);
        let mut delays = resume.delays().build();
        loop {
            let call = GetAssetRequest { sha256: sha256.to_owned(), offset: done, limit: 0 };
            let status = match self.assets().get_asset(call).await {
                Ok(stream) => {
                    let mut stream = stream.into_inner();
                    loop {
                        match stream.message().await {
                            Ok(Some(message)) => {
                                asset = asset.or(message.asset);
                                if message.offset != done {
                                    return Err(ClientError::Protocol("a piece of the asset is missing".into()).into());
                                }
                                hash.update(&message.data);
                                done += message.data.len() as u64;
                                if asset.as_ref().is_none_or(|asset| done > asset.size) {
                                    return Err(ClientError::Protocol("the asset is longer than it says".into()).into());
                                }
                                let written = out.write_all(&message.data);
                                written.map_err(|source| AssetError::File { path: PathBuf::new(), source })?;
                                delays = resume.delays().build();
                            }
                            Ok(None) => {
                                let whole = asset.filter(|asset| asset.size == done && hex(&hash.finalize()) == sha256);
                                let damaged = || ClientError::Protocol("the asset arrived damaged".into());
                                return Ok(whole.ok_or_else(damaged)?);
                            }
                            Err(status) => break status,
                        }
                    }
                }
                Err(status) => status,
            };
            let error = self.explain(&status);
            if !is_temporary(&status, &error) {
                return Err(error.into());
            }
            match delays.next() {
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error.into()),
            }
        }
    }

    /// All assets of this client, newest first, and what they use of its quota.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list_assets(&self) -> Result<ListAssetsResponse, ClientError> {
        let (mut assets, mut page_token) = (Vec::new(), String::new());
        loop {
            let call = ListAssetsRequest { page_size: 200, page_token: page_token.clone() };
            let mut page = self.assets().list_assets(call).await.map_err(|status| self.explain(&status))?.into_inner();
            // A server could send empty pages, or the same token, forever.
            let is_last =
                page.assets.is_empty() || page.next_page_token.is_empty() || page.next_page_token == page_token;
            assets.append(&mut page.assets);
            if is_last {
                return Ok(ListAssetsResponse { assets, next_page_token: String::new(), ..page });
            }
            page_token = page.next_page_token;
        }
    }

    /// Deletes an asset.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn delete_asset(&self, sha256: &str) -> Result<(), ClientError> {
        let call = DeleteAssetRequest { sha256: sha256.to_owned() };
        self.assets().delete_asset(call).await.map(drop).map_err(|status| self.explain(&status))
    }
}

/// How many bytes of an upload the server has, if that is why it refused the call.
fn held_bytes(error: &ClientError) -> Option<u64> {
    let ClientError::Refused(error) = error else { return None };
    let is_offset = matches!(error.reason.as_deref(), Some("UPLOAD_OFFSET" | "UPLOAD_IDLE"));
    error.metadata.get("offset").filter(|_| is_offset)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("picture.png");
        std::fs::write(&path, b"abc").expect("written");
        let link = folder.path().join("link.png");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert_eq!(AssetFile::open(&link).expect("a file").size(), 3);
        // Reading either would not end.
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        for path in [Path::new("/dev/zero"), &socket, folder.path()] {
            let error = AssetFile::open(path).expect_err("no regular file");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
    }
}
