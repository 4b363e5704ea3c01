//! What a hub says about a repository: files with lengths and checksums, the commit, and the licence.

use reqwest::Url;
use serde_json::Value;

use super::checksum::{Checksum, is_hex};
use super::error::{HttpError, PullError};
use super::http::{Http, Resume};
use super::licence::Licence;
use super::paths;
use super::source::HubModel;

/// The most bytes of the answer about a repository.
const LISTING_BYTES_MAX: u64 = 16 << 20;
/// The most files of a repository.
const FILES_MAX: usize = 10_000;
/// The most bytes of a small file that is read before the download.
const SMALL_FILE_BYTES_MAX: u64 = 1 << 20;
/// Names of the file with the licence's text.
const LICENCE_FILES: [&str; 6] = ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "LICENCE.md", "LICENCE.txt"];

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HubFile {
    pub(super) path: String,
    pub(super) bytes: u64,
    pub(super) checksum: Checksum,
}

/// A repository at one commit.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<HubFile>,
    pub(super) licence: Licence,
}

/// A repository on a hub, and the client that asks for it.
pub(super) struct Hub<'h> {
    pub(super) http: &'h Http,
    pub(super) endpoint: &'h Url,
    pub(super) model: &'h HubModel,
}

impl Hub<'_> {
    fn url(&self, beginning: &[&str], end: &[&str]) -> Url {
        let mut url = self.endpoint.clone();
        // An http(s) URL has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(beginning).extend([&self.model.owner, &self.model.name]).extend(end);
        }
        url
    }

    /// The place of a file at a commit.
    pub(super) fn file_url(&self, commit: &str, path: &str) -> Url {
        let mut end = vec!["resolve", commit];
        end.extend(path.split('/'));
        self.url(&[], &end)
    }

    /// Asks for the files, and for the licence's text if there is one.
    pub(super) async fn listing(&self) -> Result<Listing, PullError> {
        let mut url = self.url(&["api", "models"], &["revision", &self.model.revision]);
        url.set_query(Some("blobs=true"));
        let bytes = self.read(&url, LISTING_BYTES_MAX).await?;
        let answer = |reason: String| PullError::Answer { what: self.name(), reason };
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|error| answer(format!("it is not JSON ({error})")))?;
        let mut listing = parse(&value).map_err(answer)?;
        let text = LICENCE_FILES.iter().find(|name| listing.files.iter().any(|file| file.path == **name));
        if let Some(name) = text {
            let text = self.small_file(&listing.commit, name).await?;
            listing.licence.text = Some(String::from_utf8_lossy(&text).into_owned());
        }
        if listing.licence.link.is_none() {
            let end: Vec<&str> = match text {
                Some(name) => vec!["blob", &listing.commit, name],
                None => Vec::new(),
            };
            listing.licence.link = Some(self.url(&[], &end).to_string());
        }
        Ok(listing)
    }

    /// Downloads a small file into memory.
    pub(super) async fn small_file(&self, commit: &str, path: &str) -> Result<Vec<u8>, PullError> {
        self.read(&self.file_url(commit, path), SMALL_FILE_BYTES_MAX).await
    }

    async fn read(&self, url: &Url, bytes_max: u64) -> Result<Vec<u8>, PullError> {
        let mut waits = self.http.timing().waits();
        loop {
            let read = async { self.http.get(url, Resume::default()).await?.bytes(bytes_max).await };
            match read.await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => match error.next_wait(&mut waits) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(self.refused(error)),
                },
            }
        }
    }

    /// `OWNER/NAME`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.model.owner, self.model.name)
    }

    /// The error, with what to do about it.
    pub(super) fn refused(&self, error: HttpError) -> PullError {
        let page = self.url(&[], &[]);
        let remedy = match &error {
            HttpError::Refused(refusal) => match (refusal.status, refusal.code.as_deref()) {
                (401 | 403, Some("GatedRepo")) => Some(format!(
                    "accept the terms of this model in a browser at {page}, and set HF_TOKEN to a token of that account"
                )),
                (401, _) => Some(
                    "the model is private or does not exist: check the name, and set HF_TOKEN to a token that may read it"
                        .to_owned(),
                ),
                (403, _) => Some(format!("the token in HF_TOKEN may not read it; see {page}")),
                (404, Some("RevisionNotFound")) => {
                    Some(format!("there is no revision `{}`; leave it out for the newest", self.model.revision))
                }
                (404, _) => Some(format!("check the name and the revision at {page}")),
                _ => None,
            },
            HttpError::Broken(_) => Some("check the connection, HTTPS_PROXY and HF_ENDPOINT".to_owned()),
            _ => None,
        };
        PullError::Http { what: format!("{} of {}", self.name(), self.endpoint), error, remedy }
    }
}

fn parse(value: &Value) -> Result<Listing, String> {
    let commit = value["sha"].as_str().filter(|sha| is_hex(sha, 40)).ok_or("it names no commit")?.to_owned();
    let siblings = value["siblings"].as_array().ok_or("it lists no files")?;
    if siblings.len() > FILES_MAX {
        return Err(format!("it lists {} files, and at most {FILES_MAX} are read", siblings.len()));
    }
    let files: Vec<HubFile> = siblings.iter().map(file).collect::<Result<_, String>>()?;
    paths::check(files.iter().map(|file| file.path.as_str()))?;
    Ok(Listing { commit, files, licence: licence(value) })
}

fn file(value: &Value) -> Result<HubFile, String> {
    let path = value["rfilename"].as_str().ok_or("a file has no name")?.to_owned();
    let shown = super::error::shown(&path);
    let large = &value["lfs"];
    let bytes = large["size"].as_u64().or(value["size"].as_u64());
    let bytes = bytes.ok_or_else(|| format!("it states no length of `{shown}`"))?;
    let checksum = match (large["sha256"].as_str(), value["blobId"].as_str()) {
        (Some(sha256), _) if is_hex(sha256, 64) => Checksum::Sha256(sha256.to_owned()),
        (None, Some(blob)) if large.is_null() && is_hex(blob, 40) => Checksum::GitBlob(blob.to_owned()),
        _ => return Err(format!("it states no checksum of `{shown}`")),
    };
    Ok(HubFile { path, bytes, checksum })
}

fn licence(value: &Value) -> Licence {
    let card = &value["cardData"];
    let text = |value: &Value| value.as_str().or_else(|| value[0].as_str()).map(str::to_owned);
    let tags = value["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let tag = tags.filter_map(|tag| tag.strip_prefix("license:")).next().map(str::to_owned);
    // A licence of the author's own is called `other`, and has a name.
    let name = text(&card["license_name"]).or_else(|| text(&card["license"])).or(tag);
    let link = text(&card["license_link"]).filter(|link| link.starts_with("https://"));
    Licence { name, link, text: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing(siblings: Value) -> Value {
        json!({"sha": "0".repeat(40), "siblings": siblings, "cardData": {"license": "other", "license_name": "my-terms"}})
    }

    #[test]
    fn lengths_checksums_and_the_licence_are_read() {
        let (sha256, blob) = ("a".repeat(64), "b".repeat(40));
        let value = listing(json!([
            {"rfilename": "model_index.json", "size": 12, "blobId": blob},
            {"rfilename": "vae/x.safetensors", "size": 130, "blobId": blob, "lfs": {"sha256": sha256, "size": 9000}},
        ]));
        let listing = parse(&value).expect("a listing");
        assert_eq!(listing.files[0].checksum, Checksum::GitBlob(blob));
        assert_eq!((listing.files[1].bytes, &listing.files[1].checksum), (9000, &Checksum::Sha256(sha256)));
        assert_eq!(listing.licence.name(), "my-terms");
    }

    #[test]
    fn hostile_and_incomplete_answers_are_refused() {
        let blob = "b".repeat(40);
        let file = |name: &str| json!({"rfilename": name, "size": 1, "blobId": blob});
        for (value, complaint) in [
            (json!([]), "no commit"),
            (listing(json!(3)), "no files"),
            (listing(json!([{"size": 1}])), "no name"),
            (listing(json!([{"rfilename": "a", "blobId": blob}])), "no length"),
            (listing(json!([{"rfilename": "a", "size": 1}])), "no checksum"),
            (listing(json!([{"rfilename": "a", "size": 1, "blobId": blob, "lfs": {"sha256": "x"}}])), "no checksum"),
            (listing(json!([file("../../.bashrc")])), "could leave the folder"),
            (listing(json!([file("/etc/cron.d/x")])), "could leave the folder"),
            (listing(json!([file("a"), file("A")])), "in another case"),
            (listing(Value::Array(vec![file("a"); 10_001])), "10001 files"),
        ] {
            let error = parse(&value).expect_err("refused");
            assert!(error.contains(complaint), "{complaint}: {error}");
        }
    }
}
