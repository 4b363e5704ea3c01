//! Downloads one file: continued where it stopped, repeated while there is progress, and verified.

use std::path::Path;

use reqwest::{StatusCode, Url};

use super::checksum::{Checksum, is_hex};
use super::disk::Disk;
use super::error::{Bytes, HttpError, PullError, at};
use super::http::{Answer, Http, Resume, broken};
use super::partial::PartialFile;
use super::paths;
use super::progress::Progress;
use super::record::RecordedFile;
use crate::store::is_disk_full;

/// A file to download.
#[derive(Clone, Debug)]
pub(super) struct FileToPull {
    /// Its path in the model's folder.
    pub(super) path: String,
    pub(super) url: Url,
    /// Its length, if the server stated one.
    pub(super) bytes: Option<u64>,
    /// Its checksum, if one is known.
    pub(super) checksum: Option<Checksum>,
}

/// Downloads files into a folder.
pub(super) struct Fetcher<'f> {
    pub(super) http: &'f Http,
    pub(super) disk: &'f dyn Disk,
    pub(super) progress: &'f dyn Progress,
    pub(super) folder: &'f Path,
    /// Bytes of all files, if they are known.
    pub(super) total: Option<u64>,
    /// Converts an error of a server to one of the pull.
    pub(super) refused: &'f dyn Fn(&FileToPull, HttpError) -> PullError,
}

/// Why an attempt ended before the file was whole.
enum Ended {
    /// The connection ended; the next attempt may continue.
    Http(HttpError),
    Pull(PullError),
}

impl From<HttpError> for Ended {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<PullError> for Ended {
    fn from(error: PullError) -> Self {
        Self::Pull(error)
    }
}

impl Fetcher<'_> {
    /// Downloads a file unless it is there, and verifies it. `before` is the sum of the bytes of the files before it.
    pub(super) async fn fetch(&self, file: &FileToPull, before: u64) -> Result<RecordedFile, PullError> {
        let target = paths::place(self.folder, &file.path)?;
        let shown = |bytes: u64| self.progress.at(&file.path, before + bytes, self.total.or(file.bytes));
        // A file that an earlier run finished is verified again, but not downloaded.
        let is_whole = PartialFile::reopen_whole(&target, file.bytes)?;
        let mut partial = PartialFile::open(&target, file.bytes, shown)?;
        let mut file = file.clone();
        if !is_whole {
            self.complete(&mut file, &mut partial, before).await?;
        }
        self.finish(&file, partial, &target)
    }

    /// Requests the missing bytes until the file is complete, or until there was no progress for too long.
    async fn complete(&self, file: &mut FileToPull, partial: &mut PartialFile, before: u64) -> Result<(), PullError> {
        let (mut best, mut waits_left) = (partial.bytes(), self.http.timing().waits());
        loop {
            let error = match self.attempt(file, partial, before).await {
                Ok(()) => return Ok(()),
                Err(Ended::Pull(error)) => return Err(error),
                Err(Ended::Http(error)) => error,
            };
            if partial.bytes() > best {
                (best, waits_left) = (partial.bytes(), self.http.timing().waits());
            }
            let Some(wait) = error.next_wait(&mut waits_left) else { return Err((self.refused)(file, error)) };
            self.progress.note(&format!("{}: {error}; trying again in {:.0} s", file.path, wait.as_secs_f64().ceil()));
            tokio::time::sleep(wait).await;
        }
    }

    fn finish(&self, file: &FileToPull, partial: PartialFile, target: &Path) -> Result<RecordedFile, PullError> {
        if let Some((kind, expected, found)) = file.checksum.as_ref().and_then(|sum| partial.difference(sum)) {
            partial.delete();
            return Err(PullError::Checksum { file: file.path.clone(), kind, found, expected });
        }
        let recorded = RecordedFile { path: file.path.clone(), bytes: partial.bytes(), sha256: partial.sha256() };
        partial.finish(target)?;
        Ok(recorded)
    }

    /// One request for the missing bytes.
    async fn attempt(&self, file: &mut FileToPull, partial: &mut PartialFile, before: u64) -> Result<(), Ended> {
        let tag = partial.tag();
        // Without a checksum, only an entity tag says that the bytes are of the same file.
        if partial.bytes() > 0 && tag.is_none() && file.checksum.is_none()
            || file.bytes.is_some_and(|bytes| partial.bytes() > bytes)
        {
            partial.restart()?;
        }
        if file.bytes == Some(partial.bytes()) {
            return Ok(());
        }
        let resume = Resume { offset: partial.bytes(), validator: tag.as_deref() };
        let answer = match self.http.get(&file.url, resume).await {
            Err(HttpError::Refused(refusal)) if refusal.status == StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.restart()?;
                return Err(HttpError::Broken("the server does not have the bytes that are missing".to_owned()).into());
            }
            answer => answer?,
        };
        let total = agree(file, partial.bytes(), &answer)?;
        let is_continued = answer.response.status() == StatusCode::PARTIAL_CONTENT;
        if !is_continued && partial.bytes() > 0 {
            self.progress.note(&format!("{}: the file changed or cannot be continued; it begins again", file.path));
            partial.restart()?;
        }
        partial.set_tag(answer.validator().as_deref())?;
        if let Some(missing) = total.and_then(|total| self.missing(total - partial.bytes())) {
            return Err(self.full(missing, partial.bytes() > 0).into());
        }
        let mut response = answer.response;
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if total.is_some_and(|total| partial.bytes() + chunk.len() as u64 > total) {
                partial.restart()?;
                return Err(HttpError::Unexpected("it sends more bytes than it stated".to_owned()).into());
            }
            if let Err(error) = partial.append(self.disk, &chunk) {
                if !is_disk_full(error.kind()) {
                    return Err(at(self.folder)(error).into());
                }
                let rest = total.map_or(chunk.len() as u64, |total| total - partial.bytes());
                return Err(self.full(self.missing(rest).unwrap_or(rest), true).into());
            }
            self.progress.at(&file.path, before + partial.bytes(), self.total.or(file.bytes));
        }
        match total {
            Some(total) if partial.bytes() < total => {
                let text = format!("the connection ended at {} of {}", Bytes(partial.bytes()), Bytes(total));
                Err(HttpError::Broken(text).into())
            }
            _ => Ok(()),
        }
    }

    /// Bytes that the disk lacks to store `bytes` more; `None` if they fit.
    fn missing(&self, bytes: u64) -> Option<u64> {
        self.disk.lacking(self.folder, bytes)
    }

    fn full(&self, missing: u64, is_partial: bool) -> PullError {
        PullError::DiskFull { folder: self.folder.to_owned(), missing: Bytes(missing), is_partial }
    }
}

/// Checks an answer against the request and the known facts about the file, and adds those that it states. Returns the
/// length of the whole file, if known.
fn agree(file: &mut FileToPull, offset: u64, answer: &Answer) -> Result<Option<u64>, HttpError> {
    let headers = answer.response.headers();
    let unexpected = |text: String| Err(HttpError::Unexpected(text));
    let length = answer.response.content_length();
    let stated = if answer.response.status() == StatusCode::PARTIAL_CONTENT {
        let range = headers.get("content-range").and_then(|range| range.to_str().ok()).unwrap_or_default();
        let Some((start, total)) = content_range(range) else {
            return unexpected(format!("its Content-Range is `{}`", super::error::shown(range)));
        };
        if start != offset {
            return unexpected(format!("it sends bytes from {start} on, and not from {offset}"));
        }
        Some(total)
    } else {
        length
    };
    if let (Some(bytes), Some(stated)) = (file.bytes, stated)
        && bytes != stated
    {
        return unexpected(format!("the file has {stated} bytes there, and {bytes} are expected"));
    }
    if let (Some(linked), Some(stated)) = (answer.linked_size, stated)
        && linked != stated
    {
        return unexpected(format!("the file has {stated} bytes there, and the hub states {linked}"));
    }
    // The hub's tag of a large file is its SHA-256.
    if let Some(sha256) = answer.linked_etag.clone().filter(|tag| is_hex(tag, 64)) {
        match &file.checksum {
            None => file.checksum = Some(Checksum::Sha256(sha256)),
            Some(Checksum::Sha256(expected)) if *expected != sha256 => {
                return unexpected(format!("the server states SHA-256 {sha256}, and {expected} is expected"));
            }
            Some(_) => {}
        }
    }
    file.bytes = file.bytes.or(stated).or(answer.linked_size);
    Ok(file.bytes)
}

/// First byte and whole length of `bytes 10-99/100`.
fn content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, total): (u64, u64, u64) = (start.parse().ok()?, end.parse().ok()?, total.parse().ok()?);
    (start <= end && end < total).then_some((start, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_answers_are_read() {
        assert_eq!(content_range("bytes 10-99/100"), Some((10, 100)));
        for text in
            ["", "bytes */100", "bytes 10-100/100", "bytes 9-8/100", "bytes 0-1/*", "bytes -1-2/3", "items 0-1/2"]
        {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
