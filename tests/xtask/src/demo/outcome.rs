//! Checks the results of the demo.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::demo::Files;

/// The first bytes of every PNG file.
const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// The results.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Preview files.
    pub previews: usize,
    /// Lines of events.
    pub events: usize,
    /// From the call to the first preview on disk.
    pub first_preview: Duration,
    /// From the call to the picture on disk.
    pub picture: Duration,
}

/// Checks every result of a call that was made at `called`.
///
/// # Errors
///
/// A result is missing, or has other contents than its name says.
pub(crate) fn verify(files: &Files, called: SystemTime) -> anyhow::Result<Outcome> {
    let png = fs::read(&files.png).with_context(|| format!("no picture at {}", files.png.display()))?;
    ensure!(png.starts_with(PNG_SIGNATURE), "{} is not a PNG file", files.png.display());
    let previews = previews(&files.previews)?;
    let times = previews.iter().map(|path| since(called, path)).collect::<anyhow::Result<Vec<_>>>()?;
    let first_preview =
        times.into_iter().min().with_context(|| format!("no previews in {}", files.previews.display()))?;
    let text = fs::read_to_string(&files.events).with_context(|| format!("no events at {}", files.events.display()))?;
    let events = text.lines().count();
    let last = text.lines().last().with_context(|| format!("{} is empty", files.events.display()))?;
    for (index, line) in text.lines().enumerate() {
        serde_json::from_str::<Value>(line)
            .with_context(|| format!("{}, line {}, is not JSON", files.events.display(), index + 1))?;
    }
    ensure!(last.contains("\"completed\""), "the last event is not `completed`: {last}");
    let report =
        fs::read_to_string(&files.report).with_context(|| format!("no report at {}", files.report.display()))?;
    // Its previews and the picture are in it.
    let shown = report.matches("<img ").count();
    ensure!(shown == previews.len() + 1, "{} shows {shown} pictures", files.report.display());
    Ok(Outcome { previews: previews.len(), events, first_preview, picture: since(called, &files.png)? })
}

/// How long after `called` a file was written. The file system's clock is coarser than ours: a file can seem older.
fn since(called: SystemTime, path: &Path) -> anyhow::Result<Duration> {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let written = written.with_context(|| format!("cannot read when {} was written", path.display()))?;
    Ok(written.duration_since(called).unwrap_or_default())
}

/// The previews of `sakuga generate` in a folder, which need not exist.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn previews(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => bail!("cannot read {}: {error}", folder.display()),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        // As `sakuga generate` names them; other files in the folder are not the demo's.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("image") && name.contains("_step") && name.ends_with(".jpg") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change that makes a good run bad, and a part of the error.
    type Spoiler = (fn(&Files), &'static str);

    /// A folder with the files of a good run.
    fn good() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Files::new(folder.path(), "picture");
        fs::write(&files.png, PNG_SIGNATURE).unwrap();
        fs::create_dir(&files.previews).unwrap();
        fs::write(files.previews.join("image0_step001.jpg"), "").unwrap();
        fs::write(&files.events, "{\"accepted\":{}}\n{\"completed\":{}}\n").unwrap();
        fs::write(&files.report, "<img a><img b>").unwrap();
        (folder, files)
    }

    #[test]
    fn a_good_run_is_counted_and_timed() {
        let (_folder, files) = good();
        let written = SystemTime::now();
        for (path, seconds) in [(files.previews.join("image0_step001.jpg"), 2), (files.png.clone(), 5)] {
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(written + Duration::from_secs(seconds)).unwrap();
        }
        fs::write(files.previews.join("image0_step002.jpg"), "").unwrap();
        fs::write(&files.report, "<img a><img b><img c>").unwrap();
        let later = files.previews.join("image0_step002.jpg");
        fs::File::options().write(true).open(later).unwrap().set_modified(written + Duration::from_secs(3)).unwrap();
        let expected =
            Outcome { previews: 2, events: 2, first_preview: Duration::from_secs(2), picture: Duration::from_secs(5) };
        assert_eq!(verify(&files, written).unwrap(), expected);
    }

    #[test]
    fn each_missing_or_wrong_result_is_named() {
        let spoilers: [Spoiler; 7] = [
            (|files| fs::remove_file(&files.png).unwrap(), "no picture at"),
            (|files| fs::write(&files.png, "GIF89a").unwrap(), "is not a PNG"),
            (|files| fs::remove_dir_all(&files.previews).unwrap(), "no previews in"),
            (|files| fs::write(&files.events, "{\n{\"completed\":{}}\n").unwrap(), "line 1, is not JSON"),
            (|files| fs::write(&files.events, "{\"accepted\":{}}\n").unwrap(), "not `completed`"),
            (|files| fs::remove_file(&files.report).unwrap(), "no report at"),
            (|files| fs::write(&files.report, "<img a>").unwrap(), "shows 1 pictures"),
        ];
        for (spoil, message) in spoilers {
            let (_folder, files) = good();
            spoil(&files);
            let error = format!("{:#}", verify(&files, SystemTime::now()).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn only_our_own_files_of_an_earlier_run_are_removed() {
        let (folder, files) = good();
        let foreign = [folder.path().join("notes.txt"), files.previews.join("image_of_mine.jpg")];
        for path in &foreign {
            fs::write(path, "mine").unwrap();
        }
        files.remove_old().unwrap();
        assert!(foreign.iter().all(|path| path.exists()));
        assert!(!files.png.exists() && !files.events.exists() && !files.report.exists());
        assert!(previews(&files.previews).unwrap().is_empty());
    }
}
