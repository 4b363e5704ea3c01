//! Pulls a model: looks for an existing one, has the licence accepted, checks the free space, downloads every file, and publishes
//! the folder.

use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::Value;

use super::checksum::Checksum;
use super::disk::Disk;
use super::error::{Bytes, HttpError, PullError};
use super::fetch::{Fetcher, FileToPull};
use super::folder::{self, ModelLock, ModelsFolder};
use super::http::{Credentials, Http, Timing};
use super::hub::{Hub, Listing};
use super::licence::{Decision, Licence};
use super::partial::unfinished_bytes;
use super::paths;
use super::progress::Progress;
use super::record::PullRecord;
use super::source::{FileUrl, PullSource};
use crate::engine::burn::files;
use crate::models::is_model_name;

/// The file that names the parts of a folder.
const INDEX: &str = "model_index.json";
/// The largest text of a licence that is kept with a model.
const LICENCE_BYTES_MAX: u64 = 1 << 20;
/// The most skipped files that are named.
const SHOWN_SKIPPED: usize = 6;

/// A download: source, folder, limits and what reports on it.
pub struct PullOptions<'o> {
    /// A repository of a hub, or a URL.
    pub source: PullSource,
    /// The name that it gets; `None`: that of the source.
    pub name: Option<String>,
    /// The folder in which the model becomes a folder.
    pub folder: ModelsFolder,
    /// The hub.
    pub endpoint: Url,
    /// The token for the hub.
    pub token: Option<String>,
    /// SHA-256 that a single file must have, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Decides about a licence.
    pub decide: &'o dyn Fn(&Licence) -> Decision,
    /// Receives the progress.
    pub progress: &'o dyn Progress,
    /// Where files are written.
    pub disk: &'o dyn Disk,
    /// Limits of time.
    pub timing: Timing,
}

/// A model that was pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The name by which `--model` finds it.
    pub name: String,
    /// What `--model` opens.
    pub checkpoint: PathBuf,
    /// Whether the model was complete before this pull.
    pub was_there: bool,
    /// Bytes of all its files.
    pub bytes: u64,
}

/// Which files, and what is recorded of them.
struct Plan {
    files: Vec<FileToPull>,
    skipped: Vec<String>,
    licence: Licence,
    commit: Option<String>,
    single_file: Option<String>,
}

impl Plan {
    /// Bytes of all files, if every one is known.
    fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Pulls a model.
///
/// # Errors
///
/// [`PullError`] says what is wrong and what to do. What came is kept for the next call, unless its checksum is wrong.
pub async fn pull(options: &PullOptions<'_>) -> Result<Pulled, PullError> {
    let name = options.name.clone().unwrap_or_else(|| options.source.default_name());
    if !is_model_name(&name) {
        return Err(PullError::Name(name));
    }
    let http = Http::new(options.timing, credentials(options)?)?;
    let lock = options.folder.lock(&name)?;
    let plan = match &options.source {
        PullSource::Hub(model) => {
            let hub = Hub { http: &http, endpoint: &options.endpoint, model };
            let listing = hub.listing().await?;
            if let Some(there) = already_there(options, &name, Some(&listing.commit))? {
                return Ok(there);
            }
            of_hub(&hub, listing).await?
        }
        PullSource::File(file) => {
            if let Some(there) = already_there(options, &name, None)? {
                return Ok(there);
            }
            of_file(file, options.sha256.as_deref())
        }
    };
    if !plan.skipped.is_empty() {
        options.progress.note(&skipped(&plan.skipped));
    }
    let source = options.source.to_string();
    match (options.decide)(&plan.licence) {
        Decision::Accepted => {}
        Decision::Refused => return Err(PullError::LicenceRefused(source)),
        Decision::NobodyAsked => return Err(PullError::LicenceUnseen(source)),
    }
    let staging = prepare(options, &name, &plan, &lock)?;
    download(options, &http, &plan, &staging).await.and_then(|files| {
        let Plan { licence, commit, single_file, .. } = &plan;
        let record = PullRecord {
            source,
            commit: commit.clone(),
            licence: licence.name(),
            single_file: single_file.clone(),
            files,
        };
        record.write(&staging)?;
        let folder = options.folder.publish(&name, &lock)?;
        let checkpoint = record.checkpoint(&folder);
        if let Err(reason) = files::family(&checkpoint) {
            options.progress.note(&format!("`--model {name}` cannot load this: {reason}"));
        }
        Ok(Pulled { name, checkpoint, was_there: false, bytes: record.bytes() })
    })
}

/// The token, if the source is on the hub's server.
fn credentials(options: &PullOptions<'_>) -> Result<Option<Credentials>, PullError> {
    let is_hub = match &options.source {
        PullSource::Hub(_) => true,
        PullSource::File(file) => file.url().origin() == options.endpoint.origin(),
    };
    let token = options.token.as_deref().filter(|token| is_hub && !token.trim().is_empty());
    token.map(|token| Credentials::new(token, &options.endpoint)).transpose()
}

/// The model of this name, if it is the same one.
fn already_there(options: &PullOptions<'_>, name: &str, commit: Option<&String>) -> Result<Option<Pulled>, PullError> {
    let place = options.folder.whole(name);
    if std::fs::symlink_metadata(&place).is_err() {
        return Ok(None);
    }
    let taken = |existing: String| Err(PullError::NameTaken { name: name.to_owned(), existing });
    let Some(model) = options.folder.find(name) else { return Err(PullError::NotPlain(place)) };
    let Some(record) = model.record else { return taken("somewhere else".to_owned()) };
    let has_sha256 = |sha256: &String| record.files.iter().any(|file| file.sha256 == *sha256);
    let is_same = record.source == options.source.to_string()
        && record.commit.as_ref() == commit
        && options.sha256.as_ref().is_none_or(has_sha256);
    if !is_same {
        let commit = record.commit.map(|commit| format!(" at commit {commit}")).unwrap_or_default();
        return taken(format!("{}{commit}", record.source));
    }
    let (name, bytes) = (name.to_owned(), record.bytes());
    Ok(Some(Pulled { name, checkpoint: model.checkpoint, was_there: true, bytes }))
}

/// The files of a repository: those of a folder that the loader reads, or else its only safetensors file.
async fn of_hub(hub: &Hub<'_>, listing: Listing) -> Result<Plan, PullError> {
    let what = hub.name();
    let not_a_model = |reason: String| PullError::NotAModel { what: what.clone(), reason };
    let Listing { commit, files, licence } = listing;
    let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
    let (mut read, mut single_file) = (Vec::new(), None);
    if paths.iter().any(|path| path == INDEX) {
        let bytes = hub.small_file(&commit, INDEX).await?;
        let index: Value = serde_json::from_slice(&bytes)
            .map_err(|error| not_a_model(format!("its {INDEX} is not JSON ({error})")))?;
        read = files::of_folder(&index, &paths).map_err(not_a_model)?.read;
    } else {
        let is_single = |path: &&String| !path.contains('/') && path.ends_with(".safetensors");
        let candidates: Vec<&String> = paths.iter().filter(is_single).collect();
        match candidates[..] {
            [file] => {
                read.push(file.clone());
                single_file = Some(file.clone());
            }
            [] => return Err(not_a_model(format!("it has no {INDEX} and no .safetensors file"))),
            [first, ..] => {
                let url = hub.file_url(&hub.model.revision, first);
                let names: Vec<String> = candidates.iter().map(|name| super::error::shown(name)).collect();
                let names = names.join(", ");
                return Err(not_a_model(format!(
                    "it has no {INDEX} and several files ({names}); pull one by its URL, as {url}"
                )));
            }
        }
    }
    let is_licence = |path: &str| path.split('.').next().is_some_and(|name| name == "LICENSE" || name == "LICENCE");
    let (read, skipped): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| read.contains(&file.path) || (is_licence(&file.path) && file.bytes <= LICENCE_BYTES_MAX));
    let to_pull = read.into_iter().map(|file| FileToPull {
        url: hub.file_url(&commit, &file.path),
        path: file.path,
        bytes: Some(file.bytes),
        checksum: Some(file.checksum),
    });
    let files = to_pull.collect();
    let skipped = skipped.into_iter().map(|file| file.path).collect();
    Ok(Plan { files, skipped, licence, commit: Some(commit), single_file })
}

fn of_file(file: &FileUrl, sha256: Option<&str>) -> Plan {
    let checksum = sha256.map(|sha256| Checksum::Sha256(sha256.to_owned()));
    let to_pull = FileToPull { path: file.name().to_owned(), url: file.url().clone(), bytes: None, checksum };
    let single_file = Some(file.name().to_owned());
    Plan { files: vec![to_pull], skipped: Vec::new(), licence: Licence::default(), commit: None, single_file }
}

fn skipped(paths: &[String]) -> String {
    let shown: Vec<String> = paths.iter().take(SHOWN_SKIPPED).map(|path| super::error::shown(path)).collect();
    let more = paths.len().saturating_sub(SHOWN_SKIPPED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("not needed by the loader, and left out: {}{more}", shown.join(", "))
}

/// Creates the folder for the downloaded files, without those of another source, and checks the free space.
fn prepare(options: &PullOptions<'_>, name: &str, plan: &Plan, lock: &ModelLock) -> Result<PathBuf, PullError> {
    let staging = options.folder.staging(name);
    let commit = plan.commit.as_deref().unwrap_or("no commit");
    let source = format!("{}\n{commit}\n", options.source);
    if lock.source() != source {
        folder::delete(&staging)?;
        lock.set_source(&source)?;
    }
    paths::make_folder(&staging)?;
    let there = |file: &FileToPull| {
        let path = staging.join(&file.path);
        std::fs::symlink_metadata(&path).map_or_else(|_| unfinished_bytes(&path), |data| data.len())
    };
    let there: u64 = plan.files.iter().map(there).sum();
    let total = plan.bytes();
    if there > 0 {
        options.progress.note(&format!("{} were downloaded by an earlier pull", Bytes(there)));
    }
    let missing = total.unwrap_or(0).saturating_sub(there);
    match options.disk.lacking(options.folder.path(), missing) {
        Some(lacking) => {
            let folder = options.folder.path().to_owned();
            Err(PullError::DiskFull { folder, missing: Bytes(lacking), is_partial: there > 0 })
        }
        None => Ok(staging),
    }
}

async fn download(
    options: &PullOptions<'_>,
    http: &Http,
    plan: &Plan,
    staging: &Path,
) -> Result<Vec<super::record::RecordedFile>, PullError> {
    let refused = |file: &FileToPull, error: HttpError| match &options.source {
        PullSource::Hub(model) => {
            let hub = Hub { http, endpoint: &options.endpoint, model };
            match hub.refused(error) {
                PullError::Http { what, error, remedy } => {
                    PullError::Http { what: format!("{} of {what}", file.path), error, remedy }
                }
                other => other,
            }
        }
        PullSource::File(source) => of_server(options, source, error),
    };
    let total = plan.bytes();
    let fetcher =
        Fetcher { http, disk: options.disk, progress: options.progress, folder: staging, total, refused: &refused };
    let (mut files, mut before) = (Vec::new(), 0);
    for file in &plan.files {
        let rest = total.map(|total| total - before);
        let recorded = fetcher.fetch(file, before).await.map_err(|error| match error {
            // The error states what all remaining files need, not this one alone.
            PullError::DiskFull { is_partial, missing, .. } => {
                let free = options.disk.free_bytes(staging).unwrap_or(0);
                let there = unfinished_bytes(&staging.join(&file.path));
                let lacking = rest.map(|rest| rest.saturating_sub(there).saturating_sub(free)).filter(|rest| *rest > 0);
                let folder = options.folder.path().to_owned();
                PullError::DiskFull { folder, missing: lacking.map_or(missing, Bytes), is_partial }
            }
            other => other,
        })?;
        before += recorded.bytes;
        files.push(recorded);
    }
    Ok(files)
}

/// An error of the server of a single file.
fn of_server(options: &PullOptions<'_>, source: &FileUrl, error: HttpError) -> PullError {
    let is_hub = source.url().origin() == options.endpoint.origin();
    let remedy = match &error {
        HttpError::Refused(refusal) => match refusal.status {
            401 | 403 if is_hub => {
                Some("accept the terms of the model in a browser, and set HF_TOKEN to a token of that account")
            }
            401 | 403 => {
                Some("this file needs a login, and tokens are sent to the hub alone; download it with a browser")
            }
            404 => Some("check the URL"),
            _ => None,
        },
        HttpError::Broken(_) => Some("check the connection and HTTPS_PROXY"),
        _ => None,
    };
    let what = PullSource::File(source.clone()).to_string();
    PullError::Http { what, error, remedy: remedy.map(str::to_owned) }
}
