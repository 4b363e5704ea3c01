//! The files that `sakuga bench` reads, all bounded.

use std::path::{Path, PathBuf};

use sakuga_bench::record::Record;
use sakuga_bench::report::{Pictures, Shown};

use crate::cli::failure::Failure;
use crate::cli::input;

/// The largest run and the largest event log that are read.
const MAX_RECORD_BYTES: u64 = 1 << 30;
/// The largest picture of a report.
const MAX_PICTURE_BYTES: u64 = 256 << 20;
/// The most previews of a report.
const MAX_PREVIEWS: usize = 1000;

/// Reads a run.
pub(crate) fn record(path: &Path) -> Result<Record, Failure> {
    let json = input::read_file(path, MAX_RECORD_BYTES)?;
    Record::parse(&json).map_err(|error| Failure::unreadable(path, error))
}

/// Reads an event log.
pub(crate) fn events(path: &Path) -> Result<String, Failure> {
    let bytes = input::read_file(path, MAX_RECORD_BYTES)?;
    String::from_utf8(bytes).map_err(|error| Failure::unreadable(path, error))
}

/// Reads a picture, and the previews in a directory in the order of their names.
pub(crate) fn pictures(result: Option<&Path>, previews: Option<&Path>) -> Result<Pictures, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    if let Some(folder) = previews {
        let entries = std::fs::read_dir(folder).map_err(|error| Failure::unreadable(folder, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Failure::unreadable(folder, error))?.path();
            // The previews of the first picture; other files are ignored.
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("image0_step") && media_type(&path).is_some() {
                paths.push(path);
            }
        }
        paths.sort();
        paths.truncate(MAX_PREVIEWS);
    }
    let previews = paths.iter().map(|path| shown(path)).collect::<Result<_, _>>()?;
    Ok(Pictures { result: result.map(shown).transpose()?, previews })
}

fn shown(path: &Path) -> Result<Shown, Failure> {
    let media_type =
        media_type(path).ok_or_else(|| Failure::unreadable(path, "its name has to end in .png, .jpg or .webp"))?;
    let bytes = input::read_file(path, MAX_PICTURE_BYTES)?;
    Ok(Shown { media_type, bytes, name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned() })
}

fn media_type(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "png" => Some("image/png"),
        "jpg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_come_in_order_and_other_files_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["image0_step002.jpg", "image0_step001.jpg", "image1_step001.jpg", "notes.txt", "image0_step.txt"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let pictures = pictures(None, Some(folder.path())).unwrap();
        let names: Vec<_> = pictures.previews.iter().map(|shown| shown.name.as_str()).collect();
        assert_eq!(names, ["image0_step001", "image0_step002"]);
        assert!(super::pictures(Some(Path::new("a.gif")), None).is_err());
    }
}
